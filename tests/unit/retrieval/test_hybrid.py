from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from penstock.errors import InvalidOutput, ServiceUnavailable, UsageError
from penstock.ir import Chunk
from penstock.retrieval.hybrid import HybridSearch, QueryEmbedder
from penstock.stores.search_filters import Filters
from penstock.stores.search_index import SqliteSearchIndex
from penstock.stores.search_rows import IndexedDocument

DIRECTIONS = {"north": (1.0, 0.0), "east": (0.0, 1.0)}


def embed(text: str) -> np.ndarray:
    return np.array(DIRECTIONS["north" if "north" in text else "east"], np.float32)


COMPASS = QueryEmbedder("compass", embed)


def document(
    doc_id: str, texts: Sequence[str], directions: Sequence[str] = (), kind: str = "text", tenant: str = "t"
) -> IndexedDocument:
    chunks = [
        Chunk(chunk_id=f"{doc_id}:{n}", ordinal=n, start=100 * n, end=100 * n + len(text), text=text)
        for n, text in enumerate(texts)
    ]
    vectors = np.array([DIRECTIONS[name] for name in directions], np.float32) if directions else None
    return IndexedDocument(
        tenant, doc_id, 3, 1, "files", f"id-{doc_id}", kind, f"Title {doc_id}", chunks, "2024", {}, vectors, "compass"
    )


@pytest.fixture
def index(tmp_path: Path) -> SqliteSearchIndex:
    return SqliteSearchIndex(tmp_path / "index.db")


def test_both_legs_are_joined_and_each_hit_says_its_rank_in_them(index):
    index.replace(
        [
            document("a", ["the north wind"], ["north"]),
            document("b", ["polar cold"], ["north"]),
            document("c", ["north star"], ["east"]),
        ]
    )
    result = HybridSearch(index, COMPASS).search("north wind", tenant="t")
    assert result.legs == ("bm25", "dense")
    assert result.note == ""
    assert result.hits[0].doc_id == "a"
    assert result.hits[0].ranks == {"bm25": 1, "dense": 1}
    assert {hit.doc_id for hit in result.hits} == {"a", "b", "c"}
    [by_meaning] = [hit for hit in result.hits if hit.doc_id == "b"]
    assert list(by_meaning.ranks) == ["dense"]
    assert by_meaning.highlights == ()


def test_a_hit_carries_its_place_and_its_matches(index):
    index.replace([document("a", ["nothing here", "Patients were treated; the patient slept."])])
    [hit] = HybridSearch(index).search("treating patients", tenant="t").hits
    assert (hit.chunk_id, hit.start, hit.end, hit.generation) == ("a:1", 100, 141, 3)
    assert (hit.title, hit.source, hit.source_id, hit.date) == ("Title a", "files", "id-a", "2024")
    assert [hit.text[start:end] for start, end in hit.highlights] == ["Patients", "treated", "patient"]


@pytest.mark.parametrize(
    ("directions", "embedder", "note"),
    [
        ((), COMPASS, "the index holds no vectors"),
        (("north",), None, "nothing is set up to embed queries"),
        (("north",), QueryEmbedder("another", embed), "the index holds compass, queries would be another"),
    ],
)
def test_without_a_dense_leg_it_says_why(index, directions, embedder, note):
    index.replace([document("a", ["north"], directions)])
    result = HybridSearch(index, embedder).search("north", tenant="t")
    assert result.legs == ("bm25",)
    assert len(result.hits) == 1
    assert result.note.startswith("keyword search only")
    assert note in result.note


@pytest.mark.parametrize(
    "failure",
    [ServiceUnavailable("connection refused"), InvalidOutput("NaN in a vector"), UsageError("no key is set")],
)
def test_an_endpoint_that_fails_costs_the_dense_leg_and_not_the_search(index, failure):
    def fail(_: str) -> np.ndarray:
        raise failure

    index.replace([document("a", ["north"], ["north"])])
    result = HybridSearch(index, QueryEmbedder("compass", fail)).search("north", tenant="t")
    assert len(result.hits) == 1
    assert failure.message in result.note


def test_a_model_of_another_dimension_costs_the_dense_leg_and_not_the_search(index):
    index.replace([document("a", ["north"], ["north"])])
    result = HybridSearch(index, QueryEmbedder("compass", lambda _: np.ones(3, np.float32))).search("north", tenant="t")
    assert (len(result.hits), result.legs) == (1, ("bm25",))
    assert result.note == ("keyword search only: compass gave the query shape (3,), the index holds 2 dimensions")


def test_bugs_of_an_embedder_are_not_hidden(index):
    def fail(_: str) -> np.ndarray:
        raise ZeroDivisionError

    index.replace([document("a", ["north"], ["north"])])
    with pytest.raises(ZeroDivisionError):
        HybridSearch(index, QueryEmbedder("compass", fail)).search("north", tenant="t")


def test_an_empty_query_has_no_hits_and_says_why(index):
    index.replace([document("a", ["north"], ["north"])])
    result = HybridSearch(index, COMPASS).search(" ?! ", tenant="t")
    assert (result.hits, result.legs) == ((), ())
    assert "no words" in result.note


def test_filters_hold_in_both_legs(index):
    index.replace([document("a", ["north"], ["north"], kind="x"), document("b", ["north"], ["north"], kind="y")])
    result = HybridSearch(index, COMPASS).search("north", tenant="t", filters=Filters(kinds=("y",)))
    assert [hit.doc_id for hit in result.hits] == ["b"]
    assert result.hits[0].ranks == {"bm25": 1, "dense": 1}


def test_no_hit_is_another_tenants(index):
    index.replace(
        [document("a", ["north"], ["north"], tenant="one"), document("b", ["north"], ["north"], tenant="two")]
    )
    for tenant, doc_id in (("one", "a"), ("two", "b")):
        assert [hit.doc_id for hit in HybridSearch(index, COMPASS).search("north", tenant=tenant).hits] == [doc_id]


def test_each_document_once_goes_as_deep_as_it_must(index):
    index.replace([document("long", ["north north north"] * 400)])
    index.replace([document(f"d{n}", ["north among a good many other words of the sky"]) for n in range(5)])
    hits = HybridSearch(index).search("north", tenant="t", k=6, per_document=True).hits
    assert hits[0].doc_id == "long"
    assert {hit.doc_id for hit in hits} == {"long", "d0", "d1", "d2", "d3", "d4"}
    assert len(HybridSearch(index).search("north", tenant="t", k=6).hits) == 6


@pytest.mark.parametrize("k", [0, -1, 1001])
def test_as_many_hits_as_make_no_sense_are_refused(index, k):
    with pytest.raises(UsageError):
        HybridSearch(index).search("north", tenant="t", k=k)


def test_a_replacement_in_the_middle_of_a_search_disturbs_nothing(index, monkeypatch):
    index.replace([document("a", ["north old"])])
    search = HybridSearch(index)
    ranked = search._rank

    def replace_after_ranking(*arguments):
        found = ranked(*arguments)
        newer = document("a", ["north new", "another"])
        SqliteSearchIndex(index.path).replace([newer])
        return found

    monkeypatch.setattr(search, "_rank", replace_after_ranking)
    assert [hit.text for hit in search.search("north", tenant="t").hits] == ["north old"]
    monkeypatch.undo()
    assert [hit.text for hit in search.search("north", tenant="t").hits] == ["north new"]
