"""What a file is, told from its first bytes; its name decides only between kinds that look alike."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from typing import Literal

READ = {
    "clinicaltrials-study": "a ClinicalTrials.gov study (API v2)",
    "openalex-work": "an OpenAlex work",
    "openfda-drug-label": "an openFDA drug label",
    "unpaywall-record": "an Unpaywall record",
    "core-work": "a CORE work",
    "pmc-record": "an article's record in PMC's open data",
    "jats-article": "a JATS article",
    "pubmed-article": "a PubMed record",
    "html": "a web page",
    "markdown": "Markdown",
    "text": "plain text",
}
"""Kinds that are parsed."""

FAULTS = {
    "empty": "no bytes",
    "truncated": "it ends too early",
    "malformed": "broken bytes",
    "encrypted": "encrypted",
    "too-large": "larger than is taken; no bytes kept",
    "unreadable": "could not be read; no bytes kept",
    "not-found": "its source has no such record",
}
"""Kinds that say what is wrong with the bytes; each is the reason it is refused for."""

DAMAGE = FAULTS.keys() - {"not-found"}
"""Those that other records may be hidden by."""

KNOWN = {
    "pdf": "a PDF file",
    "archive": "an archive",
    "office": "an office document",
    "epub": "an e-book",
    "image": "an image",
    "email": "a mail message",
    "rtf": "rich text",
    "csv": "a table of values",
    "uri-list": "the address of a document",
    "binary": "unknown binary data",
    "xml": "XML of another kind",
    "pubmed-book": "a PubMed book record",
    "spl": "a structured product label (SPL)",
    "atom": "an Atom or RSS feed",
    "tei": "a TEI document",
    "json": "JSON of another kind",
    "json-schema": "a JSON schema",
    "api-error": "an error message of an API",
    "clinicaltrials-legacy": "ClinicalTrials.gov's retired API v1",
    "openalex-groups": "counts by group, of OpenAlex",
    "openalex-entity": "an OpenAlex entity that is no work",
    "openfda-drug-event": "an openFDA adverse event report",
    "openfda-drugsfda": "an openFDA Drugs@FDA application",
    "openfda-drug-ndc": "an openFDA NDC directory entry",
    "openfda-enforcement": "an openFDA recall report",
}
"""Kinds that are told apart so that they can be refused by name."""

KINDS = READ | FAULTS | KNOWN

HEAD = 1 << 16
"""Bytes of a file's start that `look` should be given."""

Split = Literal["json", "lines", "xml", "gzip", "zip"]

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MAGIC = (
    (b"PK\x03\x04", "archive"),
    (b"PK\x05\x06", "archive"),
    (b"\x1f\x8b", "archive"),
    (b"BZh", "archive"),
    (b"\xfd7zXZ\x00", "archive"),
    (b"7z\xbc\xaf\x27\x1c", "archive"),
    (b"Rar!\x1a\x07", "archive"),
    (b"\x28\xb5\x2f\xfd", "archive"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "office"),
    (b"{\\rtf", "rtf"),
    (b"\x89PNG\r\n\x1a\n", "image"),
    (b"\xff\xd8\xff", "image"),
    (b"GIF8", "image"),
    (b"II*\x00", "image"),
    (b"MM\x00*", "image"),
)
_MEDIA = {
    "html": "text/html",
    "markdown": "text/markdown",
    "text": "text/plain",
    "csv": "text/csv",
    "pdf": "application/pdf",
    "email": "message/rfc822",
}
_PROLOG = re.compile(
    rb"(?:\s++|<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^\[>]*+(?:\[.*?\]\s*+)?>)*+<(?:([\w.-]++):)?([A-Za-z_][\w.-]*+)",
    re.DOTALL | re.IGNORECASE,
)
_HTML = re.compile(rb"(?:\s|<!--.*?-->)*+<!doctype\s+html\b", re.IGNORECASE | re.DOTALL)
_HTML_TAGS = frozenset(
    b"a article b body br center div dl font footer form h1 h2 h3 h4 head header hr html i img main meta nav ol p pre"
    b" script section span style table title ul".split()
)
_XML = re.compile(rb"<\?xml\b|<!", re.IGNORECASE)
_ENCODING = re.compile(rb"""<\?xml[^>]*?\bencoding\s*=\s*["']([\w.-]+)["']""")
_EIGHT_BIT = re.compile(r"iso-8859-\d\d?|windows-125\d|koi8-[ru]|shift_jis|euc-(?:jp|kr)|gb2312|gbk|gb18030|big5")
"""Encodings other than UTF-8 that records cut out of a file would no longer declare."""
_MAIL = re.compile(
    rb"(?:[\w-]+:[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*\r?\n)*?(?:Received|MIME-Version|Message-ID|From):", re.I
)
_JSON = re.compile(rb'\{\s*(?:["}]|\Z)|\[\s*(?:["{\[\]]|\Z)')
_LINE_OF_JSON = re.compile(rb"\s*+\{[^\r\n]*\}[ \t]*+\r?\n\s*+\{")
_CONTROL = bytes(set(range(32)) - set(b"\t\n\r\x0b\x0c\x1b\x85"))
_XML_ROOTS = {b"article": "jats-article", b"PubmedArticle": "pubmed-article", b"PubmedBookArticle": "pubmed-book"}
_OTHER_ROOTS = {
    b"feed": "atom",
    b"rss": "atom",
    b"RDF": "atom",
    b"TEI": "tei",
    b"OA": "api-error",
    b"errorBean": "api-error",
    b"Error": "api-error",
}


@dataclass(frozen=True, slots=True)
class Look:
    """`kind` of the whole; `split` how records may be found in it; `charset` where its first bytes settle that."""

    kind: str
    split: Split | None = None
    charset: str = ""

    @property
    def media_type(self) -> str:
        form = _MEDIA.get(self.kind) or ("application/json" if self.split in ("json", "lines") else "")
        form = form or ("application/xml" if self.split == "xml" or self.kind in _XML_ROOTS.values() else "")
        form = form or "application/octet-stream"
        return f"{form}; charset={self.charset}" if self.charset else form


def look(head: bytes, name: str) -> Look:
    """What a file that begins with `head` (up to HEAD bytes) and has this name is.

    Text is UTF-8, UTF-16 or UTF-32 by byte order mark, UTF-16 without one when every second byte is zero, and else
    any 8-bit encoding as long as hardly any control characters are in it; which one, its parser finds out.
    """
    if not head:
        return Look("empty")
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return _magic(kind, head, name)
    if b"%PDF-" in head[:1024]:
        return Look("pdf")
    charset = _charset(head)
    text = head.decode(charset, "replace").encode() if charset else head
    sample = head[:4096]
    if not charset and len(sample) - len(sample.translate(None, _CONTROL)) > len(sample) // 100:
        return Look("archive" if head[257:262] == b"ustar" else "binary")
    return _text(text, name.lower(), "utf-8" if charset == "utf-8-sig" else charset)


def _magic(kind: str, head: bytes, name: str) -> Look:
    if head.startswith(b"\x1f\x8b"):
        return Look(kind, "gzip")
    if not head.startswith(b"PK"):
        return Look(kind)
    if head[30:58].startswith(b"mimetypeapplication/epub"):
        return Look("epub")
    office = (b"[Content_Types].xml", b"mimetypeapplication/vnd.oasis", b"_rels/.rels", b"word/", b"xl/", b"ppt/")
    if any(head[30:80].startswith(start) for start in office) or (b"[Content_Types].xml" in head and b"_rels/" in head):
        return Look("office")
    return Look(kind, "zip")


def _charset(head: bytes) -> str:
    for bom, charset in _BOMS:
        if head.startswith(bom):
            return charset
    sample = head[: len(head) & ~1 if len(head) < 64 else 64]
    if len(sample) >= 4:
        if not any(sample[1::2]) and all(sample[0::2]):
            return "utf-16-le"
        if not any(sample[0::2]) and all(sample[1::2]):
            return "utf-16-be"
    return ""


def _text(head: bytes, name: str, charset: str) -> Look:
    start = head.removeprefix(codecs.BOM_UTF8).lstrip()
    wide = charset.startswith(("utf-16", "utf-32"))
    if start[:1] in (b"{", b"["):
        if not name.endswith((".json", ".jsonl", ".ndjson")) and not _JSON.match(start):
            return _plain(name, charset)
        lines = name.endswith((".jsonl", ".ndjson")) or _LINE_OF_JSON.match(start)
        return Look("json", None if wide else "lines" if lines else "json", charset)
    if start[:1] == b"<":
        return _markup(start, name, charset, wide=wide)
    if name.endswith((".eml", ".mbox")) or (_MAIL.match(head[:2048]) and b"\nSubject:" in head[:8192]):
        return Look("email", None, charset)
    if not start:
        return Look("empty" if len(head) < HEAD else "text")
    return _plain(name, charset)


def _plain(name: str, charset: str) -> Look:
    if name.endswith((".md", ".markdown", ".mdown")):
        return Look("markdown", None, charset)
    if name.endswith((".html", ".htm", ".xhtml")):
        return Look("html", None, charset)
    return Look("csv" if name.endswith((".csv", ".tsv")) else "text", None, charset)


def _markup(start: bytes, name: str, charset: str, *, wide: bool) -> Look:
    found = _PROLOG.match(start)
    root = found.group(2) if found else b""
    if root.lower() == b"html" or _HTML.match(start):
        return Look("html", None, charset)
    record = _XML_ROOTS.get(root) if root != b"article" or b"<front" in start else None
    if record is None and not start.startswith(b"<?xml"):
        if name.endswith((".md", ".markdown", ".txt", ".html", ".htm")):
            return _plain(name, charset)
        if root.lower() in _HTML_TAGS:
            return Look("html", None, charset)
    if not found and not _XML.match(start):
        return _plain(name, charset)
    declared = _ENCODING.match(start)
    if declared and not charset:
        stated = declared.group(1).decode().lower()
        charset = stated if _EIGHT_BIT.fullmatch(stated) else ""
    if record or root == b"article":
        return Look(record or "xml", None, charset)
    if root == b"document" and b"urn:hl7-org:v3" in start[:4096]:
        return Look("spl", None, charset)
    return Look(_OTHER_ROOTS.get(root, "xml"), None if wide else "xml", charset)
