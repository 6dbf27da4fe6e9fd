"""Running heads and feet: what stands at the same height of several pages' edges, page numbers aside."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from penstock.workers.engines.cpu_layout.geometry import rows
from penstock.workers.engines.cpu_layout.reading import Run, Sheet

_EDGE = 0.15
"""Of the page's height, at its top and at its foot: where all of the outermost rows may be heads."""
_ROWS = 3
_MOST = 20
"""Runs looked at, at either edge."""
_LEAST_PAGES = 2
_SAME_HEIGHT = 2.0
"""Points."""
_DIGITS = re.compile(r"\d+")
_NUMBER = re.compile(r"\W*(\d{1,5})\W*")
_NUMBER_BESIDE = re.compile(r"(\d{1,5})\s+\D|.*\D\s(\d{1,5})$")
_SURE_PAGES = 3
"""Numbers beside words are the pages' if they rise with so many of them."""

Place = tuple[int, int, Run]
"""(place of the sheet, quarters, run)."""


def without_heads(sheets: Sequence[Sheet]) -> list[dict[int, list[Run]]]:
    """Each sheet's runs but for its heads, feet and page number, unless there is nothing else on it."""
    repeated: dict[str, list[Place]] = defaultdict(list)
    numbers: dict[int, list[Place]] = defaultdict(list)
    beside: dict[int, list[Place]] = defaultdict(list)
    for place, sheet in enumerate(sheets):
        for quarters, run, depth, far in _at_edges(sheet):
            found = (place, quarters, run)
            if number := _NUMBER.fullmatch(run.text):
                if far or depth == 0:
                    numbers[int(number[1]) - sheet.number].append(found)
            elif far:
                repeated[_DIGITS.sub("0", run.text)].append(found)
                if depth == 0 and (number := _NUMBER_BESIDE.match(run.text)):
                    beside[int(number[1] or number[2]) - sheet.number].append(found)
    groups = [*numbers.values(), *(level for places in repeated.values() for level in _levels(places))]
    groups += [places for places in beside.values() if len({place for place, _, _ in places}) >= _SURE_PAGES]
    heads: list[set[tuple[int, Run]]] = [set() for _ in sheets]
    for group in groups:
        if len({place for place, _, _ in group}) >= _LEAST_PAGES:
            for place, quarters, run in group:
                heads[place].add((quarters, run))
    return [_without(sheet, found) for sheet, found in zip(sheets, heads, strict=True)]


def _without(sheet: Sheet, heads: set[tuple[int, Run]]) -> dict[int, list[Run]]:
    if not heads:
        return sheet.runs
    kept = {
        quarters: left
        for quarters, runs in sheet.runs.items()
        if (left := [run for run in runs if (quarters, run) not in heads])
    }
    return kept if kept or sheet.drawn else sheet.runs


def _at_edges(sheet: Sheet) -> Iterator[tuple[int, Run, int, bool]]:
    """Runs of the outermost rows, with the row's place from the edge and whether it is far enough out for a head."""
    for quarters, runs in sheet.runs.items():
        height = sheet.frame(quarters)[1]
        by_top = sorted(runs, key=lambda run: run.y0)
        for edge, top in ((by_top[:_MOST], True), (by_top[::-1][:_MOST], False)):
            found = rows([run.box for run in edge])
            for depth, row in enumerate((found if top else found[::-1])[:_ROWS]):
                for run in (edge[place] for place in row):
                    yield quarters, run, depth, run.y1 < _EDGE * height if top else run.y0 > (1 - _EDGE) * height


def _levels(places: list[Place]) -> Iterator[list[Place]]:
    """Those with the same baseline together."""
    level: list[Place] = []
    for found in sorted(places, key=lambda found: found[2].base):
        if level and found[2].base - level[-1][2].base > _SAME_HEIGHT:
            yield level
            level = []
        level.append(found)
    if level:
        yield level
