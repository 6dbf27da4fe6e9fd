"""Lines of a column: the runs that stand beside one another, as cells that wide white parts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from penstock.workers.engines.cpu_layout.geometry import rows, union
from penstock.workers.engines.cpu_layout.reading import NARROW_GAP, Run
from penstock.workers.engines.cpu_layout.words import right_to_left
from penstock.workers.parsed import Box

MARKER = re.compile(r"(?:[•▪●■◦○‣–—*·-]|[(\[]?(?:\d{1,3}|[a-z]|[ivx]{1,4})[.)\]])(?=\s|$)")
"""What starts an item of a list: a bullet, or a number or letter with a stop or bracket behind it."""
_WIDE_GAP = 1.0
"""Of the size: white between cells."""
_BLANK = 0.18
"""Of the size: less white between two runs is none."""
_ALMOST_ALL = 0.8


Span = tuple[float, float]
"""From where to where something goes, from left to right."""


@dataclass(frozen=True, slots=True)
class Line:
    """`cells`: one in prose, `spans`: where each of them is. `base`: the baseline's y."""

    cells: tuple[str, ...]
    spans: tuple[Span, ...]
    box: Box
    base: float
    size: float
    bold: bool

    @property
    def text(self) -> str:
        return self.cells[0] if len(self.cells) == 1 else " ".join(self.cells)


def stretches(runs: Sequence[Run]) -> list[list[Run]]:
    """The runs that stand beside one another with no more than blanks between them: a whole line of a column, where a
    formula in it may have been a run of its own."""
    found: list[list[Run]] = []
    for row in rows([run.box for run in runs]):
        end = float("-inf")
        for run in (runs[place] for place in row):
            if run.x0 - end > NARROW_GAP * run.size:
                found.append([])
            found[-1].append(run)
            end = max(end, run.x1)
    return found


def lines(runs: Sequence[Run]) -> list[Line]:
    """From top to bottom."""
    return [_line([runs[place] for place in row]) for row in rows([run.box for run in runs])]


def _line(runs: list[Run]) -> Line:
    main = runs[0] if len(runs) == 1 else max(runs, key=lambda run: len(run.text))
    cells: list[str] = []
    spans: list[Span] = []
    end = runs[0].x0
    for run in runs:
        gap = run.x0 - end
        if not cells or (gap > _WIDE_GAP * main.size and not MARKER.fullmatch(cells[-1])):
            cells.append(run.text)
            spans.append((run.x0, run.x1))
        else:
            backwards = right_to_left(run.text) and right_to_left(cells[-1])
            first, second = (run.text, cells[-1]) if backwards else (cells[-1], run.text)
            cells[-1] = f"{first} {second}" if gap > _BLANK * main.size else f"{first}{second}"
            spans[-1] = spans[-1][0], max(spans[-1][1], run.x1)
        end = max(end, run.x1)
    if len(cells) > 1 and right_to_left("".join(cells)):
        cells.reverse()
        spans.reverse()
    letters = sum(len(run.text) for run in runs)
    bold = sum(len(run.text) for run in runs if run.bold) >= _ALMOST_ALL * letters
    box = main.box if len(runs) == 1 else union(run.box for run in runs)
    return Line(tuple(cells), tuple(spans), box, main.base, main.size, bold)
