"""The order in which the parts of a page are read: found by the gutters between its columns.

A gutter is looked for where several lines start. What crosses it (a title, a wide table) parts the page into bands;
in each of them the left side is read before the right one, and each side may have gutters of its own.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Sequence
from itertools import chain, groupby
from statistics import median

from penstock.workers.engines.cpu_layout.geometry import rows
from penstock.workers.parsed import Box

# All widths here are in ems: of the size that most of the page's text has.
_GUTTER = 0.6
_NARROWEST = 6.0
"""Columns of prose are wider; cells of tables are not."""
_FULL = 0.55
"""Of a column's width: what a line of prose fills, and of all that stands in it: what such lines make up."""
_EQUAL = 0.85
"""Widths of columns are equal from this ratio on."""
_FEWEST = 3
"""Lines that a column has beside another's."""
_REACH = 1.5
"""What crosses a gutter reaches as far beyond it on both sides."""
_TAIL_GAP = 0.7
_HANGING = 3.0
"""Numbers of a list stand as far to the left of the edge that its lines share."""
_LEVEL = 0.15
"""Middles of boxes in one row of a table are no further apart."""
_ROWS = 0.5
"""Of two columns of lists fewer lines stand in rows; of a table's more."""
_CLEAR = 1.2
"""White across both columns."""
_FIGURE = 5.0
"""A figure above or below columns is as high."""
_CELLS = 3
_WIDEST_CELL = 18.0
_CANDIDATES = 6
_DEEPEST = 6
_MOST = 3000
"""A page of more parts than this isn't prose, and takes too long."""

Band = tuple[list[Box], list[Box], list[Box]]
"""What crosses the gutter, and below it what is left and right of it."""


def columns(boxes: Sequence[Box], em: float) -> list[list[int]]:
    """The boxes' places, in regions to be read one after the other; the members of a region are those of one column,
    from top to bottom."""
    places: defaultdict[Box, deque[int]] = defaultdict(deque)
    for place, box in enumerate(boxes):
        places[box].append(place)
    regions = _columns(sorted(boxes, key=_middle), em, 0)
    return [[places[box].popleft() for box in region] for region in regions]


def _columns(boxes: list[Box], em: float, depth: int) -> list[list[Box]]:
    small = 2 * _FEWEST <= len(boxes) <= _MOST
    gutter = _gutter(boxes, em) if small and depth < _DEEPEST else None
    if gutter is None:
        return [boxes] if boxes else []
    regions: list[list[Box]] = []
    for crossing, left, right in _bands(boxes, gutter, em):
        if crossing:
            regions.append(crossing)
        for part in _trimmed(left, right, em):
            regions += _columns(part, em, depth + 1)
    return regions


def _middle(box: Box) -> tuple[float, float]:
    return (box[1] + box[3]) / 2, box[0]


def _gutter(boxes: list[Box], em: float) -> float | None:
    """Where the column right of the best gutter starts: the one with the most lines on either side."""
    starts = Counter(int(box[0] // 2) for box in boxes if box[2] - box[0] >= _NARROWEST * em)
    shared = {start: count + starts[start + 1] for start, count in starts.items()}
    likely = sorted((start for start in shared if shared[start] >= _FEWEST), key=lambda start: (-shared[start], start))
    best, most = None, _FEWEST - 1
    for start in likely[:_CANDIDATES]:
        x = min(box[0] for box in boxes if box[0] // 2 >= start)
        hanging = min(box[0] for box in boxes if x - _HANGING * em <= box[0])
        for edge in dict.fromkeys((x, hanging)):
            if (lines := _lines_beside(boxes, edge, em)) > most:
                best, most = edge, lines
    return best


def _lines_beside(boxes: list[Box], x: float, em: float) -> int:
    """How many lines of prose have others beside them if a column starts at `x`; 0 if they are cells of a table."""
    lines = 0
    lefts: list[Box] = []
    rights: list[Box] = []
    for crosses, band in groupby(boxes, key=lambda box: _crosses(box, x, em)):
        if crosses:
            continue
        left, right = _sides(band, x)
        if left and right:
            lines += min(_full(left, _NARROWEST * em), _full(right, _NARROWEST * em))
            lefts += left
            rights += right
    beyond = sum(box[2] > x - _GUTTER * em for box in lefts) + sum(box[0] < x - _GUTTER * em for box in rights)
    if lines < _FEWEST or 10 * beyond > len(lefts) + len(rights):
        return 0
    if _are_prose(lefts, rights, em):
        return lines
    wide = all(_share(side, _NARROWEST * em) >= _FULL for side in (lefts, rights))
    return lines if wide and _in_rows(lefts, rights, em) <= _ROWS else 0


def _sides(boxes: Iterable[Box], x: float) -> tuple[list[Box], list[Box]]:
    left: list[Box] = []
    right: list[Box] = []
    for box in boxes:
        (left if box[0] + box[2] < 2 * x else right).append(box)
    return left, right


def _line(column: list[Box], em: float) -> float:
    """How wide a line of prose is in this column, at least."""
    least = _NARROWEST * em
    lines = [box for box in column if box[2] - box[0] >= least]
    if not lines:
        return least
    return max(least, _FULL * (max(box[2] for box in lines) - min(box[0] for box in lines)))


def _full(boxes: list[Box], least: float) -> int:
    return sum(box[2] - box[0] >= least for box in boxes)


def _are_prose(left: list[Box], right: list[Box], em: float) -> bool:
    """Whether most lines fill their column, or all are about as long: several columns are on one side."""
    if all(_share(side, _line(side, em)) >= _FULL for side in (left, right)):
        return True
    usual = [_usual(side, em) for side in (left, right)]
    return min(usual) >= _EQUAL * max(usual) and all(
        _share(side, _EQUAL * max(usual)) >= _FULL for side in (left, right)
    )


def _usual(boxes: list[Box], em: float) -> float:
    """The middling width of lines, 0 if there are none."""
    widths = [box[2] - box[0] for box in boxes if box[2] - box[0] >= _NARROWEST * em]
    return median(widths) if widths else 0.0


def _share(boxes: list[Box], least: float) -> float:
    """How much of all their width lines of at least that width make up."""
    widths = [box[2] - box[0] for box in boxes]
    return sum(width for width in widths if width >= least) / (sum(widths) or 1)


def _in_rows(lefts: list[Box], rights: list[Box], em: float) -> float:
    """The part of the boxes on the left that stand at the height of one on the right, as cells of a table do."""
    heights = sorted(_middle(box)[0] for box in rights)
    near = 0
    for box in lefts:
        place = bisect_left(heights, (height := _middle(box)[0]) - _LEVEL * em)
        near += place < len(heights) and heights[place] <= height + _LEVEL * em
    return near / len(lefts)


def _crosses(box: Box, x: float, em: float) -> bool:
    return box[0] < x - _REACH * em and box[2] > x + _REACH * em


def _bands(boxes: list[Box], x: float, em: float) -> list[Band]:
    crossing = sorted(_crossing(boxes, x, em), key=_middle)
    across = set(crossing)
    middles = [_middle(box) for box in crossing]
    sides = groupby((box for box in boxes if box not in across), key=lambda box: bisect_left(middles, _middle(box)))
    bands: list[Band] = []
    above = 0
    for place, members in sides:
        bands.append((crossing[above:place], *_sides(members, x)))
        above = place
    return [*bands, (crossing[above:], [], [])]


def _trimmed(left: list[Box], right: list[Box], em: float) -> Sequence[list[Box]]:
    """Left, right; before and behind them a figure or table that stands above or below both columns, though nothing of
    it crosses the gutter: white across the page parts it from them, and it isn't prose on both sides."""
    slices = _slices(left, right, em)
    if len(slices) < 2 or not (left and right and _are_prose(left, right, em)):
        return left, right
    leasts = _line(left, em), _line(right, em)
    full = [(_full(a, leasts[0]), _full(b, leasts[1])) for a, b in slices]
    prose = [place for place, counts in enumerate(full) if min(counts) >= _FEWEST]
    if not prose:
        return left, right
    start, end = prose[0], prose[-1] + 1
    if sum(counts[1] for counts in full[:start]) > 0 or not _is_figure(slices[:start], em):
        start = 0
    if sum(counts[0] for counts in full[end:]) > 1 or not _is_figure(slices[end:], em):
        end = len(slices)
    parts = slices[:start], slices[start:end], slices[end:]
    head, body, foot = ([[box for side in part for box in side[n]] for n in (0, 1)] for part in parts)
    return sorted(head[0] + head[1], key=_middle), body[0], body[1], sorted(foot[0] + foot[1], key=_middle)


def _slices(left: list[Box], right: list[Box], em: float) -> list[tuple[list[Box], list[Box]]]:
    """Both sides, cut where white goes across both of them."""
    slices: list[tuple[list[Box], list[Box]]] = []
    reach = float("-inf")
    sided = sorted([(box, 0) for box in left] + [(box, 1) for box in right], key=lambda found: found[0][1])
    for box, side in sided:
        if box[1] - reach >= _CLEAR * em:
            slices.append(([], []))
        slices[-1][side].append(box)
        reach = max(reach, box[3])
    return slices


def _is_figure(slices: list[tuple[list[Box], list[Box]]], em: float) -> bool:
    """Whether it is high enough, and on both sides."""
    boxes = [box for sides in slices for side in sides for box in side]
    return (
        any(left for left, _ in slices)
        and any(right for _, right in slices)
        and max(box[3] for box in boxes) - min(box[1] for box in boxes) >= _FIGURE * em
    )


def _crossing(boxes: list[Box], x: float, em: float) -> list[Box]:
    """What belongs to both sides: what crosses the gutter, what stands in one row with that, the last short line of a
    paragraph that does, and between columns of prose rows of tables that have cells on either side."""
    prose = _are_prose(*_sides((box for box in boxes if not _crosses(box, x, em)), x), em)
    found: list[Box] = []
    table: list[list[Box]] = []
    last: Box | None = None
    for place in rows(boxes):
        row = [boxes[index] for index in place]
        across = next((box for box in row if _crosses(box, x, em)), None)
        if across is None and last is not None and _is_tail(row, last, x, em):
            across = row[0]
        last = across
        if across is not None:
            found += row
        elif prose and _is_tabular(row, x, em):
            table.append(row)
            continue
        if len(table) >= _FEWEST:
            found += chain(*table)
        table = []
    return [*found, *(chain(*table) if len(table) >= _FEWEST else ())]


def _is_tail(row: list[Box], above: Box, x: float, em: float) -> bool:
    box = row[0]
    return (
        len(row) == 1
        and box[0] + box[2] < 2 * x
        and abs(box[0] - above[0]) <= em / 2
        and box[1] - above[3] <= _TAIL_GAP * em
    )


def _is_tabular(row: list[Box], x: float, em: float) -> bool:
    left, right = _sides(row, x)
    return bool(left and right) and len(row) >= _CELLS and all(box[2] - box[0] < _WIDEST_CELL * em for box in row)
