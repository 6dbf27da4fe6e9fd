"""The content of a web page, or of HTML inside Markdown, into blocks."""

from __future__ import annotations

from collections.abc import Callable

from penstock.ir import Locator
from penstock.ir.documents import BlockKind
from penstock.stages.parse.builder import DocumentBuilder
from penstock.stages.parse.html_roles import role
from penstock.stages.parse.reading import Passage, Reading, Role
from penstock.stages.parse.tables import Cell, grid, span
from penstock.stages.parse.text import paragraphs
from penstock.stages.parse.xml import Element

_LEVELS = {f"h{level}": level for level in range(1, 7)}
_KINDS: dict[str, BlockKind] = {
    "li": "list_item",
    "dd": "list_item",
    "dt": "list_item",
    "caption": "caption",
    "figcaption": "caption",
}
_SCOPES = frozenset(("section", "article", "aside", "blockquote", "details", "li", "td", "dd"))
"""Elements at whose end the sections end that began in them."""
_CODE = ("code", "samp", "kbd")


class HtmlFlow:
    """`place` puts all locators at one place, where the payload is not the HTML itself; no block is exact then."""

    def __init__(self, builder: DocumentBuilder, reading: Reading, place: Locator | None = None) -> None:
        self._builder = builder
        self._reading = reading
        self._place = place
        self._readers: dict[str, Callable[[Element], None]] = {
            "table": self._table,
            "pre": self._preformatted,
            "figure": self._figure,
        }

    def read(self, container: Element, kind: BlockKind = "paragraph") -> None:
        for part in self._reading.passages(container, role):
            if isinstance(part, Passage):
                self._put(part, kind)
            elif part.tag in _LEVELS and kind != "caption":
                self._heading(part)
            elif reader := self._readers.get(part.tag):
                reader(part)
            else:
                start = self._builder.here
                self.read(part, _KINDS.get(part.tag, kind))
                if part.tag in _SCOPES:
                    self._builder.end_sections(start)

    def _put(self, passage: Passage, kind: BlockKind) -> tuple[int, int] | None:
        return self._builder.block(passage.text, self._at(passage), kind, exact=self._exact(passage))

    def _at(self, passage: Passage) -> Locator:
        return self._place or self._builder.xpath(passage.path, passage.start, passage.end)

    def _exact(self, passage: Passage) -> bool:
        return passage.exact and self._place is None

    def _heading(self, heading: Element) -> None:
        passage = self._reading.passage(heading, role)
        if passage is not None:
            self._builder.heading(passage.text, _LEVELS[heading.tag], self._at(passage), exact=self._exact(passage))

    def _figure(self, figure: Element) -> None:
        start = self._builder.here
        self.read(figure, "caption")
        caption = next((text for each in figure.iter("figcaption") if (text := self._reading.text(each))), "")
        if caption:
            self._builder.figure(caption, start)

    def _table(self, table: Element) -> None:
        rows = [] if _arranges(table) else [row for row in table.iter("tr") if role(row) is not Role.SKIP]
        cells = [[cell for cell in row if cell.tag in ("td", "th")] for row in rows]
        if len(cells) <= 1 or max(len(row) for row in cells) <= 1:
            self.read(table)
            return
        passages = [self._reading.passage(each, role) for each in table.findall("caption")]
        caption = " ".join(passage.text for passage in passages if passage is not None)
        heads = next((at for at, row in enumerate(cells) if not _is_head(rows[at], row)), len(rows))
        locator = self._place or self._builder.xpath(self._reading.path(table))
        filled = grid([[self._cell(cell) for cell in row] for row in cells])
        self._builder.table(filled, locator, caption=caption, header_rows=heads)

    def _cell(self, cell: Element) -> Cell:
        passage = self._reading.passage(cell, role)
        return Cell(passage.text if passage else "", span(cell.get("colspan")), span(cell.get("rowspan")))

    def _preformatted(self, pre: Element) -> None:
        """Paragraphs of preformatted text; code keeps its lines, anything else is prose that somebody wrapped."""
        reading, builder = self._reading, self._builder
        text, whole = str(pre.xpath("string()")), reading.text(pre)
        if any(pre.find(f".//{tag}") is not None for tag in _CODE) or pre.getparent().tag in _CODE:
            locator = self._place or builder.xpath(reading.path(pre))
            code = text.strip("\r\n")
            builder.block(code, locator, "code", exact=self._place is None and code == whole)
            return
        at = 0
        for start, end in paragraphs(text):
            words = " ".join(text[start:end].split())
            passage = Passage(words, reading.path(pre), at, at + len(words), exact=True)
            self._put(passage, "paragraph")
            at += len(words) + 1


def _is_head(row: Element, cells: list[Element]) -> bool:
    return row.getparent().tag == "thead" or (bool(cells) and all(cell.tag == "th" for cell in cells))


def _arranges(table: Element) -> bool:
    """Whether a table is there for layout: it says so, or holds tables, headings or lists."""
    return table.get("role") in ("presentation", "none") or any(
        next(table.iterdescendants(tag), None) is not None for tag in ("table", *_LEVELS, "ul", "ol", "pre")
    )
