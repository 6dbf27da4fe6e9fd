from __future__ import annotations

import pytest

from json_cases import CTX, payload
from penstock.errors import BadInput
from penstock.stages.parse.builder import DocumentBuilder
from penstock.stages.parse.jsonnode import Node, Writer, identified


def test_what_is_missing_or_null_says_nothing_however_deep() -> None:
    root = Node.root(b'{"a": null, "list": [null, 1]}')
    assert root.at("a", "b", "c").text == ""
    assert list(root["nothing"]) == []
    assert [node.steps for node in root["list"]] == [("list", 1)]
    assert not root["a"]


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda root: root["list"].text, "/list should be a string, but is an array"),
        (lambda root: root.at("n", "x"), "/n should be an object, but is a number"),
        (lambda root: list(root["text"]), "/text should be an array, but is a string"),
        (lambda root: next(iter(root["list"])).scalar, "/list/0 should be a string, but is true or false"),
        (lambda root: list(root["n"].members()), "/n should be an object"),
    ],
)
def test_a_surprise_names_its_place(ask: object, says: str) -> None:
    root = Node.root(b'{"list": [true], "n": 1, "text": "x"}')
    with pytest.raises(BadInput, match=says) as caught:
        ask(root)  # type: ignore[operator]
    assert caught.value.reason == "schema"


@pytest.mark.parametrize("content", [b"[]", b"1", b'"x"', b"null"])
def test_a_record_is_an_object(content: bytes) -> None:
    with pytest.raises(BadInput, match="the record should be an object"):
        Node.root(content)


def test_prose_is_parted_at_blank_lines_and_each_part_knows_its_place() -> None:
    text = "\n\nFirst line\nstill first.\r\n\r\n* a point\n \n\nInclusion:\n\nlast\n\n"
    node = Node({"a/b": text})["a/b"]
    out = DocumentBuilder(CTX, payload("x", b"{}"), parser="x", version="1")
    import re

    Writer(out).prose(node, headings=re.compile("Inclusion:"))
    document = out.build()
    assert [(b.kind, document.text[b.start : b.end]) for b in document.blocks] == [
        ("paragraph", "First line\nstill first."),
        ("list_item", "* a point"),
        ("heading", "Inclusion:"),
        ("paragraph", "last"),
    ]
    for block in document.blocks:
        assert block.locator.pointer == "/a~1b"
        assert text[block.locator.start : block.locator.end] == document.text[block.start : block.end]


def test_a_fields_locator_leaves_out_what_its_value_does() -> None:
    out = DocumentBuilder(CTX, payload("x", b"{}"), parser="x", version="1")
    Writer(out).field("keyword", Node("  asthma \n", ("k",)))
    out.block("text", out.pointer("k"))
    [field] = out.build().fields
    assert (field.value, field.locator.start, field.locator.end) == ("asthma", 2, 8)


def test_an_identifier_is_only_what_its_pattern_takes() -> None:
    assert identified("pmid", Node(123), r"(\d+)") is not None
    assert identified("pmid", Node("12x"), r"(\d+)") is None
    assert identified("pmid", Node(None)) is None
