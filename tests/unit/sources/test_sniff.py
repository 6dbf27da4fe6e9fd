from __future__ import annotations

import pytest

from penstock.sources.sniff import FAULTS, KINDS, KNOWN, READ, look


def test_every_kind_has_one_meaning() -> None:
    assert len(KINDS) == len(READ) + len(FAULTS) + len(KNOWN)


@pytest.mark.parametrize(
    ("head", "name", "kind"),
    [
        (b"", "a.json", "empty"),
        (b" \n\n", "a.txt", "empty"),
        (b"%PDF-1.7 ...", "a.txt", "pdf"),
        (b"\x00\x01junk\n%PDF-1.4", "a.html", "pdf"),
        (b"<!DOCTYPE html><html>", "paper.pdf", "html"),
        (b"<!-- saved -->\n<HTML lang=en>", "page", "html"),
        (b"<div>words</div>", "page", "html"),
        (b"<table><tr></tr></table>", "t.htm", "html"),
        (b'<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml">', "x.xml", "html"),
        (b'<article article-type="research-article"><front>', "a.nxml", "jats-article"),
        (b"<article><front></front><body>", "a.xml", "jats-article"),
        (b"<article><h1>no JATS</h1></article>", "a.html", "html"),
        (b"<PubmedArticle><MedlineCitation>", "a.xml", "pubmed-article"),
        (b"<PubmedBookArticle>", "a.xml", "pubmed-book"),
        (b'<?xml version="1.0"?><TEI xmlns="http://www.tei-c.org/ns/1.0"><text><head>', "a.xml", "tei"),
        (b"<TEI><teiHeader/><head>", "a.xml", "tei"),
        (b'<document xmlns="urn:hl7-org:v3">', "a.xml", "spl"),
        (b'<?xml version="1.0"?><rss>', "a.xml", "atom"),
        (b"# Title\n\ntext", "a.md", "markdown"),
        (b"# Title\n\ntext", "a.txt", "text"),
        (b"<details>in Markdown</details>", "a.md", "markdown"),
        (b"[1] Smith et al.", "refs.txt", "text"),
        (b"[link](there)", "a.md", "markdown"),
        (b"< 5 mg daily", "a", "text"),
        (b"{not json}", "a", "text"),
        (b"a,b\n1,2\n", "a.csv", "csv"),
        (b'{"a": 1}', "a.txt", "json"),
        (b"{\\rtf1", "a.doc", "rtf"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a.doc", "office"),
        (b"PK\x03\x04" + bytes(26) + b"[Content_Types].xml", "a.docx", "office"),
        (b"PK\x03\x04" + bytes(26) + b"mimetypeapplication/epub+zip", "a.epub", "epub"),
        (b"PK\x03\x04" + bytes(26) + b"data.json", "a.zip", "archive"),
        (bytes(range(256)) * 4, "a.txt", "binary"),
        (b"\x89PNG\r\n\x1a\n", "a.txt", "image"),
        (b"From: a@b\nSubject: x\n\nwords", "a", "email"),
        ("caf\xe9 cr\xe8me, 20 \xb0C".encode("cp1252"), "a.txt", "text"),
        (b"one stray \x02 control among " + b"many words " * 20, "a.txt", "text"),
        ("Größe".encode("utf-16"), "a.txt", "text"),
        ("plain words".encode("utf-16-le"), "a.txt", "text"),
        ('{"a": 1}'.encode("utf-16"), "a.json", "json"),
        ("<article><front>".encode("utf-16"), "a.xml", "jats-article"),
        (b"\xef\xbb\xbf<html>", "a", "html"),
    ],
)
def test_content_says_what_it_is_whatever_it_is_called(head: bytes, name: str, kind: str) -> None:
    assert look(head, name).kind == kind


@pytest.mark.parametrize(
    ("head", "charset"),
    [
        ("Größe".encode("utf-16"), "utf-16"),
        ("plain words".encode("utf-16-be"), "utf-16-be"),
        (b"\xef\xbb\xbfwords", "utf-8"),
        (b"words", ""),
        (b'<?xml version="1.0" encoding="ISO-8859-1"?><root/>', "iso-8859-1"),
        (b'<?xml version="1.0" encoding="UTF-8"?><root/>', ""),
        (b'<?xml version="1.0" encoding="hex"?><root/>', ""),
    ],
)
def test_a_charset_is_told_only_where_the_first_bytes_settle_it(head: bytes, charset: str) -> None:
    assert look(head, "a.txt" if b"<" not in head else "a.xml").charset == charset


def test_lines_of_json_are_told_from_a_pretty_printed_object() -> None:
    assert look(b'{"a": 1}\n{"a": 2}\n', "a.json").split == "lines"
    assert look(b'{\n  "a": 1,\n  "b": {\n', "a.json").split == "json"
    assert look(b'{"a": 1}', "a.jsonl").split == "lines"
