from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.sources.records import split_json, split_lines
from penstock.sources.records_xml import split_xml
from penstock.sources.window import Slice

Splitter = Callable[[Iterator[bytes], int], Iterator[Slice]]
LIMIT = 1 << 20


def pieces(content: bytes, size: int) -> Iterator[bytes]:
    return (content[at : at + size] for at in range(0, len(content), size))


def split(splitter: Splitter, content: bytes, size: int = 1 << 16, limit: int = LIMIT) -> list[Slice]:
    return list(splitter(pieces(content, size), limit))


def whole(content: bytes, *values: bytes, nested: bool = True) -> list[Slice]:
    found, at = [], 0
    for value in values:
        at = content.index(value, at)
        found.append(Slice(at, value, nested))
        at += len(value)
    return found


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000])
class TestJson:
    def test_an_array_gives_its_elements(self, size: int) -> None:
        content = b' [ {"a": "]}\\""} ,\n{"b": [1, {"c": 2}]},{}]\n'
        assert split(split_json, content, size) == whole(content, b'{"a": "]}\\""}', b'{"b": [1, {"c": 2}]}', b"{}")

    def test_an_answer_gives_the_elements_of_its_list(self, size: int) -> None:
        content = b'{"meta": {"results": {"total": 2}}, "results" : [{"id": 1}, {"id": 2}], "group_by": [{"x": 1}]}'
        assert split(split_json, content, size) == whole(content, b'{"id": 1}', b'{"id": 2}')

    def test_an_object_without_a_list_is_one(self, size: int) -> None:
        content = b'\xef\xbb\xbf {"a": {"studies": [{"b": 1}]}, "results": "none", "studies": [1, 2]} '
        assert split(split_json, content, size) == whole(content, content[4:-1], nested=False)

    def test_an_empty_list_leaves_the_object_whole(self, size: int) -> None:
        content = b'{"results": [], "group_by": [{"key": 1}]}'
        assert split(split_json, content, size) == whole(content, content, nested=False)

    def test_values_one_after_another_are_records(self, size: int) -> None:
        content = b'{"a": 1}{"b": 2}\n\x1e{"c":\n 3}'
        assert split(split_json, content, size) == whole(content, b'{"a": 1}', b'{"b": 2}', b'{"c":\n 3}', nested=False)

    def test_nulls_in_a_list_say_that_there_is_nothing(self, size: int) -> None:
        content = b'[null, {"a": 1}, null,null, {"b": 1}, null]'
        assert split(split_json, content, size) == whole(content, b'{"a": 1}', b'{"b": 1}')

    def test_a_file_that_ends_in_a_record_gives_those_before_it_and_the_rest(self, size: int) -> None:
        content = b'{"studies": [{"a": 1}, {"b": {"c": "unfini'
        assert split(split_json, content, size) == [
            *whole(content, b'{"a": 1}'),
            Slice(content.index(b'{"b"'), b'{"b": {"c": "unfini', True, "truncated"),
        ]

    def test_a_file_that_ends_between_records_says_so(self, size: int) -> None:
        content = b'[{"a": 1},'
        assert split(split_json, content, size) == [*whole(content, b'{"a": 1}'), Slice(9, b",", True, "truncated")]

    def test_what_belongs_to_no_record_is_kept(self, size: int) -> None:
        content = b'[{"a": 1}, what, {"b": 1}]'
        found = split(split_json, content, size)
        assert [(piece.content, piece.fault) for piece in found] == [
            (b'{"a": 1}', ""),
            (b", what, ", "malformed"),
            (b'{"b": 1}', ""),
        ]
        assert split(split_json, b'{"a": 1} trailing', size)[-1] == Slice(8, b" trailing", False, "malformed")

    @pytest.mark.parametrize("opening", [b"[", b'{"studies": [', b'{"results": [{"z": 1}], "studies": ['])
    def test_what_ends_a_list_and_is_no_record_is_kept(self, opening: bytes, size: int) -> None:
        closing = b"]}" if opening.startswith(b"{") else b"]"
        found = split(split_json, opening + b'{"a": 1}, 7, null, "x"' + closing, size)
        assert found[-1] == Slice(len(opening) + 8, b', 7, null, "x"', True, "malformed")
        assert [piece.content for piece in found if not piece.fault][-1] == b'{"a": 1}'
        blank = b" \n" * 400
        quiet = split(split_json, opening + blank + b'{"a": 1},' + blank + b"null" + blank + closing, size)
        assert quiet[-1].content == b'{"a": 1}'

    def test_a_list_without_records_after_another_is_looked_at_too(self, size: int) -> None:
        content = b'{"results": [{"a": 1}], "studies": [' + b" " * 1000 + b"7]}"
        assert [(p.content.strip(), p.fault) for p in split(split_json, content, size)] == [
            (b'{"a": 1}', ""),
            (b"7", "malformed"),
        ]

    def test_a_record_over_the_limit_is_told_but_not_kept(self, size: int) -> None:
        content = b'[{"a": 1}, {"b": "' + b"x" * 300 + b'"}, {"c": [' + b"[]," * 100 + b'[]]}, {"d": 1}]'
        found = split(split_json, content, size, limit=100)
        assert [(piece.fault, piece.content) for piece in found] == [
            ("", b'{"a": 1}'),
            ("too-large", b""),
            ("too-large", b""),
            ("", b'{"d": 1}'),
        ]

    def test_brackets_that_do_not_match_end_nothing_early(self, size: int) -> None:
        for content in (b"}}}", b"]", b'{"a": ]}', b"[{]", b"[[[[", b'"', b'{"', b"\\"):
            split(split_json, content, size)


class TestJsonAtSize:
    def test_every_real_list_gives_its_elements(self, data: Path) -> None:
        for name, member in (
            ("ctgov/ctg-studies_dgg32_10.json", None),
            ("ctgov/api_search_phelan_limit5_20260811.json", "studies"),
            ("openalex/prosnowball__02.json", "results"),
            ("openfda/label_vyvanse.json", "results"),
            ("openfda/api_label_keytruda_20260811.json", "results"),
        ):
            content = (data / name).read_bytes()
            expected = json.loads(content)[member] if member else json.loads(content)
            for size in (997, 1 << 20):
                found = split(split_json, content, size)
                assert [json.loads(piece.content) for piece in found] == expected, name
                assert all(content[p.start : p.start + len(p.content)] == p.content and p.nested for p in found)

    @pytest.mark.parametrize(
        ("splitter", "opening", "record", "closing"),
        [
            (split_json, b'{"results": [', b'{"a": "' + b"x" * 9000 + b'", "b": [[{}], {"c": "\\\\"}]},', b"{}]}"),
            (split_lines, b"", b'{"a": "' + b"x" * 9000 + b'"}\n', b""),
            (split_xml, b"<set>", b"<PubmedArticle>" + b"x" * 9000 + b"</PubmedArticle>\n", b"</set>"),
        ],
    )
    def test_memory_stays_flat_however_long_the_file_is(
        self, splitter: Splitter, opening: bytes, record: bytes, closing: bytes
    ) -> None:
        def stream(records: int) -> Iterator[bytes]:
            yield opening
            for _ in range(records):
                yield record
            yield closing

        def peak(records: int) -> int:
            tracemalloc.start()
            count = sum(not piece.fault for piece in splitter(stream(records), LIMIT))
            assert count >= records
            result = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            return result

        peak(10)
        assert peak(2000) < peak(100) + 100_000

    def test_a_record_that_never_ends_is_not_hoarded(self) -> None:
        def endless() -> Iterator[bytes]:
            yield b'[{"a": "'
            for _ in range(2000):
                yield b"x" * 10_000

        tracemalloc.start()
        assert [piece.fault for piece in split_json(endless(), 100_000)] == ["too-large"]
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
        tracemalloc.stop()

    @given(
        st.lists(
            st.dictionaries(
                st.text(max_size=5),
                st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3)),
                max_size=4,
            ),
            min_size=1,
            max_size=5,
        ),
        st.integers(1, 50),
        st.sampled_from([None, 1]),
        st.booleans(),
    )
    def test_any_list_of_objects_is_given_back_exactly(
        self, records: list[dict[str, object]], size: int, indent: int | None, ascii_only: bool
    ) -> None:
        content = json.dumps({"meta": 1, "studies": records}, indent=indent, ensure_ascii=ascii_only).encode()
        assert [json.loads(piece.content) for piece in split(split_json, content, size)] == records


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_lines_are_records_without_their_ends(size: int) -> None:
    content = b'{"a": 1}\r\n\n{"broken": \n{"b": 2}'
    assert split(split_lines, content, size) == [
        Slice(0, b'{"a": 1}', line=1),
        Slice(11, b'{"broken": ', line=3),
        Slice(23, b'{"b": 2}', line=4),
    ]


def test_a_line_over_the_limit_is_told_but_not_kept() -> None:
    content = b'{"a": 1}\n{"b": "' + b"x" * 500 + b'"}\n{"c": 1}\n'
    found = split(split_lines, content, 10, limit=100)
    assert [(piece.fault, piece.content) for piece in found] == [
        ("", b'{"a": 1}'),
        ("too-large", b""),
        ("", b'{"c": 1}'),
    ]


@pytest.mark.parametrize("size", [1, 3, 17, 1000])
class TestXml:
    def test_records_are_found_in_any_wrapper(self, size: int) -> None:
        content = (
            b"<?xml version='1.0'?><!DOCTYPE s SYSTEM 'http://x/'><s><!-- <article> -->"
            b"<article a='1>2'><front/></article > <record><article\n><![CDATA[</article>]]><front/></article></record>"
            b"<articles/><PubmedArticle>x</PubmedArticle><PubmedBookArticle>y</PubmedBookArticle></s>"
        )
        found = split(split_xml, content, size)
        assert [piece.content for piece in found] == [
            b"<article a='1>2'><front/></article >",
            b"<article\n><![CDATA[</article>]]><front/></article>",
            b"<PubmedArticle>x</PubmedArticle>",
            b"<PubmedBookArticle>y</PubmedBookArticle>",
        ]
        assert all(content[piece.start :].startswith(piece.content) for piece in found)

    def test_a_record_without_its_end_costs_no_other(self, size: int) -> None:
        content = b"<s><PubmedArticle>1<PubmedArticle>2</PubmedArticle></s>"
        assert [(p.content, p.fault) for p in split(split_xml, content, size)] == [
            (b"<PubmedArticle>1", "malformed"),
            (b"<PubmedArticle>2</PubmedArticle>", ""),
        ]

    def test_a_file_that_ends_in_a_record_gives_the_rest(self, size: int) -> None:
        content = b"<s><PubmedArticle>1</PubmedArticle><PubmedArticle>2</Pubm"
        assert [(p.content, p.fault) for p in split(split_xml, content, size)] == [
            (b"<PubmedArticle>1</PubmedArticle>", ""),
            (b"<PubmedArticle>2</Pubm", "truncated"),
        ]

    def test_a_file_that_ends_between_records_says_so(self, size: int) -> None:
        found = split(split_xml, b"<s><PubmedArticle>1</PubmedArticle>\n", size)
        assert [piece.fault for piece in found] == ["", "truncated"]

    def test_what_ends_without_having_begun_is_kept(self, size: int) -> None:
        content = b"<s><PubmedArticle>1</PubmedArticle><Pubm\0dArticle>2</PubmedArticle></s>"
        assert [(p.content, p.fault) for p in split(split_xml, content, size)] == [
            (b"<PubmedArticle>1</PubmedArticle>", ""),
            (b"<Pubm\0dArticle>2</PubmedArticle>", "malformed"),
        ]

    def test_comments_of_any_length_may_follow_the_root(self, size: int) -> None:
        content = b"<s><PubmedArticle>1</PubmedArticle></s >\n<!--" + b"words " * 500 + b"--><?end?>\n"
        assert [p.fault for p in split(split_xml, content, size)] == [""]

    def test_what_follows_the_root_and_belongs_to_nothing_is_kept(self, size: int) -> None:
        content = b"<s><PubmedArticle>1</PubmedArticle></s>\n<!-- end -->" + b"junk " * 200
        [_, junk] = split(split_xml, content, size)
        assert (junk.start, junk.content, junk.fault) == (39, content[39:], "malformed")

    def test_no_records_give_nothing(self, size: int) -> None:
        assert split(split_xml, b"<feed><entry>no article here</entry></feed>", size) == []


def test_a_comment_that_never_ends_is_not_hoarded() -> None:
    tracemalloc.start()
    list(split_xml(iter([b"<s><!--", *[b"x" * 10_000] * 500]), LIMIT))
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()
