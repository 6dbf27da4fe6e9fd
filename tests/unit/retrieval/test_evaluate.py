from __future__ import annotations

import numpy as np
import pytest

from penstock.retrieval.datasets import JudgedCollection, Text
from penstock.retrieval.evaluate import TextEmbedder, evaluate

DIRECTIONS = {"north": (1.0, 0.0), "polar": (0.9, 0.1), "east": (0.0, 1.0), "dawn": (0.1, 0.9)}


def embed(text: str) -> np.ndarray:
    """The sum of the directions of its words."""
    return np.sum([DIRECTIONS.get(word.strip('"'), (0.01, 0.01)) for word in text.split()], axis=0, dtype=np.float32)


COMPASS = TextEmbedder("compass", lambda texts: np.stack([embed(text) for text in texts]), embed)


@pytest.fixture
def collection() -> JudgedCollection:
    documents = {
        "n": Text("north", "a wind"),
        "p": Text("", "polar cold"),
        "e": Text("east", "a wind"),
        "d": Text("", "dawn light"),
    }
    judgements = {"1": {"n": 1, "p": 1}, "2": {"e": 1, "d": 1}}
    return JudgedCollection("toy", documents, {"1": 'the "north" face', "2": "east"}, judgements)


def test_each_leg_and_the_fusion_are_measured(collection):
    found = evaluate(collection, COMPASS, lambda *_: None)
    assert (found.collection, found.documents, found.queries, found.model) == ("toy", 4, 2, "compass")
    # words find one of two each, at the top: 1 of an ideal 1 + 1/log2(3)
    assert found.legs["bm25"] == pytest.approx({"nDCG@10": 1 / (1 + 1 / np.log2(3)), "R@100": 0.5, "RR": 1.0})
    assert found.legs["dense"] == {"nDCG@10": 1.0, "R@100": 1.0, "RR": 1.0}
    assert found.legs["fusion"] == {"nDCG@10": 1.0, "R@100": 1.0, "RR": 1.0}


def test_without_an_embedder_the_words_alone_are(collection):
    found = evaluate(collection, None, lambda *_: None)
    assert list(found.legs) == ["bm25"]
    assert found.model is None


def test_a_query_that_finds_nothing_counts_as_nothing(collection):
    queries = {"1": "no such word", "2": "east"}
    found = evaluate(
        JudgedCollection("toy", collection.documents, queries, collection.judgements), None, lambda *_: None
    )
    assert found.legs["bm25"]["RR"] == 0.5


def test_it_says_how_far_it_is(collection):
    told = []
    evaluate(collection, None, lambda *step: told.append(step))
    assert told == [("index", 4, 4), ("search", 1, 2), ("search", 2, 2)]
