"""Tables with merged cells, laid out as a grid in which every merged cell's text stands wherever it reaches."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_MOST = 50_000
"""Cells that spans may add to one table: `colspan="1000"` is ten bytes, and a hostile page has room for many."""
_WIDEST = 1_000
_NUMBER = re.compile(r"\s*(\d{1,5})")


@dataclass(frozen=True, slots=True)
class Cell:
    text: str
    columns: int = 1
    rows: int = 1


def span(stated: str | None) -> int:
    """A colspan or rowspan attribute as a number from 1 to 1,000."""
    found = _NUMBER.match(stated or "")
    return min(max(int(found[1]), 1), _WIDEST) if found else 1


def grid(rows: Iterable[Sequence[Cell]]) -> list[list[str]]:
    """The rows' texts, spans filled in. Once spans have added 50,000 cells, further ones count as 1."""
    room = _MOST
    result: list[list[str]] = []
    above: dict[int, tuple[str, int]] = {}
    for row in rows:
        line: list[str] = []
        below: dict[int, tuple[str, int]] = {}

        def reach_down(line: list[str] = line, below: dict[int, tuple[str, int]] = below) -> None:
            while len(line) in above:
                text, left = above.pop(len(line))
                if left > 1:
                    below[len(line)] = text, left - 1
                line.append(text)

        for cell in row:
            reach_down()
            columns = cell.columns if cell.columns <= room else 1
            room -= columns - 1
            for _ in range(columns):
                if cell.rows > 1 and room > 0:
                    below[len(line)] = cell.text, cell.rows - 1
                line.append(cell.text)
        reach_down()
        room -= len(below)
        result.append(line)
        above = below if room > 0 else {}
    return result
