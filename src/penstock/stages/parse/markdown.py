"""Markdown (CommonMark with GitHub's tables): blocks without their markup, located by the source lines they came from.

Where a block's text stands in its lines as it is, the locator is narrowed to it and the block is exact. Front matter
(a YAML mapping between `---` lines) gives title, dates, keywords and authors; anything else between such lines is text.
HTML blocks are read as HTML.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING

from penstock.errors import BadInput
from penstock.ir import Document, Locator, RawPayload, StageContext
from penstock.ir.documents import BlockKind
from penstock.stages.parse.builder import DocumentBuilder
from penstock.stages.parse.front_matter import Entry, read_front_matter
from penstock.stages.parse.html import html_tree
from penstock.stages.parse.html_flow import HtmlFlow
from penstock.stages.parse.reading import Reading
from penstock.stages.parse.scholarly import position, written_date
from penstock.stages.parse.text import ByteRuler, decode, stated_charset

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_MOST = 4_000_000
"""Characters. The parser takes seconds for a megabyte, and far longer for one built to hurt."""
_LINE = re.compile(r"\r\n?|\n")
_TAG = re.compile(r"<!--.*?(?:-->|\Z)|<[^>]*>", re.DOTALL)
_BREAK = re.compile(r"<br\b", re.IGNORECASE)
_PUBLISHED, _UPDATED = ("date", "published", "publishdate", "pubdate"), ("updated", "lastmod", "modified", "last_modified")


def parse(ctx: StageContext, payload: RawPayload) -> Document:
    """One Markdown file. Raises BadInput: empty, unsupported (binary), too-large (more than four million characters)."""
    decoded = decode(payload.content, stated_charset(payload.media_type))
    if len(decoded.text) > _MOST:
        raise BadInput(f"Markdown of {len(decoded.text):,} characters; {_MOST:,} are taken", reason="too-large")
    builder = DocumentBuilder(ctx, payload, parser="markdown", version="1")
    entries, body = read_front_matter(decoded.text)
    ruler = ByteRuler(decoded)
    _say(builder, ruler, entries)
    source = _Source(builder, ruler, decoded.text, body, decoded.exact)
    tokens = _parser().parse(decoded.text[body:])
    _Blocks(builder, source).read(tokens)
    return builder.build()


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"maxNesting": 64}).enable(["table", "strikethrough"])


def _say(builder: DocumentBuilder, ruler: ByteRuler, entries: dict[str, list[Entry]]) -> None:
    def stated(*names: str) -> list[Entry]:
        return next((entries[name] for name in names if entries.get(name)), [])

    def field(name: str, entry: Entry, **attributes: str) -> None:
        locator = builder.span_of_bytes(ruler.at(entry.start), ruler.at(entry.end))
        builder.field(name, entry.text, locator, attributes=attributes)

    for entry in stated("title")[:1]:
        builder.title = entry.text
        builder.block(entry.text, builder.span_of_bytes(ruler.at(entry.start), ruler.at(entry.end)), "title")
    for kind, names in (("published", _PUBLISHED), ("updated", _UPDATED)):
        for entry in stated(*names)[:1]:
            builder.date(kind, written_date(entry.text))
    for entry in stated("keywords", "tags"):
        field("keyword", entry)
    authors = stated("authors", "author")
    for index, entry in enumerate(authors):
        field("author", entry, position=position(index, len(authors)))
    for entry in stated("lang", "language")[:1]:
        builder.language = entry.text.lower()


class _Source:
    """The text the parser was given, by lines, and the way from them to bytes."""

    def __init__(self, builder: DocumentBuilder, ruler: ByteRuler, text: str, body: int, exact: object) -> None:
        self._builder = builder
        self._ruler = ruler
        self._text = text
        self._exact = exact
        self._lines = [body, *(line.end() for line in _LINE.finditer(text, body)), len(text)]

    def lines(self, token: Token) -> tuple[int, int]:
        """Characters from the token's first line to its last, blank lines at the end left out."""
        first, last = token.map or (0, len(self._lines) - 1)
        start = self._lines[min(first, len(self._lines) - 1)]
        end = self._lines[min(last, len(self._lines) - 1)]
        return start, start + len(self._text[start:end].rstrip())
