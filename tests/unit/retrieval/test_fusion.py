from __future__ import annotations

import pytest

from penstock.retrieval.fusion import fuse


def test_each_ranking_gives_one_over_sixty_plus_rank():
    [best, second, third] = fuse({"bm25": [7, 8], "dense": [8, 9]})
    assert (best.number, best.ranks) == (8, {"bm25": 2, "dense": 1})
    assert best.score == pytest.approx(1 / 62 + 1 / 61)
    assert (second.number, third.number) == (7, 9)


def test_equals_stand_in_the_same_order_each_time():
    fused = fuse({"a": [3, 1], "b": [1, 3], "c": []})
    assert [item.number for item in fused] == [1, 3]


def test_nothing_fused_is_nothing():
    assert fuse({}) == fuse({"bm25": []}) == []
