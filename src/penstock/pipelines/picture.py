"""A topology drawn with lines, from top to bottom."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from penstock.pipelines.topology import Stage, Topology

STAGE, GATE = "●", "◆"


class Row(NamedTuple):
    """`lines` with the mark of `stage`, and `under` it for further rows about it. No stage: lines only join or part."""

    lines: str
    under: str = ""
    stage: Stage | None = None


def draw(topology: Topology) -> Iterator[Row]:
    """The rows of a picture. A lane is an edge on its way down: it holds the name of the stage that it leads to."""
    lanes: list[str] = []
    for stage in topology.stages:
        ends = [index for index, target in enumerate(lanes) if target == stage.name]
        at = ends.pop(0) if ends else _open(lanes, stage.name, 0)
        if ends:
            yield Row(_joint(lanes, at, ends, "┴", "╯"))
        for index in ends:
            lanes[index] = ""
        above = list(lanes)
        children = [child.name for child in topology.children(stage.name)]
        lanes[at] = children[0] if children else ""
        yield Row(_row(above, at, GATE if stage.gate else STAGE), _row(lanes), stage)
        starts = [_open(lanes, child, at + 1) for child in children[1:]]
        if starts:
            yield Row(_joint(lanes, at, starts, "┬", "╮"))


def _open(lanes: list[str], target: str, first: int) -> int:
    """A free lane at `first` or to the right of it, now leading to `target`."""
    index = next((i for i in range(first, len(lanes)) if not lanes[i]), len(lanes))
    lanes[index : index + 1] = [target]
    return index


def _row(lanes: Sequence[str], at: int = -1, mark: str = "") -> str:
    return " ".join(mark if i == at else "│" if target else " " for i, target in enumerate(lanes)).rstrip()


def _joint(lanes: Sequence[str], at: int, ends: Sequence[int], inner: str, last: str) -> str:
    """A row in which lane `at` is joined with `ends`, all to the right of it, across what runs between.

    `last` is the sign of the farthest of them, `inner` of the others.
    """
    row = ""
    for index, target in enumerate(lanes):
        if index == at:
            row += "├"
        elif index in ends:
            row += last if index == max(ends) else inner
        elif at < index < max(ends):
            row += "┼" if target else "─"
        else:
            row += "│" if target else " "
        row += "─" if at <= index < max(ends) else " "
    return row.rstrip()
