from __future__ import annotations

import errno
import gzip
import io
import json
import os
import stat
import struct
import zipfile
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import NotFound, UsageError
from penstock.ir import RawPayload
from penstock.sources.files import Files
from penstock.sources.sniff import KINDS, READ


def study(number: int, **more: object) -> dict[str, object]:
    return {"protocolSection": {"identificationModule": {"nctId": f"NCT{number:08}"}, **more}}


def listed(*paths: Path, **options: int) -> list[RawPayload]:
    return list(Files(**options).list({"paths": [str(path) for path in paths]}))


def below(folder: Path, name: str) -> str:
    """A source id or key as a path below the folder; an identifier as it is."""
    return name.removeprefix(f"{folder}/")


def names(folder: Path, **options: int) -> list[str]:
    return [below(folder, payload.source_id) for payload in listed(folder, **options)]


def again(payload: RawPayload) -> bytes | None:
    now = Files().refetch(payload.origin)
    return now and now.content


def bytes_at(payload: RawPayload) -> bytes:
    """What the payload's origin says its bytes are, read without the source's help."""
    content = Path(payload.origin.uri).read_bytes()
    if payload.origin.member is not None:
        if payload.origin.uri.endswith(".zip"):
            content = zipfile.ZipFile(payload.origin.uri).read(payload.origin.member)
        else:
            content = gzip.decompress(content)
    if payload.origin.offset is None:
        return content
    return content[payload.origin.offset : payload.origin.offset + len(payload.content)]


class TestIdentity:
    def test_a_whole_file_keeps_its_very_bytes(self, tmp_path: Path) -> None:
        path = tmp_path / "s.json"
        path.write_bytes(b"\n" + json.dumps(study(1)).encode() + b"\n")
        [payload] = listed(tmp_path)
        assert payload.content == path.read_bytes()
        assert (payload.source_id, payload.origin.key, payload.origin.offset) == ("NCT00000001", f"{path}#0", None)
        assert payload.origin.version == f"{path.stat().st_size}-{path.stat().st_mtime_ns}"

    def test_each_record_of_many_says_where_its_bytes_are(self, tmp_path: Path) -> None:
        (tmp_path / "s.json").write_text(json.dumps({"studies": [study(1), study(2), {"protocolSection": {}}]}))
        found = listed(tmp_path)
        place = str(tmp_path / "s.json")
        assert [payload.source_id for payload in found] == ["NCT00000001", "NCT00000002", f"{place}#2"]
        assert [payload.origin.key for payload in found] == [f"{place}#0", f"{place}#1", f"{place}#2"]
        assert all(bytes_at(payload) == payload.content for payload in found)

    def test_what_states_no_identifier_is_one_document_wherever_it_is_listed_from(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        note = tmp_path / "sub" / "note.md"
        note.parent.mkdir()
        note.write_text("# Words")
        (tmp_path / "link").symlink_to("sub")
        (tmp_path / "note-link.md").symlink_to(note)
        monkeypatch.chdir(tmp_path)
        for given in (
            tmp_path,
            Path(),
            note,
            Path("sub/../sub"),
            Path("*/note.md"),
            Path("link"),
            Path("note-link.md"),
        ):
            assert [(p.source_id, p.origin.key, p.origin.uri) for p in listed(given)] == [
                (str(note), f"{note}#0", str(note))
            ]

    def test_files_of_one_name_are_documents_of_their_own(self, tmp_path: Path) -> None:
        for folder in ("a", "b"):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / "notes.md").write_text(f"# Words of {folder}")
        apart = [payload.source_id for folder in ("a", "b") for payload in listed(tmp_path / folder)]
        assert apart == [payload.source_id for payload in listed(tmp_path)]
        assert len(set(apart)) == 2

    def test_no_name_is_made_to_look_like_the_place_of_another(self, tmp_path: Path) -> None:
        (tmp_path / "a.json").write_text(json.dumps([{"recall_number": "1"}, {"x": 1}]))
        (tmp_path / "a.json#1").write_text("words")
        (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text("words")
        (tmp_path / "caf%E9.txt").write_text("words")
        (tmp_path / "all.zip!x.txt").write_text("words")
        with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
            archive.writestr("x.txt", "words")
            archive.writestr("x.txt#1", "words")
            archive.writestr("x.txt%231", "words")
        found = listed(tmp_path)
        assert len(found) == 9
        assert len({p.source_id for p in found}) == len({p.origin.key for p in found}) == 9
        assert [again(payload) for payload in found] == [payload.content for payload in found]

    def test_a_name_that_is_no_utf_8_is_found_again(self, tmp_path: Path) -> None:
        (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text("words")
        [payload] = listed(tmp_path)
        payload.model_dump_json()
        assert payload.origin.uri.startswith("file://")
        assert again(payload) == b"words"


class TestQuery:
    def test_one_path_need_not_be_a_list(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_text("words")
        assert len(list(Files().list({"paths": str(tmp_path)}))) == 1

    @pytest.mark.parametrize(
        ("query", "says"),
        [
            ({}, "paths: Field required"),
            ({"paths": []}, "paths"),
            ({"path": ["x"]}, "did you mean 'paths'"),
            ({"paths": ["x"], "speed": 1}, "known: paths"),
            ({"paths": [1]}, "paths.0"),
            ({"paths": ["a\0b"]}, "NUL"),
        ],
    )
    def test_a_query_it_cannot_take_is_refused_at_once(self, query: dict[str, object], says: str) -> None:
        with pytest.raises(UsageError, match=says):
            Files().list(query)

    def test_a_missing_path_is_refused_at_once(self, tmp_path: Path) -> None:
        with pytest.raises(NotFound, match="nowhere"):
            Files().list({"paths": [str(tmp_path / "nowhere")]})

    @pytest.mark.parametrize("cursor", ["x", "[]", '["a"]', '{"a": 1}', '[1, 2, "x"]', '["", "a.txt", 0]'])
    def test_a_cursor_of_another_making_is_refused(self, tmp_path: Path, cursor: str) -> None:
        with pytest.raises(UsageError, match="no cursor"):
            Files().list({"paths": [str(tmp_path)]}, cursor)


class TestFaults:
    def test_one_bad_file_ends_nothing_and_its_bytes_are_kept(self, tmp_path: Path) -> None:
        (tmp_path / "a.json").write_bytes(b'{"studies": [')
        (tmp_path / "b.json").write_bytes(b'{"a": nonsense}')
        (tmp_path / "c.json").write_bytes(b"")
        (tmp_path / "d.json").write_text(json.dumps(study(4)))
        found = listed(tmp_path)
        assert [(below(tmp_path, p.source_id), p.kind) for p in found] == [
            ("a.json", "truncated"),
            ("b.json", "malformed"),
            ("c.json", "empty"),
            ("NCT00000004", "clinicaltrials-study"),
        ]
        assert all(payload.note for payload in found[:2])
        assert [payload.content for payload in found[:3]] == [b'{"studies": [', b'{"a": nonsense}', b""]

    def test_one_bad_record_costs_no_other(self, tmp_path: Path) -> None:
        lines = [json.dumps(study(1)), '{"protocolSection": {', json.dumps(study(3))]
        (tmp_path / "s.jsonl").write_text("\n".join(lines))
        assert names(tmp_path) == ["NCT00000001", "s.jsonl#1", "NCT00000003"]

    def test_what_is_no_record_costs_no_record_and_is_told_wherever_it_stands(self, tmp_path: Path) -> None:
        (tmp_path / "a.json").write_text(f'{{"studies": [{json.dumps(study(1))}, 7, null, "x"], "totalCount": 1}}')
        (tmp_path / "b.json").write_text(f'["x", {json.dumps(study(2))}]')
        (tmp_path / "c.json").write_text(json.dumps(study(3)) + " trailing")
        (tmp_path / "d.json").write_text(json.dumps([study(4)]) + "]")
        (tmp_path / "e.jsonl").write_text(json.dumps(study(5)) + "\ntrailing")
        assert [(below(tmp_path, p.source_id), p.kind) for p in listed(tmp_path)] == [
            ("NCT00000001", "clinicaltrials-study"),
            ("a.json#1", "malformed"),
            ("b.json#0", "malformed"),
            ("NCT00000002", "clinicaltrials-study"),
            ("NCT00000003", "clinicaltrials-study"),
            ("c.json#1", "malformed"),
            ("NCT00000004", "clinicaltrials-study"),
            ("d.json#1", "malformed"),
            ("NCT00000005", "clinicaltrials-study"),
            ("e.jsonl#1", "malformed"),
        ]

    def test_what_is_wrong_with_a_record_is_told_by_its_place_in_the_file(self, tmp_path: Path) -> None:
        good = json.dumps(study(1))
        (tmp_path / "a.jsonl").write_text(f"{good}\n\n{good}\n{{broken}}\n{good}\n" + '{"a": ')
        (tmp_path / "b.json").write_text(f'[{good},\n{{"a": 1,\n "b": ?}}, what, {{}}, {{"a')
        (tmp_path / "c.json").write_text('{"a": 1,\n "b": ?}')
        assert [p.note for p in listed(tmp_path) if p.note] == [
            "line 4: not JSON: Expecting property name enclosed in double quotes at column 2",
            "line 6: not JSON: Expecting value at column 7",
            f"record 2, at byte {len(good) + 3}: not JSON: Expecting value at line 2, column 7",
            f"record 3, at byte {len(good) + 20}: these bytes belong to no whole record",
            f"record 5, at byte {len(good) + 32}: the file ends before this record does",
            "not JSON: Expecting value at line 2, column 7",
        ]

    def test_a_link_to_nothing_is_told_until_there_is_something(self, tmp_path: Path) -> None:
        link = tmp_path / "link.md"
        link.symlink_to(tmp_path / ".later.md")
        for given in (tmp_path, tmp_path / "*"):
            [before] = listed(given)
            assert (before.source_id, before.kind, before.note) == (str(link), "unreadable", "a link to nothing")
        assert (again(before), listed(tmp_path)[0].origin.key) == (b"", before.origin.key)
        (tmp_path / ".later.md").write_text("words")
        assert [payload.kind for payload in listed(tmp_path)] == ["markdown"]

    def test_what_is_too_large_is_told_and_never_read_whole(self, tmp_path: Path) -> None:
        (tmp_path / "big.txt").write_bytes(b"x" * 3_000_000)
        (tmp_path / "many.json").write_text(json.dumps([study(1), study(2, x="x" * 5000), study(3)]))
        found = listed(tmp_path, max_bytes=1000)
        assert [(below(tmp_path, p.source_id), p.kind, bool(p.content)) for p in found] == [
            ("big.txt", "too-large", False),
            ("NCT00000001", "clinicaltrials-study", True),
            ("many.json#1", "too-large", False),
            ("NCT00000003", "clinicaltrials-study", True),
        ]
        assert "1,000" in found[0].note

    def test_a_file_that_cannot_be_read_is_told(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "a.txt").write_text("words")
        (tmp_path / "b.txt").write_text("words")
        real = os.stat

        def stat(path: str, **more: object) -> os.stat_result:
            if str(path).endswith("a.txt"):
                raise PermissionError(13, "Permission denied")
            return real(path, **more)  # type: ignore[arg-type]

        monkeypatch.setattr(os, "stat", stat)
        assert [(below(tmp_path, p.source_id), p.kind, p.note) for p in listed(tmp_path)] == [
            ("a.txt", "unreadable", "Permission denied"),
            ("b.txt", "text", ""),
        ]

    def test_a_pipe_does_not_hang_the_listing(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        assert [(p.kind, p.note) for p in listed(tmp_path / "pipe")] == [("unreadable", "not a regular file")]

    def test_a_list_of_what_is_not_read_is_one_file_of_that_kind(self, tmp_path: Path) -> None:
        (tmp_path / "a.json").write_text(json.dumps([{"x": 1}, {"x": 2}, {"x": 3}]))
        (tmp_path / "b.jsonl").write_text('{"x": 1}\n{"x": 2}\n')
        (tmp_path / "c.json").write_text(json.dumps({"results": [{"x": 1}]}))
        (tmp_path / "d.json").write_text(json.dumps({"results": [{"recall_number": "1"}, {"recall_number": "2"}]}))
        (tmp_path / "e.json").write_text(json.dumps([{"recall_number": "1"}, {"x": 1}, study(1)]))
        assert [(below(tmp_path, p.source_id), p.kind) for p in listed(tmp_path)] == [
            ("a.json", "json"),
            ("b.jsonl", "json"),
            ("c.json", "json"),
            ("d.json", "openfda-enforcement"),
            ("e.json#0", "openfda-enforcement"),
            ("e.json#1", "json"),
            ("NCT00000001", "clinicaltrials-study"),
        ]

    def test_an_answer_without_records_lists_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "a.json").write_text('{"meta": {"count": 0}, "results": []}')
        assert listed(tmp_path) == []

    def test_a_document_of_ones_own_is_no_empty_answer(self, tmp_path: Path) -> None:
        (tmp_path / "a.json").write_text('{"title": "Study plan", "results": []}')
        assert [payload.kind for payload in listed(tmp_path)] == ["json"]

    def test_a_file_that_was_unreadable_is_new_to_the_ledger_when_it_can_be_read(self, tmp_path: Path) -> None:
        path = tmp_path / "a.txt"
        path.write_text("words")

        def denied(*_: object) -> object:
            raise PermissionError(13, "Permission denied")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("builtins.open", denied)
            [before] = listed(tmp_path)
        [after] = listed(tmp_path)
        assert (before.kind, after.kind) == ("unreadable", "text")
        assert (before.source_id, before.origin.key) == (after.source_id, after.origin.key)
        assert before.content != after.content

    def test_a_file_that_is_gone_when_its_turn_comes_is_no_document(self, tmp_path: Path) -> None:
        for name in ("a.txt", "b.txt", "c.txt"):
            (tmp_path / name).write_text("words")
        listing = Files().list({"paths": [str(tmp_path)]})
        found = [next(listing)]
        (tmp_path / "b.txt").unlink()
        assert [below(tmp_path, p.source_id) for p in [*found, *listing]] == ["a.txt", "c.txt"]

    def test_what_cannot_be_read_to_its_end_keeps_the_places_of_its_records(self, tmp_path: Path) -> None:
        records = [study(n, pad="x" * 3000) for n in range(600)]
        (tmp_path / "s.jsonl").write_text("\n".join(map(json.dumps, records)))

        class Failing(io.FileIO):
            def readinto(self, buffer: Any) -> int:
                if self.tell() > 1 << 20:
                    raise OSError(errno.EIO, "Input/output error")
                return super().readinto(buffer) or 0

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("builtins.open", lambda path, mode: io.BufferedReader(Failing(path)))
            found = listed(tmp_path)
        assert (found[-1].kind, found[-1].note) == ("unreadable", "Input/output error")
        assert len(found) > 100
        assert len({payload.origin.key for payload in found}) == len(found)


class TestOwnFiles:
    """What Penstock keeps below a folder of documents is not opened, let alone listed."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        for name in ("note.md", "home/ledger.db", "home/sub/x.txt", "other.db", "other.db-wal"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text("words")
        (tmp_path / "link.db").symlink_to("home/ledger.db")
        (tmp_path / "alias").symlink_to("home")
        return tmp_path

    @pytest.fixture
    def source(self, folder: Path) -> Files:
        return Files(skip=[folder / "alias", folder / "other.db", folder / "other.db-wal"])

    def test_it_is_passed_over(self, folder: Path, source: Files, monkeypatch: pytest.MonkeyPatch) -> None:
        opened: list[str] = []
        real = open

        def watched(path: str, *how: str) -> object:
            opened.append(path)
            return real(path, *how)

        monkeypatch.setattr("builtins.open", watched)
        for given in (folder, folder / "*"):
            found = list(source.list({"paths": [str(given)]}))
            assert [below(folder, payload.source_id) for payload in found] == ["note.md"]
        assert set(opened) == {str(folder / "note.md")}

    @pytest.mark.parametrize(
        "given",
        ["home", "home/ledger.db", "home/sub", "alias/sub/x.txt", "link.db", "other.db", "other.db-wal", "oth*"],
    )
    def test_it_is_refused_aloud_where_it_is_asked_for(self, folder: Path, source: Files, given: str) -> None:
        with pytest.raises(UsageError, match="keeps its own files"):
            source.list({"paths": [str(folder / "note.md"), str(folder / given)]})


class TestPacked:
    def test_a_gzipped_export_is_read_as_if_it_were_none(self, tmp_path: Path) -> None:
        content = "\n".join(json.dumps(study(n, pad="x" * 999)) for n in range(2000)).encode()
        half = len(content) // 2
        (tmp_path / "s.jsonl.gz").write_bytes(gzip.compress(content[:half]) + gzip.compress(content[half:]))
        found = listed(tmp_path)
        assert [p.source_id for p in found] == [f"NCT{n:08}" for n in range(2000)]
        assert all(p.origin.member == "s.jsonl" for p in found)
        assert b"\n".join(p.content for p in found) == content
        assert bytes_at(found[1234]) == found[1234].content

    def test_a_gzip_file_cut_short_gives_the_records_before_the_cut(self, tmp_path: Path) -> None:
        records = [study(n, pad=os.urandom(200).hex()) for n in range(100)]
        packed = gzip.compress(json.dumps(records).encode())
        (tmp_path / "s.json.gz").write_bytes(packed[: len(packed) // 2])
        found = listed(tmp_path)
        kinds = Counter(payload.kind for payload in found)
        assert kinds["clinicaltrials-study"] > 40
        assert found[-1].kind == "truncated"
        assert kinds.total() == kinds["clinicaltrials-study"] + 1

    @pytest.mark.parametrize("size", [300, 3000, 300_000, (1 << 20) - 1, 1 << 20, 3_000_000])
    def test_a_text_whose_gzip_ends_too_early_is_no_document_and_keeps_what_there_is(
        self, tmp_path: Path, size: int
    ) -> None:
        text = os.urandom(size).hex().encode()[:size]
        packed = gzip.compress(text)
        for cut in (len(packed) // 2, len(packed) - 8, len(packed) - 4, len(packed) - 1):
            (tmp_path / "note.md.gz").write_bytes(packed[:cut])
            [payload] = listed(tmp_path)
            assert (payload.kind, payload.note) == ("truncated", "the packed data ends too early")
            assert text.startswith(payload.content)
            assert len(payload.content) > size // 3
            assert cut < len(packed) - 8 or payload.content == text

    @pytest.mark.parametrize("size", [300, 300_000])
    def test_a_text_whose_gzip_has_another_checksum_is_no_document_and_keeps_all(
        self, tmp_path: Path, size: int
    ) -> None:
        text = os.urandom(size).hex().encode()
        packed = bytearray(gzip.compress(text))
        packed[-6] ^= 1
        (tmp_path / "note.md.gz").write_bytes(packed)
        [payload] = listed(tmp_path)
        assert (payload.kind, payload.content) == ("malformed", text)

    def test_the_last_of_several_gzip_members_counts_too(self, tmp_path: Path) -> None:
        one, two = gzip.compress(b"# Words\n"), gzip.compress(b"more words\n")
        for name, packed in {
            "a.md.gz": one + two,
            "b.md.gz": one + two[:-5],
            "c.md.gz": one + two[:5],
            "d.md.gz": one + b"\0" * 100_000 + two,
            "e.md.gz": one + b"\0" * 100_000,
            "f.md.gz": one + two + b"junk",
        }.items():
            (tmp_path / name).write_bytes(packed)
        assert [(below(tmp_path, p.origin.uri), p.kind, p.content) for p in listed(tmp_path)] == [
            ("a.md.gz", "markdown", b"# Words\nmore words\n"),
            ("b.md.gz", "truncated", b"# Words\nmore words\n"),
            ("c.md.gz", "truncated", b"# Words\n"),
            ("d.md.gz", "markdown", b"# Words\nmore words\n"),
            ("e.md.gz", "markdown", b"# Words\n"),
            ("f.md.gz", "malformed", b"# Words\nmore words\n"),
        ]

    def test_records_before_the_damage_are_good_whatever_ends_them(self, tmp_path: Path) -> None:
        for name, content in {
            "a.jsonl": "\n".join(json.dumps(study(n)) for n in range(3)),
            "b.jsonl": json.dumps(study(1)) + "\n{]\n",
            "c.json": json.dumps([study(1), study(2)]),
            "d.xml": "<s><PubmedArticle><PMID>1</PMID></PubmedArticle>"
            "<PubmedArticle><PMID>2</PMID></PubmedArticle></s>",
        }.items():
            (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content.encode())[:-4])
        kinds: dict[str, list[str]] = {}
        for payload in listed(tmp_path):
            kinds.setdefault(Path(payload.origin.uri).name[0], []).append(payload.kind)
            assert payload.kind != "truncated" or payload.note == "the packed data ends too early"
        assert kinds == {
            "a": ["clinicaltrials-study"] * 3 + ["truncated"],
            "b": ["clinicaltrials-study", "malformed", "truncated"],
            "c": ["clinicaltrials-study"] * 2 + ["truncated"],
            "d": ["pubmed-article"] * 2 + ["truncated"],
        }

    @pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    def test_a_member_that_is_not_what_was_packed_keeps_what_there_is(self, tmp_path: Path, method: int) -> None:
        text = b"".join(b"Sentence %d.\n" % n for n in range(300))
        with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as archive:
            archive.writestr("note.md", text)
            archive.writestr("whole.md", "# Words")
        content = (tmp_path / "a.zip").read_bytes()
        crc = struct.pack("<L", zlib.crc32(text))
        (tmp_path / "a.zip").write_bytes(content.replace(crc, b"\1\2\3\4"))
        size = struct.pack("<L", len(text))
        (tmp_path / "b.zip").write_bytes(content.replace(crc, b"\1\2\3\4").replace(size, struct.pack("<L", 9000)))
        assert [(p.origin.member, p.kind, p.content[: len(text)]) for p in listed(tmp_path)] == [
            ("note.md", "malformed", text),
            ("whole.md", "markdown", b"# Words"),
            ("note.md", "truncated", text),
            ("whole.md", "markdown", b"# Words"),
        ]

    def test_a_zip_file_gives_each_of_its_files(self, tmp_path: Path) -> None:
        path = tmp_path / "all.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("one.json", json.dumps([study(1), study(2)]))
            archive.writestr("sub/note.md", "# Words")
        found = listed(tmp_path)
        assert [(p.source_id, p.origin.key) for p in found] == [
            ("NCT00000001", f"{path}!one.json#0"),
            ("NCT00000002", f"{path}!one.json#1"),
            (f"{path}!sub/note.md", f"{path}!sub/note.md#0"),
        ]
        assert all(bytes_at(payload) == payload.content for payload in found)

    @pytest.mark.filterwarnings("ignore:Duplicate name")
    def test_members_of_one_name_keep_apart(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
            for words in ("one", "two", "three"):
                archive.writestr("note.md", words)
            archive.writestr("note.md!2", "four")
        found = listed(tmp_path)
        assert [payload.content for payload in found] == [b"one", b"two", b"three", b"four"]
        assert names(tmp_path) == ["all.zip!note.md", "all.zip!note.md!2", "all.zip!note.md!3", "all.zip!note.md%212"]
        assert [again(payload) for payload in found] == [payload.content for payload in found]

    def test_members_that_no_folder_would_list_are_passed_over(self, tmp_path: Path) -> None:
        link = zipfile.ZipInfo("link.md")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
            archive.writestr(link, "note.md")
            for name in ("note.md", "../up.md", "./here.md", "__MACOSX/._note.md", ".git/config", "sub/.DS_Store"):
                archive.writestr(name, "words")
        assert names(tmp_path) == ["all.zip!note.md", "all.zip!../up.md", "all.zip!./here.md"]

    @pytest.mark.parametrize("name", ["bomb.json.gz", "bomb.zip"])
    def test_a_bomb_is_told_for_one(self, tmp_path: Path, name: str) -> None:
        content = b'{"a": "' + b"0" * 40_000_000
        if name.endswith("gz"):
            (tmp_path / name).write_bytes(gzip.compress(content))
        else:
            with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("bomb.json", content)
        [payload] = listed(tmp_path)
        assert (payload.kind, payload.content) == ("too-large", b"")

    @pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    def test_a_broken_member_costs_no_other(self, tmp_path: Path, method: int) -> None:
        path = tmp_path / "all.zip"
        with zipfile.ZipFile(path, "w", method) as archive:
            archive.writestr("broken.txt", os.urandom(5000))
            archive.writestr("whole.txt", "words")
        content = bytearray(path.read_bytes())
        content[60:2000] = b"\xff" * 1940
        path.write_bytes(content)
        assert [(p.origin.member, p.kind) for p in listed(path)] == [("broken.txt", "malformed"), ("whole.txt", "text")]

    def test_hostile_archives_do_no_harm(self, data: Path) -> None:
        found = listed(data / "archives")
        assert {payload.kind for payload in found} <= KINDS.keys()
        assert sum(len(payload.content) for payload in found) < 20_000_000
        escapes = [p.origin.member for p in found if ".." in (p.origin.member or "")]
        assert escapes
        assert not [name for name in escapes if name and Path("/", name.replace("../", "")).exists()]
        assert all(p.note for p in found if p.kind in ("malformed", "encrypted", "truncated"))


EXPECTED = {
    "ctgov": {"clinicaltrials-study": 181, "clinicaltrials-legacy": 2},
    "openalex": {"openalex-work": 208, "api-error": 3, "openalex-groups": 1},
    "openfda": {
        "openfda-drug-label": 4,
        "openfda-drug-event": 3,
        "openfda-drugsfda": 1,
        "spl": 3,
        "json": 4,
        "json-schema": 2,
        "api-error": 1,
    },
    "jats_pubmed": {"jats-article": 23, "pubmed-article": 2, "html": 1, "pmc-record": 1, "json": 9, "api-error": 2},
    "scholarly/unpaywall": {"unpaywall-record": 6, "json": 1},
    "scholarly/core": {"core-work": 1},
}


class TestRealFiles:
    @pytest.mark.parametrize("folder", EXPECTED)
    def test_each_is_what_it_is(self, data: Path, folder: str) -> None:
        found = listed(data / folder)
        assert Counter(payload.kind for payload in found) == EXPECTED[folder]
        assert all(bytes_at(payload) == payload.content for payload in found)

    @pytest.mark.parametrize("folder", EXPECTED)
    def test_each_record_states_an_identifier_of_its_own(self, data: Path, folder: str) -> None:
        unnamed = {
            p.source_id for p in listed(data / folder) if p.kind in READ and p.origin.key.startswith(p.source_id)
        }
        assert unnamed <= {str(data.resolve() / folder / "pmc_oa/pmc3040717.html")}
