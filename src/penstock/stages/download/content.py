"""Whether bytes are a PDF, and what they are instead."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from penstock.errors import BadInput

SNIFFED = 64 * 1024
"""So many bytes are looked at for what something is that is no PDF."""

_HEAD = 1024
_TITLE = re.compile(rb"<title[^>]{0,200}>([^<]{1,300})", re.IGNORECASE)
_MARKUP = re.compile(rb"\s*(?:<!--|<!doctype\s+html|<html|<head|<body|<\?xml)", re.IGNORECASE)


def is_pdf(data: bytes | bytearray) -> bool:
    """Whether `%PDF-` stands within the first KiB, where readers look for it (ISO 32000-1, annex H, 3.4.1)."""
    return b"%PDF-" in data[:_HEAD]


def pdf_only(pieces: Iterator[bytes], name: str) -> Iterator[bytes]:
    """The pieces again, the first few as one. Raises BadInput (empty, not-a-pdf) before it gives any."""
    begin = bytearray()
    for piece in pieces:
        begin += piece
        if len(begin) >= SNIFFED or (len(begin) >= _HEAD and is_pdf(begin)):
            break
    if not begin:
        raise BadInput(f"{name}: no bytes came", reason="empty")
    if not is_pdf(begin):
        raise not_a_pdf(name, begin)
    yield bytes(begin)
    yield from pieces


def not_a_pdf(name: str, data: bytes | bytearray) -> BadInput:
    return BadInput(f"{name} is {_what(data)}", reason="not-a-pdf")


def _what(data: bytes | bytearray) -> str:
    """What came instead of a PDF, in a few words."""
    if not _MARKUP.match(data[:_HEAD]):
        return "no PDF"
    title = _TITLE.search(data[:SNIFFED])
    if title is None:
        return "a web page"
    return f"a web page: “{' '.join(html.unescape(title[1].decode(errors='replace')).split())}”"
