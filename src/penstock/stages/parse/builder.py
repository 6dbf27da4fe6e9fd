"""Put a Document together block by block, so that text, spans and locators can't disagree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from penstock.errors import BadInput
from penstock.ir import (
    Block,
    Document,
    DocumentDate,
    Field,
    Figure,
    Identifier,
    Locator,
    Provenance,
    RawPayload,
    Reference,
    Section,
    StageContext,
    Table,
    clean_text,
)
from penstock.ir.documents import BlockKind
from penstock.ir.fields import NAMES

SEPARATOR = "\n\n"


class DocumentBuilder:
    """One document in the making.

    `heading(text, level, locator)` opens a section, which ends where the next heading of its level or above begins.
    `block(text, locator)` adds a paragraph (or another kind). `exact` says that the text is, character for character,
    what the locator resolves to (see Locator); pass False where markup was taken out or pieces were joined.
    """

    def __init__(
        self, ctx: StageContext, payload: RawPayload, *, parser: str, version: str, sha256: str | None = None
    ) -> None:
        """`sha256` (hex): of the bytes that locators lead into, where these are not the payload's own."""
        self._payload = payload
        self.sha256 = sha256 or payload.sha256
        self._doc_id = ctx.doc_id
        self._provenance = Provenance(parser=parser, version=version, payload=self.sha256)
        self._parts: list[str] = []
        self._size = 0
        self._blocks: list[Block] = []
        self._open: list[tuple[str, int, int]] = []
        self._sections: list[Section] = []
        self._tables: list[Table] = []
        self._figures: list[Figure] = []
        self._references: list[Reference] = []
        self._identifiers: dict[tuple[str, str], Identifier] = {}
        self._dates: list[DocumentDate] = []
        self._fields: list[Field] = []
        self.title = ""
        self.language: str | None = None

    def pointer(self, *steps: str | int, start: int | None = None, end: int | None = None) -> Locator:
        """A JSON pointer into the payload; steps are escaped here (RFC 6901)."""
        path = "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)
        return Locator(payload=self.sha256, pointer=path, start=start, end=end)

    def xpath(self, path: str, start: int | None = None, end: int | None = None) -> Locator:
        return Locator(payload=self.sha256, xpath=path, start=start, end=end)

    def span_of_bytes(self, start: int, end: int) -> Locator:
        return Locator(payload=self.sha256, start=start, end=end)

    def on_page(self, page: int, box: tuple[float, float, float, float]) -> Locator:
        return Locator(payload=self.sha256, page=page, box=box)

    def block(
        self, text: str, locator: Locator, kind: BlockKind = "paragraph", *, exact: bool = True, continues: bool = False
    ) -> tuple[int, int] | None:
        """Append a block and return its span; None, and nothing appended, when it is blank.

        `continues`: it goes on the sentence of the block before it, elsewhere on the pages.
        """
        text = clean_text(text)
        if not text.strip():
            return None
        if self._parts:
            joint = " " if continues else SEPARATOR
            self._parts.append(joint)
            self._size += len(joint)
        start = self._size
        self._parts.append(text)
        self._size += len(text)
        self._blocks.append(Block(kind=kind, start=start, end=self._size, locator=locator, exact=exact))
        return start, self._size

    def heading(self, text: str, level: int, locator: Locator, *, exact: bool = True) -> None:
        """A heading, and the section it opens (level from 1)."""
        span = self.block(text, locator, "heading", exact=exact)
        if span is not None:
            self.section(text, level, start=span[0])

    def section(self, heading: str, level: int, *, start: int | None = None) -> None:
        """Open a section, for sources whose headings are field names and not part of the text."""
        if start is None:
            start = self.here
        self._close(level, at=start)
        self._open.append((clean_text(heading), level, start))

    def end_sections(self, since: int) -> None:
        """Close what was opened at `since` (see `here`) or later, for sources that say where a section ends."""
        while self._open and self._open[-1][2] >= since:
            self._close(self._open[-1][1], at=self._size + 1)

    def table(
        self,
        rows: Sequence[Sequence[str]],
        locator: Locator,
        *,
        caption: str = "",
        header_rows: int = 0,
        html: str | None = None,
    ) -> None:
        """A table: a block of its own, its cells joined by tabs and its rows by line ends, the caption first."""
        lines = ["\t".join(" ".join(cell.split()) for cell in row) for row in rows]
        span = self.block("\n".join([caption, *lines] if caption else lines), locator, "table", exact=False)
        if span is not None:
            cells = tuple(tuple(row) for row in rows)
            start, end = span
            self._tables.append(
                Table(caption=caption, rows=cells, header_rows=header_rows, html=html, start=start, end=end)
            )

    @property
    def here(self) -> int:
        """Where in the text the next block will start."""
        return self._size + (len(SEPARATOR) if self._parts else 0)

    def figure(self, caption: str, start: int, *, image: str | None = None, locator: Locator | None = None) -> None:
        """A figure, known by its caption: all blocks since `start` (see `here`); nothing when there are none and
        neither an image (an artifact) nor a place on a page is known."""
        if self._size > start or image or locator:
            page, box = (locator.page, locator.box) if locator else (None, None)
            first = min(start, self._size)
            self._figures.append(
                Figure(caption=caption, artifact=image, page=page, box=box, start=first, end=self._size)
            )

    def field(
        self,
        name: str,
        value: str | None,
        locator: Locator,
        *,
        identifiers: Iterable[Identifier] = (),
        attributes: Mapping[str, str] | None = None,
    ) -> None:
        """What the source says in a field (see penstock.ir.fields.NAMES); blank values are passed over."""
        if name not in NAMES:
            raise ValueError(f"{name!r} is not in penstock.ir.fields.NAMES")
        if value and value.strip():
            attributes = {key: text for key, text in (attributes or {}).items() if text}
            known = tuple(identifiers)
            self._fields.append(
                Field(name=name, value=value.strip(), locator=locator, identifiers=known, attributes=attributes)
            )

    def identifier(self, scheme: str, value: str | None) -> None:
        if value and value.strip():
            self._identifiers[scheme, value.strip()] = Identifier(scheme=scheme, value=value.strip())

    def date(self, kind: str, value: str | None) -> None:
        if value:
            self._dates.append(DocumentDate(kind=kind, value=value))

    def reference(self, text: str = "", identifiers: Iterable[Identifier] = (), locator: Locator | None = None) -> None:
        self._references.append(Reference(text=text, identifiers=tuple(identifiers), locator=locator))

    def build(self) -> Document:
        """The finished document. Raises BadInput (empty) when nothing in it can be read."""
        if not self._blocks:
            raise BadInput(f"no text in {self._payload.origin.uri}", reason="empty")
        self._close(0, at=self._size + 1)
        text = "".join(self._parts)
        title = " ".join(self.title.split())
        first = self._blocks[0]
        return Document(
            doc_id=self._doc_id,
            source=self._payload.source,
            source_id=self._payload.source_id,
            kind=self._payload.kind,
            title=title or " ".join(text[first.start : first.end].split())[:200],
            text=text,
            language=self.language,
            blocks=tuple(self._blocks),
            sections=tuple(sorted(self._sections, key=lambda section: (section.start, section.level))),
            tables=tuple(self._tables),
            figures=tuple(self._figures),
            references=tuple(self._references),
            identifiers=tuple(self._identifiers.values()),
            dates=tuple(self._dates),
            fields=tuple(self._fields),
            provenance=self._provenance,
        )

    def _close(self, level: int, *, at: int) -> None:
        """Close the open sections of `level` and deeper; they end with the last block that begins before `at`."""
        end = next((block.end for block in reversed(self._blocks) if block.start < at), 0)
        while self._open and self._open[-1][1] >= level:
            heading, depth, start = self._open.pop()
            if end > start:
                self._sections.append(Section(heading=heading, level=depth, start=start, end=end))
