from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from penstock.ir import (
    Chunk,
    Document,
    DocumentDate,
    Field,
    Identifier,
    Locator,
    Provenance,
    StageContext,
    Vectors,
)
from penstock.stages.contracts import Indexable, IndexStage
from penstock.stages.index import MAX_FACET_VALUES, SqliteIndexer, best_date, metadata
from penstock.stores.search_filters import Filters
from penstock.stores.search_index import SqliteSearchIndex

HERE = Locator(payload="0" * 64)


def document(**changes: object) -> Document:
    given = {
        "doc_id": "d",
        "source": "files",
        "source_id": "NCT1",
        "kind": "study",
        "title": "A trial",
        "text": "Metformin helps.",
        "provenance": Provenance(parser="p", version="1", payload="0" * 64),
    }
    return Document(**{**given, **changes})


def item(vectors: Vectors | None = None, **changes: object) -> Indexable:
    chunk = Chunk(chunk_id="d:0", ordinal=0, start=0, end=16, text="Metformin helps.")
    return Indexable(document(**changes), [chunk], vectors)


@pytest.fixture
def index(tmp_path: Path) -> SqliteSearchIndex:
    return SqliteSearchIndex(tmp_path / "index.db")


@pytest.fixture
def indexer(index: SqliteSearchIndex) -> SqliteIndexer:
    return SqliteIndexer(SqliteIndexer.Options(), index=index)


def context(doc_id: str = "d", generation: int = 1, token: int = 1) -> StageContext:
    return StageContext("t", doc_id, "c", {"generation": generation, "token": token})


def test_it_is_an_index_stage(indexer, index):
    assert isinstance(indexer, IndexStage)
    assert indexer.store_id() == index.store_id()


def test_receipts_come_in_order_and_name_the_store(indexer, index):
    receipts = indexer.execute([(context("a", 2, 7), item()), (context("b", 3, 8), item())])
    assert [(r.store, r.generation, r.token, r.chunks, r.accepted) for r in receipts] == [
        (index.store_id(), 2, 7, 1, True),
        (index.store_id(), 3, 8, 1, True),
    ]
    assert indexer.execute([]) == []


def test_a_stale_token_is_answered_with_a_receipt_that_says_so(indexer):
    indexer.execute([(context(generation=2, token=1), item())])
    [receipt] = indexer.execute([(context(generation=1, token=9), item())])
    assert not receipt.accepted


def test_what_is_searched_by_words_only_says_so_and_why(indexer):
    vectors = Vectors("m", np.ones((1, 3), np.float32))
    notes = [
        receipt.note
        for receipt in indexer.execute(
            [
                (context("a"), item()),
                (context("b"), item(Vectors.none("no endpoint is configured"))),
                (context("c"), item(vectors)),
            ]
        )
    ]
    assert notes == [
        "keyword search only: no stage before this one embeds",
        "keyword search only: no endpoint is configured",
        "",
    ]


def test_vectors_go_in_under_their_model(indexer, index):
    [receipt] = indexer.execute([(context(), item(Vectors("m", np.ones((1, 3), np.float32))))])
    assert receipt.vectors == 1
    assert index.space == ("m", 3)


def test_what_the_document_says_of_itself_can_be_asked_for(indexer, index):
    indexer.execute(
        [
            (
                context(),
                item(
                    language="en",
                    dates=(DocumentDate(kind="updated", value="2024"), DocumentDate(kind="published", value="2023-05")),
                    identifiers=(Identifier(scheme="nct", value="NCT1"),),
                    fields=(
                        Field(name="phase", value="PHASE3", locator=HERE),
                        Field(name="condition", value="Asthma", locator=HERE),
                        Field(name="condition", value="Asthma", locator=HERE),
                        Field(name="warning", value="long prose", locator=HERE),
                    ),
                ),
            )
        ]
    )
    wanted = Filters(
        sources=("files",),
        kinds=("study",),
        since="2023-05",
        until="2023-05",
        metadata={"phase": ("PHASE3",), "identifier": ("nct:NCT1",), "language": ("en",)},
    )
    [chunk] = index.select("t", wanted)
    assert chunk.metadata == {
        "condition": ["Asthma"],
        "phase": ["PHASE3"],
        "identifier": ["nct:NCT1"],
        "language": "en",
    }
    assert (chunk.title, chunk.source_id, chunk.date) == ("A trial", "NCT1", "2023-05")


def test_facets_are_few_and_short():
    fields = [Field(name="mesh", value=f"Term {n}", locator=HERE) for n in range(500)]
    fields.append(Field(name="keyword", value="x" * 5000, locator=HERE))
    found = metadata(document(fields=tuple(fields)))
    assert len(found["mesh"]) == MAX_FACET_VALUES
    assert "keyword" not in found


@pytest.mark.parametrize(
    ("dates", "expected"),
    [
        ([], None),
        ([("updated", "2024"), ("published", "2020")], "2020"),
        ([("completion", "2031"), ("start", "2019")], "2019"),
        ([("received", "2019"), ("accepted", "2021")], "2021"),
    ],
)
def test_a_document_is_filed_under_its_best_date(dates, expected):
    given = tuple(DocumentDate(kind=kind, value=value) for kind, value in dates)
    assert best_date(document(dates=given)) == expected
