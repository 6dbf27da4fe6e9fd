"""What an engine makes of a PDF: its pages, and what stands on them in reading order.

All boxes are (x0, y0, x1, y1) in fractions of the page as it is displayed (its rotation applied, its crop box the
whole), origin top left: 0 ≤ x0 ≤ x1 ≤ 1 and 0 ≤ y0 ≤ y1 ≤ 1. Pages count from 1.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from penstock.ir.documents import BlockKind
from penstock.ir.model import Record, Text

Box = tuple[float, float, float, float]


class Page(Record):
    """`width` and `height` in points, as displayed; 0 where an engine isn't told. `kind`: text, blank (nothing on it),
    missing (there is something on it, but no text could be had)."""

    number: int
    width: float
    height: float
    kind: Literal["text", "blank", "missing"] = "text"


class Element(Record):
    """A run of text in one place, or a table, a formula, a figure.

    `level`: of a heading, from 1 (the title has none). `continues`: it goes on the sentence of the element before it,
    on another page or in another column. `text` of a formula is LaTeX without delimiters, of a table its caption-less
    text (cells by tabs, rows by line ends), of a figure "" or what can be read in it. `image`: a name in
    `Parsed.images`. `reference`: an entry of the list of works that the document cites. One without a word stands for
    what was read as part of an element of an earlier page.
    """

    kind: BlockKind
    text: Text
    page: int
    box: Box
    level: int = 0
    continues: bool = False
    caption: Text = ""
    rows: tuple[tuple[Text, ...], ...] = ()
    header_rows: int = 0
    html: str | None = None
    image: str | None = None
    reference: bool = False

    @model_validator(mode="after")
    def _box_on_page(self) -> Self:
        x0, y0, x1, y1 = self.box
        if not (0 <= x0 <= x1 <= 1 and 0 <= y0 <= y1 <= 1):
            raise ValueError(f"the box {self.box} is not on its page")
        return self


class Parsed(Record):
    """Pages in order from 1, elements in reading order. `raw`: what another program gave, as it came, to be kept.

    `producer` names that program and its version, "" where the engine itself did it all.
    """

    pages: tuple[Page, ...]
    elements: tuple[Element, ...]
    title: Text = ""
    language: str | None = None
    producer: str = ""
    images: dict[str, bytes] = Field(default_factory=dict, repr=False)
    raw: bytes | None = Field(default=None, repr=False)
