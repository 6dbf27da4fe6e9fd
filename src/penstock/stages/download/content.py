"""Whether bytes are a PDF, and what they are instead."""

from __future__ import annotations

from collections.abc import Iterator

from penstock.errors import BadInput
from penstock.sources.sniff import look

SNIFFED = 64 * 1024
"""So many bytes are looked at for what something is that is no PDF."""

_HEAD = 1024
_LONGEST_TITLE = 300


def is_pdf(data: bytes | bytearray) -> bool:
    """Whether `%PDF-` stands within the first KiB, where readers look for it (ISO 32000-1, annex H, 3.4.1)."""
    return b"%PDF-" in data[:_HEAD]


def pdf_only(pieces: Iterator[bytes], name: str, media_type: str) -> Iterator[bytes]:
    """The pieces again, the first few as one. Raises BadInput (empty, not-a-pdf) before it gives any."""
    begin = bytearray()
    for piece in pieces:
        begin += piece
        if len(begin) >= SNIFFED or (len(begin) >= _HEAD and is_pdf(begin)):
            break
    if not begin:
        raise BadInput(f"{name}: no bytes came", reason="empty")
    if not is_pdf(begin):
        raise not_a_pdf(name, begin, media_type)
    yield bytes(begin)
    yield from pieces


def not_a_pdf(name: str, data: bytes | bytearray, media_type: str = "") -> BadInput:
    """Says what it is. `media_type`: what came with it is called by its server, which decides in doubt only."""
    return BadInput(f"{name} is {_what(bytes(data[:SNIFFED]), media_type)}", reason="not-a-pdf")


def _what(data: bytes, media_type: str) -> str:
    """What came instead of a PDF, in a few words."""
    said = ".html" if "html" in media_type.lower() else ""
    if look(data, said).kind != "html":
        return "no PDF"
    title = _title(data, media_type)
    return f"a web page: “{title}”" if title else "a web page"


def _title(page: bytes, media_type: str) -> str:
    """Of a page's beginning, on one line, without what would steer a terminal; "" where none can be read."""
    from penstock.stages.parse.html import parse_html
    from penstock.stages.parse.text import stated_charset

    try:
        found = parse_html(page, stated_charset(media_type)).find(".//title")
    except BadInput:
        return ""
    text = "" if found is None else "".join(found.itertext())
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:_LONGEST_TITLE]
