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
        below = {column: (text, left - 1) for column, (text, left) in above.items() if left > 1}
        for cell in row:
            _fill(line, above)
            columns = cell.columns if cell.columns <= room else 1
            room -= columns - 1
            for column in range(len(line), len(line) + columns):
                if cell.rows > 1 and room > 0:
                    below[column] = cell.text, cell.rows - 1
                line.append(cell.text)
        _fill(line, above)
        room -= len(below)
        result.append(line)
        above = below if room > 0 else {}
    return result


def _fill(line: list[str], above: dict[int, tuple[str, int]]) -> None:
    """Add the cells that reach down to where the line has got."""
    while len(line) in above:
        line.append(above[len(line)][0])
