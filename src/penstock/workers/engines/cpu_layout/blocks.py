"""Blocks of a column: lines that belong together, as prose or as rows of a table."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from penstock.workers.engines.cpu_layout.geometry import overlap, union
from penstock.workers.engines.cpu_layout.lines import MARKER, Line
from penstock.workers.engines.cpu_layout.words import right_to_left, seam
from penstock.workers.parsed import Box

_SENTENCE_END = re.compile(r"[.?!:;。！？][\"”’')\]]*$")
_SURE_MARKER = re.compile(r"[•▪●■◦○‣]\s|\[\d{1,3}\]")
_SAME_SIZE = 0.08
_USUAL_PITCH = 1.25
"""Of the size, from baseline to baseline, where nothing else is known."""
_WIDEST_PITCH = 3.0
_PARTED = 1.3
"""Of the usual pitch: further apart they are two blocks."""
_ROWS_PARTED = 2.6
_INDENT = 0.7
"""Of the size."""
_FULL = 1.5
"""Of the size: a line that ends no further from the right edge is full."""
_SHORT = 0.25
"""Of the column's width: a line that ends so far from the right edge may end a paragraph."""
_LEAST_ROWS = 3
_LONG_LINE = 20
"""Characters: lines as long tell how far apart lines are."""
_SCRAP = 20
"""Characters: what is shorter and has no word is a scrap of a drawing or a formula."""
WORD = re.compile(r"[^\W\d_]{3}")


@dataclass(frozen=True, slots=True)
class Block:
    """`tabular`: its lines are rows of cells."""

    lines: tuple[Line, ...]
    tabular: bool = False

    @property
    def box(self) -> Box:
        return union(line.box for line in self.lines)

    @property
    def size(self) -> float:
        return max(self.lines, key=lambda line: len(line.text)).size

    @property
    def bold(self) -> bool:
        return all(line.bold for line in self.lines)

    @property
    def is_scrap(self) -> bool:
        return all(len(line.text) < _SCRAP and not WORD.search(line.text) for line in self.lines)

    def text(self, own: frozenset[str]) -> str:
        """Prose as one line, rows each as one with tabs between cells. `own`: see `words.compounds`."""
        if self.tabular:
            return "\n".join("\t".join(line.cells) for line in self.lines)
        parts = [self.lines[0].text]
        for line in self.lines[1:]:
            left_out, between = seam(parts[-1], line.text, own)
            if left_out:
                parts[-1] = parts[-1][:-left_out]
            parts += between, line.text
        return "".join(parts)


def blocks(column: Sequence[Line]) -> list[Block]:
    """`column`: a region's lines from top to bottom."""
    if not column:
        return []
    found: list[Block] = []
    tabular = _tabular(column)
    rules = _Rules(column)
    start = 0
    for place in range(1, len(column) + 1):
        if place == len(column) or (
            tabular[place] != tabular[place - 1]
            or (rules.far(place, _ROWS_PARTED) if tabular[place] else rules.parted(start, place))
        ):
            block = Block(tuple(column[start:place]), tabular[start])
            if found and found[-1].is_scrap and block.is_scrap:
                block = Block(found.pop().lines + block.lines)
            found.append(block)
            start = place
    return found


def _tabular(column: Sequence[Line]) -> list[bool]:
    """Which lines are rows: those in a sequence with several cells, a line of one cell among them included."""
    many = [len(line.cells) > 1 for line in column]
    for place in range(1, len(many) - 1):
        many[place] = many[place] or (many[place - 1] and len(column[place + 1].cells) > 1)
    start = 0
    for place in range(1, len(many) + 1):
        if place == len(many) or many[place] != many[start]:
            if place - start < _LEAST_ROWS:
                many[start:place] = [False] * (place - start)
            start = place
    return many


class _Rules:
    """Where one block ends and the next begins. `_starts` and `_ends`: white before and behind each line, from the
    column's edges; before is on the right where the text runs to the left."""

    def __init__(self, column: Sequence[Line]) -> None:
        self._column = column
        left = min(line.box[0] for line in column)
        right = max(line.box[2] for line in column)
        self._width = right - left
        self._starts = [line.box[0] - left for line in column]
        self._ends = [right - line.box[2] for line in column]
        if right_to_left("".join(line.text for line in column)):
            self._starts, self._ends = self._ends, self._starts
        pitches: dict[int, list[float]] = defaultdict(list)
        for above, below in pairwise(column):
            pitch = below.base - above.base
            long = min(len(above.text), len(below.text)) >= _LONG_LINE
            if long and _same_size(above, below) and 0 < pitch < _WIDEST_PITCH * below.size:
                pitches[round(below.size)].append(pitch)
        self._pitches = {size: median(found) for size, found in pitches.items()}

    def far(self, place: int, factor: float) -> bool:
        """Whether this line is further below the one above than lines usually are."""
        above, line = self._column[place - 1], self._column[place]
        size = max(above.size, line.size)
        usual = self._pitches.get(round(size), _USUAL_PITCH * size)
        return line.base <= above.base or line.base - above.base > factor * usual

    def parted(self, start: int, place: int) -> bool:
        """Whether a new paragraph starts at `place`, where the one above started at `start`."""
        above, line = self._column[place - 1], self._column[place]
        return (
            not _same_size(above, line)
            or above.bold != line.bold
            or self.far(place, _PARTED)
            or overlap(above.box[0], above.box[2], line.box[0], line.box[2]) <= 0
            or self._is_item(start, place)
            or self._is_indented(start, place)
            or self._is_outdented(start, place)
            or (self._ends[place - 1] > _SHORT * self._width and ends_sentence(above.text))
        )

    def _is_item(self, start: int, place: int) -> bool:
        above, line = self._column[place - 1], self._column[place]
        if not MARKER.match(line.text):
            return False
        if _SURE_MARKER.match(line.text):
            return True
        alike = bool(MARKER.match(self._column[start].text)) and abs(self._set_in(start, place)) < 1
        return alike or (self._set_in(place - 1, place) <= 1 and ends_sentence(above.text))

    def _is_indented(self, start: int, place: int) -> bool:
        """The first line of a paragraph: set in, while the one below it isn't."""
        if self._set_in(place - 1, place) < _INDENT or place + 1 == len(self._column):
            return False
        goes_back = self._set_in(place + 1, place) >= _INDENT or self.far(place + 1, _PARTED)
        likely = self._is_full(place) or ends_sentence(self._column[place - 1].text)
        return goes_back and likely and not MARKER.match(self._column[start].text)

    def _is_outdented(self, start: int, place: int) -> bool:
        """The first line of an item whose other lines are set in, after another such item."""
        if self._set_in(place, place - 1) < _INDENT or place - 1 == start:
            return False
        return abs(self._set_in(place - 2, place - 1)) < _INDENT or not self._is_full(place - 1)

    def _set_in(self, other: int, place: int) -> float:
        """How much further in this line starts than the other: times its size."""
        return (self._starts[place] - self._starts[other]) / (self._column[place].size or 1)

    def _is_full(self, place: int) -> bool:
        return self._ends[place] <= _FULL * self._column[place].size


def ends_sentence(text: str) -> bool:
    return bool(_SENTENCE_END.search(text, len(text) - 6))


def _same_size(a: Line, b: Line) -> bool:
    return abs(a.size - b.size) <= _SAME_SIZE * max(a.size, b.size)
