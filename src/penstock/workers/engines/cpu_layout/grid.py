"""Tables by what stands below one another: each cell in its column, though some rows have fewer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from penstock.workers.engines.cpu_layout.blocks import WORD
from penstock.workers.engines.cpu_layout.geometry import overlap
from penstock.workers.engines.cpu_layout.lines import Line, Span
from penstock.workers.engines.cpu_layout.words import right_to_left

Rows = tuple[tuple[str, ...], ...]

_LEAST_ROWS = 3
_FULL_ROWS = 2
"""Rows that have a cell in every column; they tell where the columns are."""
_LEAST_COLUMNS = 3
"""Of a table that nothing says is one: two may be a list of words and what they mean, or lines with numbers."""
_HEAD = 2
"""Rows in which a cell may stand above several columns."""
_ALIGNED = 0.6
"""Of the size: edges or middles that are no further apart are at one place."""
_MOSTLY = 0.8
"""Of a column's cells are at one place."""
_FILLED = 0.6
"""Of all cells have text in them."""
_LONG_CELL = 30
"""Characters: cells are shorter on average."""
_LEADERS = re.compile(r"(?:[._·…] ?){4}")
"""Of a table of contents."""
_NUMBER = re.compile(r"\d{1,6}")
_NUMBERS = re.compile(r"[-+−]?\d\S*(?: [-+−]?\d\S*)+")
"""Of two columns with too little white between them."""

Cell = tuple[Span, str]


def grid(lines: Sequence[Line]) -> Rows:
    """A cell for each column in each row, "" where there is none; () if some cell is in no column or in several."""
    rows = [_cells(line) for line in lines]
    full = _full(rows)
    if len(lines) < _LEAST_ROWS or len(full) < _FULL_ROWS or len(full[0]) < 2:
        return ()
    columns = [(min(starts), max(ends)) for starts, ends in (zip(*spans, strict=True) for spans in _spans(full))]
    if any(overlap(*a, *b) >= 0 for a, b in pairwise(columns)):
        return ()
    found = [_row(cells, columns, is_head=number < _HEAD) for number, cells in enumerate(rows)]
    if not all(found):
        return ()
    from_right = right_to_left("".join(line.text for line in lines))
    return tuple(row[::-1] if from_right else row for row in found)


def is_sure(lines: Sequence[Line], rows: Rows) -> bool:
    """Whether a grid is a table, though no caption says so."""
    cells = [cell for row in rows for cell in row if cell]
    if not rows or len(rows[0]) < _LEAST_COLUMNS or len(cells) < _FILLED * len(rows) * len(rows[0]):
        return False
    if median(map(len, cells)) > _LONG_CELL or not any(map(WORD.search, cells)) or any(map(_LEADERS.search, cells)):
        return False
    if any(map(_NUMBERS.fullmatch, cells)):
        return False
    numbers = [int(row[0]) for row in rows if _NUMBER.fullmatch(row[0])]
    if len(numbers) == len(rows) and all(b == a + 1 for a, b in pairwise(numbers)):
        return False  # numbered lines
    full = _full([_cells(line) for line in lines])
    near = _ALIGNED * median(line.size for line in lines)
    return len(full) >= _LEAST_ROWS and all(_is_aligned(spans, near) for spans in _spans(full))


def _cells(line: Line) -> list[Cell]:
    """From left to right."""
    return sorted(zip(line.spans, line.cells, strict=True))


def _full(rows: Sequence[list[Cell]]) -> list[list[Cell]]:
    """Those with the most cells."""
    most = max(map(len, rows), default=0)
    return [cells for cells in rows if len(cells) == most]


def _spans(rows: Sequence[list[Cell]]) -> list[list[Span]]:
    """Of each column."""
    return [[span for span, _ in column] for column in zip(*rows, strict=True)]


def _row(cells: list[Cell], columns: Sequence[Span], *, is_head: bool) -> tuple[str, ...]:
    row = [""] * len(columns)
    for span, text in cells:
        places = [place for place, column in enumerate(columns) if overlap(*span, *column) > 0]
        if not places or row[places[0]] or (len(places) > 1 and not is_head):
            return ()
        row[places[0]] = text
    return tuple(row)


def _is_aligned(spans: Sequence[Span], near: float) -> bool:
    """By their left or right edges, or by their middles."""
    edges = zip(*((start, (start + end) / 2, end) for start, end in spans), strict=True)
    return any(sum(abs(x - median(edge)) <= near for x in edge) >= _MOSTLY * len(spans) for edge in edges)
