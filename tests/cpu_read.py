"""What the CPU engine makes of PDFs that are made for the purpose."""

from __future__ import annotations

from pathlib import Path

import pytest

from pdfs import text
from penstock.errors import BadInput
from penstock.workers.engines.cpu import CpuEngine, CpuOptions
from penstock.workers.parsed import Element, Parsed

LEFT = [
    "The patients of the first ward were seen by the same two",
    "nurses every morning, and what they said was written down",
    "in a book that lay open on the table beside the door. Some",
    "of them had been there for many weeks, and of those who",
]
RIGHT = [
    "had, most remembered the day on which the old physician",
    "had left. Nobody could tell why he had gone, or where he",
    "was now, but all of them agreed that he had been a kind",
    "man who never raised his voice and always took his time.",
]


class Read:
    """Parses what `pdf` makes, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "a.pdf"

    def __call__(self, content: bytes, **options: int) -> Parsed:
        self._path.write_bytes(content)
        return CpuEngine(CpuOptions(**options)).parse(self._path, lambda _done, _all: None)

    def reason(self, content: bytes, **options: int) -> str:
        with pytest.raises(BadInput) as caught:
            self(content, **options)
        return caught.value.reason


def texts(parsed: Parsed) -> list[str]:
    return [element.text for element in parsed.elements]


def only(parsed: Parsed) -> Element:
    (element,) = parsed.elements
    return element


def table(*rows: tuple[str, ...], x: float = 72, y: float = 700) -> str:
    return "".join(
        text(cell, x=x + 90 * column, y=y - 14 * row)
        for row, cells in enumerate(rows)
        for column, cell in enumerate(cells)
    )
