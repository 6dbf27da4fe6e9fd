"""Where something stands: boxes brought to fractions of the page, page numbers and levels; all of it checked."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.stages.parse.jsonnode import Node
from penstock.workers.parsed import Box

MAX_PAGES = 20_000
WHOLE: Box = (0.0, 0.0, 1.0, 1.0)
"""The box of what stands somewhere on its page: early versions of the flat list have none."""


@dataclass(frozen=True, slots=True)
class Place:
    page: int
    box: Box = WHOLE


def page_number(index: Node) -> int:
    """The number, from 1, of the page with this index."""
    if not isinstance(index.value, int) or isinstance(index.value, bool) or not 0 <= index.value < MAX_PAGES:
        raise index.surprise(f"a page's index below {MAX_PAGES}")
    return index.value + 1


def level(node: Node) -> int:
    """A heading's level, from 1."""
    if not isinstance(node.value, int) or isinstance(node.value, bool) or not 0 <= node.value <= 9:
        raise node.surprise("a heading's level")
    return max(node.value, 1)


def number(node: Node) -> float:
    if isinstance(node.value, bool) or not isinstance(node.value, int | float) or not abs(node.value) < 1e9:
        raise node.surprise("a number")
    return float(node.value)


def size(*lengths: Node) -> tuple[float, float]:
    """A page's width and height in points: two lengths, or an array of them."""
    sides = list(lengths[0]) if len(lengths) == 1 else lengths
    if len(sides) != 2:
        raise lengths[0].surprise("two lengths")
    for side in sides:
        if number(side) <= 0:
            raise side.surprise("a length")
    return number(sides[0]), number(sides[1])


def box(node: Node, across: float = 1.0, down: float = 1.0, *, default: Box = WHOLE) -> Box:
    """A bbox on a page of `across` by `down` units, cut off at the page's edges; `default` where there is none."""
    if not node:
        return default
    corners = [number(corner) for corner in node]
    if len(corners) != 4:
        raise node.surprise("four numbers")
    x0, x1 = sorted(_fraction(at, across) for at in corners[::2])
    y0, y1 = sorted(_fraction(at, down) for at in corners[1::2])
    return x0, y0, x1, y1


def around(boxes: list[Box]) -> Box:
    """The smallest box that holds them all; there is at least one."""
    left, top, right, bottom = zip(*boxes, strict=True)
    return min(left), min(top), max(right), max(bottom)


def _fraction(at: float, whole: float) -> float:
    return min(max(round(at / whole, 6), 0.0), 1.0)
