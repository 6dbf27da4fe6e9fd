"""Plain text: bytes to characters, and paragraphs that are the payload's own bytes.

A paragraph keeps its line ends as they stand. A line end is white space to a sentence splitter and to a search index
alike, so hard-wrapped text reads as prose, and every block stays the very bytes it came from.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass

from penstock.errors import BadInput
from penstock.ir import Document, RawPayload, StageContext, clean_text
from penstock.stages.parse.builder import DocumentBuilder

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_TAKEN = re.compile(
    r"utf-?8|utf-?16(-?[lb]e)?|iso-?8859-?\d{1,2}|(windows-?|cp)125\d|koi8-[ru]|gb2312|gbk|gb18030|big5(-hkscs)?|euc-(jp|kr)"
    r"|shift[_-]jis|iso-2022-jp|macintosh|latin-?1|(us-)?ascii|tis-620",
    re.IGNORECASE,
)
_REALLY_CP1252 = re.compile(r"iso-?8859-?1|latin-?1|(us-)?ascii", re.IGNORECASE)
_CONTROL = bytes(code for code in (*range(32), 127) if code not in b"\t\n\x0b\x0c\r\x1b")
_CHARSET = re.compile(r"charset\s*=\s*\"?([\w.:-]+)", re.IGNORECASE)
_GAP = re.compile(r"(?>\r\n|\n|\r)[^\S\r\n]*+[\r\n]\s*+|\f\s*+")
_UNIX_GAP = re.compile(r"\n[^\S\n]*+\n\s*+")
"""The same for text with neither carriage returns nor form feeds, and four times as fast."""
_TITLE = 200


@dataclass(frozen=True, slots=True)
class Decoded:
    """`text` starts at byte `offset` of the payload (after a byte order mark)."""

    text: str
    encoding: str
    errors: str
    offset: int

    def width(self, piece: str) -> int:
        """Bytes that a piece of `text` takes in the payload."""
        if piece.isascii() and not self.encoding.startswith(("utf-16", "utf-32")):
            return len(piece)
        return len(piece.encode(self.encoding, self.errors))

    def exact(self, piece: str) -> bool:
        """Whether its bytes in the payload, read as UTF-8, are this very piece."""
        if self.encoding == "utf-8":
            return clean_text(piece) == piece
        return piece.isascii() and not self.encoding.startswith(("utf-16", "utf-32")) and "\x00" not in piece


class ByteRuler:
    """Where in the payload a character stands. Cheap for positions that rise."""

    def __init__(self, decoded: Decoded) -> None:
        self._decoded = decoded
        self._position = 0
        self._byte = decoded.offset

    def at(self, position: int) -> int:
        if position < self._position:
            self._position, self._byte = 0, self._decoded.offset
        self._byte += self._decoded.width(self._decoded.text[self._position : position])
        self._position = position
        return self._byte


def parse(ctx: StageContext, payload: RawPayload) -> Document:
    """Paragraphs of plain text. Raises BadInput (empty, unsupported)."""
    decoded = decode(payload.content, stated_charset(payload.media_type))
    builder = DocumentBuilder(ctx, payload, parser="text", version="1")
    ruler = ByteRuler(decoded)
    for start, end in paragraphs(decoded.text):
        piece = decoded.text[start:end]
        if not builder.title:
            builder.title = piece.splitlines()[0][:_TITLE]
        locator = builder.span_of_bytes(ruler.at(start), ruler.at(end))
        builder.block(piece, locator, exact=decoded.exact(piece))
    return builder.build()


def stated_charset(media_type: str) -> str | None:
    found = _CHARSET.search(media_type)
    return found[1] if found else None


def decode(content: bytes, stated: str | None = None) -> Decoded:
    """Characters of text in an unknown encoding, each of them still the bytes it came from.

    Tried in order: a byte order mark, the stated encoding, UTF-16 without a mark (every second byte zero), UTF-8 that
    may be damaged in places, Windows-1252. What is no character becomes U+FFFD (or a lone surrogate, which the
    IR cleans to that). Raises BadInput: empty, unsupported (binary).
    """
    encoding, offset = _encoding(content, stated)
    body = content[offset:]
    if encoding.startswith(("utf-16", "utf-32")):
        unit = 2 if encoding.startswith("utf-16") else 4
        errors = "surrogatepass"
        body = body[: len(body) // unit * unit]
    else:
        errors = "surrogateescape" if encoding == "utf-8" else "replace"
        if len(body) - len(body.translate(None, _CONTROL)) > len(body) // 50:
            raise BadInput("binary data where text was expected", reason="unsupported")
    try:
        text = body.decode(encoding, errors)
    except UnicodeDecodeError as error:
        raise BadInput(f"text that is not {encoding} although it is marked so: {error.reason}") from None
    if not text.strip("\x00\ufeff \t\r\n\f\v"):
        raise BadInput("nothing but white space", reason="empty")
    if text.count("\x00") > len(text) // 50:
        raise BadInput("binary data where text was expected", reason="unsupported")
    return Decoded(text, encoding, errors, offset)


def paragraphs(text: str) -> Iterator[tuple[int, int]]:
    """Spans of text between blank lines or form feeds, white space around them left out."""
    start = 0
    gaps = _GAP if "\r" in text or "\f" in text else _UNIX_GAP
    for gap in gaps.finditer(text):
        yield from _trimmed(text, start, gap.start())
        start = gap.end()
    yield from _trimmed(text, start, len(text))


def _trimmed(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    piece = text[start:end]
    stripped = piece.strip()
    if stripped:
        start += len(piece) - len(piece.lstrip())
        yield start, start + len(stripped)


def _encoding(content: bytes, stated: str | None) -> tuple[str, int]:
    for mark, encoding in _BOMS:
        if content.startswith(mark):
            return encoding, len(mark)
    if stated and (name := _codec(stated)):
        return name, 0
    sample = content[:64]
    if len(sample) >= 4:
        if not any(sample[1::2]) and all(sample[0 : len(sample) & ~1 : 2]):
            return "utf-16-le", 0
        if not any(sample[0::2]) and all(sample[1::2]):
            return "utf-16-be", 0
    return ("utf-8" if _mostly_utf8(content) else "cp1252"), 0


def _codec(stated: str) -> str:
    """Python's name for it; "" for what is not taken, or is none (there are 15 of ISO 8859, the twelfth is missing)."""
    if not _TAKEN.fullmatch(stated):
        return ""
    if _REALLY_CP1252.fullmatch(stated):
        return "cp1252"
    try:
        name = codecs.lookup(stated).name
    except LookupError:
        return ""
    return "utf-16-le" if name == "utf-16" else name


def _mostly_utf8(content: bytes) -> bool:
    """Whether more of what is not ASCII is UTF-8 than is not: one damaged byte doesn't make a text Windows-1252."""
    if content.isascii():
        return True
    text = content.decode("utf-8", "surrogateescape")
    strange = [char for char in text if char > "\x7f"]
    broken = sum("\udc80" <= char <= "\udcff" for char in strange)
    return broken * 2 < len(strange)
