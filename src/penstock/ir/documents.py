"""The Document IR: one text, and structure that points into it by character spans.

`text` is the blocks' texts joined by a blank line. Everything else (sections, tables, figures) is a half-open span
`[start, end)` of characters in it. A block's `locator` says which part of the raw payload it came from, so that any
span of the text can be followed back to the bytes (`Document.locate`). Where a sentence goes on elsewhere, on the
next page say, its blocks are joined by one blank instead.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Literal, Self

from pydantic import Field as Extra
from pydantic import model_validator

from penstock.ir.model import Record, Text

BlockKind = Literal["title", "heading", "paragraph", "list_item", "table", "caption", "figure", "formula", "code"]


class Locator(Record):
    """A place in a raw payload, resolvable without our parsers.

    - JSON: `pointer` (RFC 6901) names a string; `start`/`end` are characters of it.
    - XML and HTML: `xpath` names an element or attribute (evaluated by lxml on the payload, HTML by lxml.html);
      `start`/`end` are characters of its string-value with runs of white space collapsed to one blank and stripped.
    - text: neither; `start`/`end` are bytes of the payload.
    - pages: `page` (from 1) and `box` (x0, y0, x1, y1 as fractions of the displayed page, origin top left).

    Without `start`/`end` the whole value is meant.
    """

    payload: str
    """sha256 (hex) of the raw payload's bytes."""
    pointer: str | None = None
    xpath: str | None = None
    start: int | None = None
    end: int | None = None
    page: int | None = None
    box: tuple[float, float, float, float] | None = None


class Block(Record):
    """A run of text with one origin. `exact`: the text is, character for character, what the locator resolves to."""

    kind: BlockKind
    start: int
    end: int
    locator: Locator
    exact: bool = True


class Section(Record):
    """`[start, end)` covers the heading and everything under it, subsections included. Level 1 is the outermost."""

    heading: Text
    level: int
    start: int
    end: int


class Table(Record):
    """`rows` are cell texts; the first `header_rows` of them are headings. The span covers its text in the document."""

    caption: Text = ""
    rows: tuple[tuple[Text, ...], ...] = ()
    header_rows: int = 0
    html: str | None = None
    start: int
    end: int


class Figure(Record):
    caption: Text = ""
    artifact: str | None = None
    page: int | None = None
    box: tuple[float, float, float, float] | None = None
    start: int
    end: int


class Identifier(Record):
    """`scheme` in lower case: nct, doi, pmid, pmcid, openalex, spl-set-id, orcid, ror, mesh, unii, rxcui, wikidata…"""

    scheme: str
    value: Text


class Reference(Record):
    """A work the document cites."""

    text: Text = ""
    identifiers: tuple[Identifier, ...] = ()
    locator: Locator | None = None


class DocumentDate(Record):
    """`value` is ISO 8601, as precise as the source was: 2024, 2024-03 or 2024-03-09. `kind`: published, updated…"""

    kind: str
    value: str


class Field(Record):
    """Something the source says in a field of its own rather than in prose.

    `name` is one of penstock.ir.fields.NAMES, `value` what it says, `identifiers` the ids it gives for that value,
    `attributes` what qualifies it (a score, a role, a type), `locator` the field's place in the payload.
    """

    name: str
    value: Text
    identifiers: tuple[Identifier, ...] = ()
    attributes: dict[str, Text] = Extra(default_factory=dict)
    locator: Locator


class Provenance(Record):
    parser: str
    version: str
    payload: str
    """sha256 (hex) of the raw payload's bytes."""
    raw: str | None = None
    """The artifact (sha256, hex) of what another program gave the parser, as it came."""


class Document(Record):
    """One parsed document. Spans are checked on construction: a parser that miscounts is caught where it happens."""

    doc_id: str
    source: str
    source_id: Text
    kind: str
    title: Text
    text: Text
    language: str | None = None
    blocks: tuple[Block, ...] = ()
    sections: tuple[Section, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    references: tuple[Reference, ...] = ()
    identifiers: tuple[Identifier, ...] = ()
    dates: tuple[DocumentDate, ...] = ()
    fields: tuple[Field, ...] = ()
    page_count: int | None = None
    missing_pages: tuple[int, ...] = ()
    """Pages (from 1) that have something on them of which no text could be had."""
    provenance: Provenance

    @model_validator(mode="after")
    def _spans_in_range(self) -> Self:
        size = len(self.text)
        last = 0
        for block in self.blocks:
            if not last <= block.start <= block.end <= size:
                raise ValueError(f"block [{block.start}, {block.end}) is out of order or outside the text (0..{size})")
            last = block.end
        parts: tuple[Section | Table | Figure, ...] = (*self.sections, *self.tables, *self.figures)
        for part in parts:
            if not 0 <= part.start <= part.end <= size:
                raise ValueError(f"{type(part).__name__} [{part.start}, {part.end}) is outside the text (0..{size})")
        return self

    def block_at(self, position: int) -> Block | None:
        """The block that holds the character at `position`, or None between blocks."""
        index = bisect_right(self.blocks, position, key=lambda block: block.start) - 1
        if index >= 0 and self.blocks[index].start <= position < self.blocks[index].end:
            return self.blocks[index]
        return None

    def locate(self, start: int, end: int) -> Locator | None:
        """Where `text[start:end]` came from: narrowed to the characters when its block is exact, else the block's."""
        block = self.block_at(start)
        if block is None:
            return None
        end = min(end, block.end)
        base = block.locator
        if not block.exact or base.page is not None:
            return base
        if base.pointer is not None or base.xpath is not None:
            first = (base.start or 0) + start - block.start
            return base.model_copy(update={"start": first, "end": first + end - start})
        first = (base.start or 0) + len(self.text[block.start : start].encode())
        return base.model_copy(update={"start": first, "end": first + len(self.text[start:end].encode())})
