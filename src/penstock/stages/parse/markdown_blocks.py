"""markdown-it's tokens into blocks.

A block is located by the bytes of its source lines. Where its text stands in them as it is, the locator is narrowed to
that and the block is exact.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from penstock.ir import Locator
from penstock.ir.documents import BlockKind
from penstock.stages.parse.builder import DocumentBuilder
from penstock.stages.parse.html import html_tree
from penstock.stages.parse.html_flow import HtmlFlow
from penstock.stages.parse.reading import Reading
from penstock.stages.parse.text import ByteRuler, Decoded

if TYPE_CHECKING:
    from markdown_it.token import Token

_LINE = re.compile(r"\r\n?|\n")
_TAG = re.compile(r"<!--.*?(?:-->|\Z)|<[^<>]*>", re.DOTALL)
_BREAK = re.compile(r"<br\b", re.IGNORECASE)


class Source:
    """The decoded text by lines, from character `body` on, and the way from characters to bytes."""

    def __init__(self, builder: DocumentBuilder, decoded: Decoded, body: int) -> None:
        self.exact = decoded.exact
        self._builder = builder
        self._text = decoded.text
        self._ruler = ByteRuler(decoded)
        self._lines = [body, *(line.end() for line in _LINE.finditer(decoded.text, body)), len(decoded.text)]

    def at(self, start: int, end: int) -> Locator:
        return self._builder.span_of_bytes(self._ruler.at(start), self._ruler.at(end))

    def place(self, text: str, token: Token) -> tuple[str, Locator, bool]:
        """The text with its source's line ends where that makes it exact, its locator, and whether it is exact."""
        start, end = self._span(token)
        for ending in ("\n", "\r\n", "\r") if "\n" in text else ("\n",):
            written = text.replace("\n", ending)
            found = self._text.find(written, start, end)
            if found >= 0 and self.exact(written):
                return written, self.at(found, found + len(written)), True
        return text, self.at(start, end), False

    def _span(self, token: Token) -> tuple[int, int]:
        """Characters from the token's first line to its last, white space at the end left out."""
        last = len(self._lines) - 1
        first_line, end_line = token.map or (0, last)
        start, end = self._lines[min(first_line, last)], self._lines[min(end_line, last)]
        return start, start + len(self._text[start:end].rstrip())


class MarkdownBlocks:
    def __init__(self, builder: DocumentBuilder, source: Source) -> None:
        self.top_heading = ""
        self._top_level = 7
        self._builder = builder
        self._source = source
        self._lists = 0

    def read(self, tokens: Sequence[Token]) -> None:
        """All tokens of a file, in order. Raises BadInput (too-large) for HTML in it that goes too deep."""
        level = 0
        coming = iter(tokens)
        for token in coming:
            if token.type == "heading_open":
                level = int(token.tag[1:])
            elif token.type == "inline" and level:
                self._heading(token, level)
                level = 0
            elif token.type == "inline":
                self._put(_plain(token), token, "list_item" if self._lists else "paragraph")
            elif token.type in ("bullet_list_open", "ordered_list_open"):
                self._lists += 1
            elif token.type in ("bullet_list_close", "ordered_list_close"):
                self._lists -= 1
            elif token.type in ("fence", "code_block"):
                self._put(token.content.rstrip("\n"), token, "code")
            elif token.type == "html_block":
                self._html(token)
            elif token.type == "table_open":
                self._table(token, coming)

    def _put(self, text: str, token: Token, kind: BlockKind) -> None:
        text, locator, exact = self._source.place(text, token)
        self._builder.block(text, locator, kind, exact=exact)

    def _heading(self, token: Token, level: int) -> None:
        text, locator, exact = self._source.place(_plain(token), token)
        self._builder.heading(text, level, locator, exact=exact)
        if level < self._top_level and text.strip():
            self.top_heading, self._top_level = text, level

    def _html(self, token: Token) -> None:
        if _TAG.sub("", token.content).strip():
            _, place, _ = self._source.place(token.content, token)
            reading = Reading(html_tree(token.content))
            HtmlFlow(self._builder, reading, place).read(reading.root)

    def _table(self, table: Token, coming: Iterator[Token]) -> None:
        rows: list[list[str]] = []
        header_rows = 0
        for token in coming:
            if token.type == "table_close":
                break
            if token.type == "tr_open":
                rows.append([])
            elif token.type == "thead_close":
                header_rows = len(rows)
            elif token.type == "inline":
                rows[-1].append(_plain(token))
        _, place, _ = self._source.place("", table)
        self._builder.table(rows, place, header_rows=header_rows)


def _plain(token: Token) -> str:
    """What a reader sees of inline Markdown: link texts, code, alternative texts of images."""
    parts: list[str] = []
    for child in token.children or ():
        if child.type in ("softbreak", "hardbreak"):
            parts.append("\n")
        elif child.type == "html_inline":
            parts.append("\n" if _BREAK.match(child.content) else "")
        else:
            parts.append(child.content)
    return "".join(parts).strip()
