"""What the readers of all formats write to: pages and elements under construction, in the order they are read."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from itertools import chain, takewhile
from typing import Any, Literal

from penstock.errors import BadInput
from penstock.ir.documents import BlockKind
from penstock.ir.model import clean_text
from penstock.stages.parse.html_table import table_rows
from penstock.workers.mineru.inline import plain
from penstock.workers.mineru.place import Place
from penstock.workers.parsed import Element, Page, Parsed

_NUMBERED = re.compile(r"(?:\d{1,2}|[A-Z])((?:\.\d{1,2}){0,5})\.?\s")
_FENCED = re.compile(r"\s*```[^\n]*\n(.*?)\n?```\s*", re.DOTALL)
_MARKED_UP = re.compile(r"\s*<div class=\"mineru-algorithm\"[^>]{0,200}>\n?(.*?)\n?</div>\s*", re.DOTALL)

Prose = Literal["text", "reference"]
"""What a later part may go on with: paragraphs and list items, or entries of the list of references."""


class Draft:
    """`picture` gives the name of the image file that the results call so, or None where it can't be had."""

    def __init__(self, picture: Callable[[str], str | None]) -> None:
        self._picture = picture
        self._sizes: dict[int, tuple[float, float]] = {}
        self._merged: set[int] = set()
        self._runs: list[list[Element]] = []
        """Elements in reading order; the parts of one sentence, wherever they stand, are one run."""
        self._last: dict[Prose, list[Element]] = {}

    def page(self, number: int, width: float = 0.0, height: float = 0.0) -> None:
        self._sizes[number] = width, height

    def merged(self, at: Place) -> None:
        """What stands here is in an element of an earlier page: an element without a word, so that its page is known
        to be read."""
        self._merged.add(at.page)
        self._runs.append([_element("paragraph", "", at)])

    def heading(self, text: str, level: int, at: Place) -> None:
        """`level` as MinerU counts: the title is of level 1."""
        self._add("heading", text, at, level=level)

    def text(self, text: str, at: Place, kind: BlockKind = "paragraph", *, continues: bool = False) -> None:
        self._say("text", text, at, kind, continues)

    def reference(self, text: str, at: Place, *, continues: bool = False) -> None:
        self._say("reference", text, at, "list_item", continues)

    def note(self, text: str, at: Place) -> None:
        """A footnote: of the page, a table or a figure."""
        self._add("paragraph", text, at)

    def code(self, text: str, at: Place, caption: str = "") -> None:
        """Lines as they stand; a fence or MinerU's own mark-up around them is taken off."""
        if fenced := _FENCED.fullmatch(text):
            text = fenced[1]
        elif marked := _MARKED_UP.fullmatch(text):
            text = html.unescape(marked[1])
        lines = "\n".join(line.rstrip() for line in text.splitlines())
        self._add("code", lines.strip("\n"), at, caption=caption)

    def formula(self, latex: str, at: Place, image: str = "") -> None:
        """One that was only pictured is a figure."""
        bare = latex.strip().removeprefix("$$").removesuffix("$$").strip()
        if bare:
            self._add("formula", bare, at)
        else:
            self.figure("", at, image=image)

    def figure(self, text: str, at: Place, caption: str = "", image: str = "") -> None:
        """`text`: what can be read in it, of a chart a table in Markdown or HTML."""
        if "<table" in text:
            own, rows, _ = _table(text)
            text = _spoken(rows) or own
        self._add("figure", text.strip(), at, caption=caption, image=self._picture(image) if image else None)

    def table(self, body: str, at: Place, caption: str = "", image: str = "") -> None:
        """`body`: HTML. One that was only pictured is a figure; of one that is neither, an earlier one has the rows."""
        if not (body or image):
            self.merged(at)
            self.note(caption, at)
            return
        own, rows, header_rows = _table(body) if body else ("", [], 0)
        text = _spoken(rows) if rows else own
        if not text.strip():
            self.figure("", at, caption, image)
            return
        self._add(
            "table",
            text,
            at,
            caption=caption or (own if rows else ""),
            rows=tuple(map(tuple, rows)),
            header_rows=header_rows,
            html=body,
        )

    def parsed(self, producer: str, title: str = "") -> Parsed:
        """`title` is taken where the pages have none. Raises BadInput (no-pages)."""
        elements = _levelled(list(chain.from_iterable(self._runs)))
        told = {element.page for element in elements if element.text or element.caption} | self._merged
        shown = {element.page for element in elements}
        pages = [
            Page(
                number=number,
                width=width,
                height=height,
                kind="text" if number in told else "missing" if number in shown else "blank",
            )
            for number, (width, height) in sorted(self._sizes.items())
        ]
        if not pages:
            raise BadInput("it has no pages", reason="no-pages")
        titles = (element.text for element in elements if element.kind == "title")
        return Parsed(
            pages=tuple(pages), elements=tuple(elements), title=next(titles, title.strip()), producer=producer
        )

    def _say(self, prose: Prose, text: str, at: Place, kind: BlockKind, continues: bool) -> None:
        text = " ".join(text.split())
        if not text:
            return
        run = self._last.get(prose) if continues else None
        if run:
            run.append(_element(kind, text, at, continues=True, reference=prose == "reference"))
        else:
            self._last[prose] = self._add(kind, text, at, reference=prose == "reference")

    def _add(self, kind: BlockKind, text: str, at: Place, **more: Any) -> list[Element]:
        text = text if kind in ("code", "table", "formula", "figure") else " ".join(text.split())
        run = [_element(kind, text, at, **more)] if text or kind == "figure" or more.get("caption") else []
        self._runs.append(run)
        return run


def _element(kind: BlockKind, text: str, at: Place, **more: Any) -> Element:
    return Element(kind=kind, text=text, page=at.page, box=at.box, **more)


def _table(body: str) -> tuple[str, list[list[str]], int]:
    return table_rows(clean_text(plain(body)))


def _spoken(rows: list[list[str]]) -> str:
    return "\n".join("\t".join(row) for row in rows)


def _levelled(elements: list[Element]) -> list[Element]:
    """Headings with the levels that Element has: the title is none, what is under it starts from 1.

    A document whose outermost headings all come before the others has a title: the first (names of authors are often
    set as large). Where all others are of the outermost level MinerU had no model for levels: their numbers say more.
    """
    headings = [element for element in elements if element.kind == "heading"]
    inner = [heading for heading in headings if heading.level > 1]
    opening = list(takewhile(lambda heading: heading.level <= 1, headings))
    titled = opening if len(opening) + len(inner) == len(headings) and (inner or len(headings) == 1) else []
    others = headings[len(titled) :]
    levels = {heading.level for heading in others}
    top = 1 if 1 in levels else 2
    roles: dict[int, dict[str, Any]] = {id(line): {"kind": "paragraph", "level": 0} for line in titled}
    if titled:
        roles[id(titled[0])]["kind"] = "title"
    for heading in others:
        numbered = _NUMBERED.match(heading.text) if levels == {top} else None
        depth = numbered[1].count(".") if numbered else heading.level - top
        roles[id(heading)] = {"level": 1 + depth}
    return [element.model_copy(update=roles[id(element)]) if id(element) in roles else element for element in elements]
