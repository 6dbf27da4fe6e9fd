"""Where a span of a document's text stands on its pages."""

from __future__ import annotations

from penstock.ir.documents import Document
from penstock.ir.model import Record

Box = tuple[float, float, float, float]


class PagePlace(Record):
    """A page (from 1) and the boxes on it, in reading order: (x0, y0, x1, y1) as fractions of the displayed page, its
    origin top left."""

    page: int
    boxes: tuple[Box, ...]


def page_places(document: Document, start: int, end: int) -> tuple[PagePlace, ...]:
    """Of the blocks that `document.text[start:end]` has a part in; empty for a document without pages."""
    found: dict[int, list[Box]] = {}
    for block in document.blocks:
        place = block.locator
        if block.start < end and start < block.end and place.page is not None:
            boxes = found.setdefault(place.page, [])
            if place.box is not None and place.box not in boxes:
                boxes.append(place.box)
    return tuple(PagePlace(page=page, boxes=tuple(boxes)) for page, boxes in found.items())
