"""Boxes (x0, y0, x1, y1) in frames of a page, origin top left."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from penstock.workers.parsed import Box


def turned(box: Box, quarters: int, width: float, height: float) -> Box:
    """`box` of a page of `width` × `height`, after the page was turned clockwise by `quarters`."""
    x0, y0, x1, y1 = box
    match quarters % 4:
        case 1:
            return height - y1, x0, height - y0, x1
        case 2:
            return width - x1, height - y1, width - x0, height - y0
        case 3:
            return y0, width - x1, y1, width - x0
    return box


def union(boxes: Iterable[Box]) -> Box:
    """The smallest box around all of them; there must be one."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def fractions(box: Box, width: float, height: float) -> Box:
    """`box` as parts of the page, cut off at its edges."""
    x0, y0, x1, y1 = (
        min(max(value / size, 0.0), 1.0) if size else 0.0
        for value, size in zip(box, (width, height, width, height), strict=True)
    )
    return x0, y0, max(x0, x1), max(y0, y1)


def overlap(a0: float, a1: float, b0: float, b1: float) -> float:
    """How much of the intervals is common; negative: how far apart they are."""
    return min(a1, b1) - max(a0, b0)


def rows(boxes: Sequence[Box]) -> list[list[int]]:
    """The boxes' places, gathered where they stand beside one another, from top to bottom and from left to right.

    A row's height is that of its widest box, so that an exponent belongs to its line and draws no other one in.
    """
    gathered: list[list[int]] = []
    widest: list[Box] = []
    for place in sorted(range(len(boxes)), key=lambda place: (boxes[place][1] + boxes[place][3], boxes[place][0])):
        box = boxes[place]
        for row in range(len(gathered) - 1, max(len(gathered) - 3, -1), -1):
            core = widest[row]
            if 2 * overlap(box[1], box[3], core[1], core[3]) >= min(box[3] - box[1], core[3] - core[1]):
                gathered[row].append(place)
                if box[2] - box[0] > core[2] - core[0]:
                    widest[row] = box
                break
        else:
            gathered.append([place])
            widest.append(box)
    for row_places in gathered:
        row_places.sort(key=lambda place: boxes[place][0])
    return gathered
