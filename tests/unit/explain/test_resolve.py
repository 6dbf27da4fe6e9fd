"""Locators followed into bytes."""

from __future__ import annotations

import json

import pytest

from penstock.explain import Slice, resolve
from penstock.ir import Locator, Origin, RawPayload


def payload(content: bytes, kind: str, media_type: str = "") -> RawPayload:
    return RawPayload(
        source="files",
        source_id="x",
        kind=kind,
        media_type=media_type,
        origin=Origin(uri="/x", key="x"),
        content=content,
    )


def at(**place: object) -> Locator:
    return Locator.model_validate({"payload": "0" * 64, **place})


def test_a_json_pointer_leads_to_the_very_bytes_that_spell_the_text() -> None:
    content = json.dumps({"a/b": [{"~t": 'He said "né" – twice.'}]}, ensure_ascii=False).encode()
    found = resolve(payload(content, "openalex-work"), at(pointer="/a~1b/0/~0t", start=8, end=12))
    assert found.text == '"né"'
    assert content[found.start : found.end] == '\\"né\\"'.encode()


def test_bytes_are_told_of_escaped_json_too() -> None:
    content = json.dumps({"t": "naïve café"}).encode()
    found = resolve(payload(content, "openalex-work"), at(pointer="/t", start=6))
    assert (found.text, content[found.start : found.end]) == ("café", rb"caf\u00e9")


def test_bytes_that_could_be_several_are_not_told() -> None:
    content = b'{"a": "same", "b": "same", "c": "twice twice"}'
    assert resolve(payload(content, "x"), at(pointer="/b")) == Slice("same")
    assert resolve(payload(content, "x"), at(pointer="/c", start=0, end=5)) == Slice("twice")


def test_a_value_that_is_no_text_is_given_as_json() -> None:
    assert resolve(payload(b'{"n": {"word": [0, 3]}}', "x"), at(pointer="/n")).text == '{"word": [0, 3]}'


@pytest.mark.parametrize("pointer", ["/b", "/a/0", "/a/x/y", "/l/7", "/l/x"])
def test_a_pointer_that_leads_nowhere_is_said_to(pointer: str) -> None:
    with pytest.raises(LookupError, match="leads nowhere"):
        resolve(payload(b'{"a": "text", "l": [1]}', "x"), at(pointer=pointer))


def test_an_xpath_leads_to_text_with_its_blanks_collapsed_and_the_line_it_is_on() -> None:
    content = b"<article>\n <p>Nothing.</p>\n <p>Some\n   <i>text</i> here.</p>\n</article>"
    assert resolve(payload(content, "jats-article"), at(xpath="/article/p[2]", start=5, end=9)) == Slice("text", line=3)


def test_an_xpath_may_name_an_attribute_of_a_page() -> None:
    content = b'<html><head>\n<meta name="author" content="A. Person"></head><body>x</body></html>'
    found = resolve(payload(content, "html"), at(xpath="/html/head/meta/@content"))
    assert (found.text, found.line) == ("A. Person", 2)


@pytest.mark.parametrize("xpath", ["/article/q", "//p", "/article[", "count(//p)"])
def test_an_xpath_that_does_not_name_one_element_is_said_to(xpath: str) -> None:
    with pytest.raises(LookupError):
        resolve(payload(b"<article><p>a</p><p>b</p></article>", "jats-article"), at(xpath=xpath))


def test_entities_are_never_expanded_nor_files_opened() -> None:
    content = b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'
    with pytest.raises(LookupError, match="can't be read"):
        resolve(payload(content, "jats-article"), at(xpath="/a"))


def test_a_span_of_text_is_its_bytes_in_whatever_encoding() -> None:
    content = "Grüße".encode("utf-16")
    assert resolve(payload(content, "text"), at(start=4, end=8)).text == "rü"
    assert resolve(payload("Grüße".encode(), "text"), at(start=1, end=4)) == Slice("rü", 1, 4)


def test_what_has_no_place_in_the_bytes_is_said_to() -> None:
    with pytest.raises(LookupError, match="outside"):
        resolve(payload(b"short", "text"), at(start=2, end=99))
    with pytest.raises(LookupError, match="page"):
        resolve(payload(b"%PDF-", "pdf"), at(page=1))
    with pytest.raises(LookupError, match="can't be read"):
        resolve(payload(b'{"a": ', "x"), at(pointer="/a"))
