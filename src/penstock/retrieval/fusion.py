"""Reciprocal rank fusion (Cormack, Clarke, Büttcher, SIGIR 2009): rankings joined by rank, scores unheeded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

CONSTANT = 60


@dataclass(slots=True)
class Fused:
    """`ranks`: the place (from 1) in each ranking that has the item. `score`: the sum of 1 / (60 + rank)."""

    number: int
    score: float = 0.0
    ranks: dict[str, int] = field(default_factory=dict)


def fuse(rankings: Mapping[str, Sequence[int]]) -> list[Fused]:
    """Items of all rankings, best first; equals in order of their best rank, then of their number."""
    fused: dict[int, Fused] = {}
    for name, ranking in rankings.items():
        for rank, number in enumerate(ranking, start=1):
            item = fused.setdefault(number, Fused(number))
            item.score += 1 / (CONSTANT + rank)
            item.ranks[name] = rank
    return sorted(fused.values(), key=lambda item: (-item.score, min(item.ranks.values()), item.number))
