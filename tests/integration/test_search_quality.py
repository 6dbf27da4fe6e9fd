"""Search on judged collections: no change to it may cost what it has."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.retrieval.datasets import read_collection
from penstock.retrieval.evaluate import evaluate


@pytest.mark.parametrize(("name", "queries", "at_least"), [("cisi", 76, 0.385), ("cran", 225, 0.382)])
def test_words_alone_rank_as_well_as_they_did(data: Path, name: str, queries: int, at_least: float):
    found = evaluate(read_collection(data / "ir" / name), None, lambda *_: None)
    assert found.queries == queries
    assert found.legs["bm25"]["nDCG@10"] >= at_least
