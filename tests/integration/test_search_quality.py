"""Search on judged collections: no change to it may cost what it has."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.retrieval.datasets import read_collection
from penstock.retrieval.evaluate import evaluate


@pytest.mark.parametrize(("name", "queries", "at_least"), [("cisi", 76, 0.385), ("cran", 225, 0.382)])
def test_words_alone_rank_as_well_as_they_did(data: Path, name: str, queries: int, at_least: float):
    found = evaluate(read_collection(data / "ir" / name), None, lambda *_: None)
    assert found.queries == queries
    assert found.legs["bm25"]["nDCG@10"] >= at_least


@pytest.mark.full
@pytest.mark.parametrize(("name", "dense"), [("cisi", 0.421), ("cran", 0.368)])
def test_both_legs_together_rank_better_than_either(
    data: Path, root: Path, tmp_path: Path, name: str, dense: float
) -> None:
    """With the packaged MiniLM; `dense` is what its weights reached in whole documents elsewhere."""
    environment = {"PENSTOCK_EMBEDDER": "minilm", "PENSTOCK_HOME": str(tmp_path)}
    environment |= {"PENSTOCK_CONFIG": str(root / "config/orchestration")}
    command = [sys.executable, "-c", "from penstock.cli import main; main()", "eval", "ir"]
    ran = subprocess.run(
        [*command, str(data / "ir" / name), "--json"], env=os.environ | environment, capture_output=True, check=True
    )
    scores = {leg: measured["nDCG@10"] for leg, measured in json.loads(ran.stdout)["legs"].items()}
    assert scores["dense"] >= dense - 0.02
    assert scores["fusion"] > max(scores["bm25"], scores["dense"])
