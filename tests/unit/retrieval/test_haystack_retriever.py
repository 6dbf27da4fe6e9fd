from __future__ import annotations

from pathlib import Path

import pytest
from haystack import Document, Pipeline
from haystack.document_stores.types import FilterPolicy

from penstock.retrieval.haystack import PenstockRetriever
from penstock.stores.document_store import PenstockDocumentStore


@pytest.fixture
def store(tmp_path: Path) -> PenstockDocumentStore:
    store = PenstockDocumentStore(str(tmp_path / "index.db"))
    store.write_documents(
        [
            Document(id="a", content="north wind", meta={"year": 2020}, embedding=[1.0, 0.0]),
            Document(id="b", content="polar cold", meta={"year": 2021}, embedding=[0.9, 0.1]),
            Document(id="c", content="north star", meta={"year": 2022}, embedding=[0.0, 1.0]),
        ]
    )
    return store


def ids(found: dict[str, list[Document]]) -> list[str]:
    return [document.id for document in found["documents"]]


def test_by_words_alone_and_with_an_embedding_by_both(store):
    retriever = PenstockRetriever(store)
    assert sorted(ids(retriever.run("north"))) == ["a", "c"]
    found = retriever.run("north", query_embedding=[1.0, 0.0])
    assert ids(found)[0] == "a"
    assert sorted(ids(found)) == ["a", "b", "c"]
    scores = [document.score for document in found["documents"]]
    assert scores == sorted(scores, reverse=True)


def test_filters_are_haystacks(store):
    retriever = PenstockRetriever(store, filters={"field": "meta.year", "operator": ">", "value": 2021})
    assert ids(retriever.run("north")) == ["c"]
    assert ids(retriever.run("north", filters={"field": "meta.year", "operator": "<", "value": 2021})) == ["a"]
    assert ids(retriever.run("north", filters={"field": "meta.year", "operator": "==", "value": 1})) == []


def test_filters_are_merged_where_that_is_asked_for(store):
    newer = {"field": "meta.year", "operator": ">=", "value": 2021}
    retriever = PenstockRetriever(store, filters=newer, filter_policy=FilterPolicy.MERGE)
    north = {"field": "content", "operator": "==", "value": "polar cold"}
    assert ids(retriever.run("cold north", filters=north)) == ["b"]


def test_no_more_than_asked_for(store):
    assert len(ids(PenstockRetriever(store, top_k=1).run("north"))) == 1
    assert len(ids(PenstockRetriever(store, top_k=1).run("north", top_k=2))) == 2


def test_it_is_loaded_from_a_pipelines_yaml(store):
    pipeline = Pipeline()
    pipeline.add_component(
        "retriever",
        PenstockRetriever(store, {"field": "meta.year", "operator": ">", "value": 2021}, 3, FilterPolicy.MERGE),
    )
    again = Pipeline.loads(pipeline.dumps(), allowed_modules=["penstock.*"])
    assert again.dumps() == pipeline.dumps()
    assert ids(again.run({"retriever": {"query": "north"}})["retriever"]) == ["c"]
