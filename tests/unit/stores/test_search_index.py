from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from penstock.errors import InvalidOutput, UsageError
from penstock.stores import search_index
from penstock.stores.search_filters import Filters
from penstock.stores.search_index import SqliteSearchIndex
from penstock.stores.search_rows import Counts, Space, StoredChunk


def texts(index: SqliteSearchIndex, query: str, tenant: str = "t", **filters: object) -> list[str]:
    with index.snapshot():
        hits = index.bm25(tenant, query, 10, Filters(**filters))
        chunks = index.chunks(hit.number for hit in hits)
        return [chunks[hit.number].text for hit in hits]


def test_a_document_is_found_by_its_words_as_soon_as_it_is_in(index, make):
    [receipt] = index.replace([make("d", "Metformin lowers blood glucose.", "Take it with meals.")])
    assert (receipt.store, receipt.chunks, receipt.vectors, receipt.accepted) == (index.store_id(), 2, 0, True)
    assert texts(index, "what does metformin lower?") == ["Metformin lowers blood glucose."]


def test_replacing_leaves_nothing_of_the_old_rows(index, make):
    index.replace([make("d", "alpha one", "alpha two", "alpha three", vectors=np.eye(3))])
    index.replace([make("d", "beta", generation=2, vectors=[[1, 0, 0]])])
    assert texts(index, "alpha") == []
    assert texts(index, "beta") == ["beta"]
    assert index.count() == Counts(1, 1, 1)
    assert index.chunk_ids("t") == {"d:0"}
    assert index.problems() == []


@pytest.mark.parametrize(("generation", "token"), [(1, 9), (2, 4)])
def test_a_late_writer_changes_nothing(index, make, generation, token):
    index.replace([make("d", "newer", generation=2, token=5)])
    before = index.digest()
    [receipt] = index.replace([make("d", "older", generation=generation, token=token)])
    assert not receipt.accepted
    assert index.digest() == before
    assert index.generation_of("t", "d") == 2


@pytest.mark.parametrize(("generation", "token"), [(2, 5), (2, 6), (3, 1)])
def test_the_same_or_a_newer_lease_writes(index, make, generation, token):
    index.replace([make("d", "one", generation=2, token=5)])
    [receipt] = index.replace([make("d", "two", generation=generation, token=token)])
    assert receipt.accepted
    assert texts(index, "two") == ["two"]


def test_a_refused_document_does_not_hold_up_its_group(index, make):
    index.replace([make("b", "kept", generation=2)])
    receipts = index.replace([make("a", "first"), make("b", "stale"), make("c", "third")])
    assert [receipt.accepted for receipt in receipts] == [True, False, True]
    assert [texts(index, word) for word in ("first", "stale", "third")] == [["first"], [], ["third"]]


def test_a_document_twice_in_one_call_ends_as_its_last(index, make):
    receipts = index.replace([make("d", "one"), make("e", "other"), make("d", "two", token=2)])
    assert [receipt.accepted for receipt in receipts] == [True, True, True]
    assert (texts(index, "one"), texts(index, "two")) == ([], ["two"])
    assert index.problems() == []


def test_a_removed_document_is_gone_and_its_late_writer_still_fenced_off(index, make):
    index.replace([make("d", "secret words", title="Secret", generation=2), make("e", "stays")])
    assert index.remove("t", ["d", "never-there"]) == 1
    assert index.remove("t", ["d"]) == 0
    assert texts(index, "secret") == []
    assert index.generation_of("t", "d") is None
    assert index.count() == Counts(1, 1, 0)
    [receipt] = index.replace([make("d", "secret words", generation=1)])
    assert not receipt.accepted
    [receipt] = index.replace([make("d", "back again", generation=3)])
    assert receipt.accepted
    assert index.problems() == []


def test_a_document_without_chunks_is_held_and_can_be_replaced(index, make):
    index.replace([make("d"), make("e", "words")])
    assert index.count() == Counts(2, 1, 0)
    index.replace([make("d", "now with text")])
    assert texts(index, "text") == ["now with text"]


def test_a_large_group_is_cut_into_transactions_and_all_of_it_goes_in(index, make, monkeypatch):
    monkeypatch.setattr(search_index, "TRANSACTION_BYTES", 2_000)
    receipts = index.replace([make(f"d{n}", "word " * 200) for n in range(9)])
    assert len(receipts) == 9
    assert index.count() == Counts(9, 9, 0)


def test_no_tenant_finds_another_tenants_chunks(index, make):
    names = ["acme", "acme-run", "acme-runs", "acme-running", "acme-run-x", "ACME", "1", "t1"]
    for n, tenant in enumerate(names):
        index.replace([make(f"d{n}", f"shared word of {n}", tenant=tenant, vectors=[[1, n + 1]])])
    for n, tenant in enumerate(names):
        assert texts(index, "shared word", tenant) == [f"shared word of {n}"]
        assert len(index.dense(tenant, np.ones(2), 10)) == 1
        assert index.chunk_ids(tenant) == {f"d{n}:0"}
        assert index.chunk(tenant, f"d{(n + 1) % len(names)}:0") is None
    assert texts(index, "t1 acme 1", "acme") == []
    assert texts(index, "shared", "nobody") == []


def test_a_tenant_may_use_the_ids_of_another(index, make):
    index.replace([make("d", "mine", tenant="a"), make("d", "theirs", tenant="b")])
    index.remove("a", ["d"])
    assert texts(index, "theirs", "b") == ["theirs"]
    assert index.chunk("b", "d:0").text == "theirs"


def test_words_match_by_stem_without_accents_and_phrases_just_so(index, make):
    index.replace([make("d", "Patients with heart failures", "The heart. Failure of Ménière therapy")])
    assert len(texts(index, "patient")) == 1
    assert texts(index, "meniere") == ["The heart. Failure of Ménière therapy"]
    assert texts(index, '"patients with heart"') == ["Patients with heart failures"]
    assert texts(index, '"failure heart"') == []


def test_a_phrase_must_occur_and_further_words_only_rank(index, make):
    index.replace(
        [
            make("a", "heart failure and more of other things"),
            make("b", "heart failure with metformin"),
            make("c", "metformin"),
        ]
    )
    assert texts(index, '"heart failure" metformin')[0] == "heart failure with metformin"
    assert len(texts(index, '"heart failure" metformin')) == 2


def test_the_title_and_headings_of_a_chunk_help_to_find_it(index, make):
    index.replace([make("a", "It must not be taken.", title="Warfarin sodium"), make("b", "It must not be thrown.")])
    assert texts(index, "warfarin") == ["It must not be taken."]


def test_nearest_neighbours_are_exact_and_nearest_first(index, make):
    rng = np.random.default_rng(7)
    vectors = rng.standard_normal((300, 16)).astype(np.float32)
    index.replace([make(f"d{n}", f"text {n}", vectors=vectors[n : n + 1]) for n in range(300)])
    asked = rng.standard_normal(16).astype(np.float32)
    with index.snapshot():
        hits = index.dense("t", asked, 20)
        chunks = index.chunks(hit.number for hit in hits)
    cosine = vectors @ asked / (np.linalg.norm(vectors, axis=1) * np.linalg.norm(asked))
    expected = np.argsort(-cosine)[:20]
    assert [chunks[hit.number].doc_id for hit in hits] == [f"d{n}" for n in expected]
    assert [hit.score for hit in hits] == pytest.approx(cosine[expected], abs=1e-5)


def test_the_index_keeps_to_the_model_and_dimension_it_saw_first(index, make):
    assert index.space is None
    index.replace([make("d", "a", vectors=[[1, 2, 3]], model="one")])
    assert index.space == Space("one", 3)
    with pytest.raises(UsageError, match="holds vectors of one") as refused:
        index.replace([make("e", "b", vectors=[[1, 2, 3]], model="two")])
    assert "penstock index rebuild" in refused.value.next_step
    with pytest.raises(UsageError):
        index.replace([make("e", "b", vectors=[[1, 2]], model="one")])
    with pytest.raises(UsageError):
        index.dense("t", np.ones(2), 5)
    assert index.count() == Counts(1, 1, 1)


def test_documents_without_vectors_live_beside_those_with_some(index, make):
    index.replace([make("a", "x", vectors=[[1, 2]]), make("b", "y")])
    index.replace([make("a", "x", generation=2)])
    assert index.count() == Counts(2, 2, 0)
    assert index.dense("t", np.ones(2), 5) == []
    assert index.problems() == []


@pytest.mark.parametrize(
    "vectors",
    [
        [[1.0, float("nan")]],
        [[1.0, float("inf")]],
        [[0.0, 0.0]],
        [[1.0, 2.0], [3.0, 4.0]],
        np.ones((1, 0)),
        np.ones(2),
    ],
)
def test_vectors_that_cannot_stand_for_the_chunks_are_refused_and_nothing_written(index, make, vectors):
    with pytest.raises(InvalidOutput):
        index.replace([make("good", "fine", vectors=[[1, 2]]), make("bad", "text", vectors=vectors)])
    assert index.count() == Counts(0, 0, 0)


def test_two_chunks_of_one_id_are_refused(index, make):
    document = make("d", "a", "b")
    twice = [document.chunks[0], document.chunks[0]]
    with pytest.raises(InvalidOutput, match="two chunks"):
        index.replace([type(document)(**{**{n: getattr(document, n) for n in document.__slots__}, "chunks": twice})])


def test_a_chunk_is_looked_up_with_what_is_known_of_its_document(index, make):
    index.replace([make("d", "a", "b", title="T", date="2024-03", metadata={"phase": ["3"]}, kind="study")])
    assert index.chunk("t", "d:1") == StoredChunk(
        "t", "d", 1, 1, "files", "id-d", "study", "T", "2024-03", {"phase": ["3"]}, "d:1", 1, 0, 1, (), "b"
    )
    assert index.chunk("t", "d:2") is None


def test_the_digest_is_the_same_for_the_same_content_however_it_came_in(tmp_path: Path, make):
    one, other = SqliteSearchIndex(tmp_path / "1.db"), SqliteSearchIndex(tmp_path / "2.db")
    documents = [make(f"d{n}", f"a {n}", f"b {n}", vectors=[[n + 1, 2], [3, 4]]) for n in range(5)]
    one.replace(documents)
    other.replace([make("gone", "x"), make("d3", "was different", generation=0)])
    for document in reversed(documents):
        other.replace([document])
    other.remove("t", ["gone"])
    assert one.digest() == other.digest()
    assert one.store_id() != other.store_id()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE chunks SET text = 'changed' WHERE number = 1",
        'UPDATE chunks SET "end" = 99 WHERE number = 1',
        "UPDATE chunks SET ordinal = 7 WHERE number = 1",
        "UPDATE chunks SET heading = '[\"H\"]' WHERE number = 1",
        "DELETE FROM chunks WHERE number = 2",
        "UPDATE documents SET title = 'changed'",
        "UPDATE documents SET date = '1999'",
        "UPDATE documents SET metadata = '{\"a\":1}'",
        "UPDATE documents SET source_id = 'changed'",
        "UPDATE documents SET live = 0",
        "DELETE FROM vectors WHERE rowid = 1",
        "UPDATE vectors SET embedding = '[9, 9]' WHERE rowid = 1",
        "UPDATE tenants SET name = 'changed'",
    ],
)
def test_the_digest_differs_when_any_row_does(index, make, change):
    index.replace([make("d", "a", "b", vectors=[[1, 2], [3, 4]])])
    before = index.digest()
    with index._file.writing() as db:
        db.execute(change)
    assert index.digest() != before


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM chunks WHERE number = 2",
        "DELETE FROM words WHERE rowid = 1",
        "INSERT INTO words (rowid, text, title, tenant) VALUES (99, 'orphan', '', 't1')",
        "DELETE FROM vectors WHERE rowid = 1",
        "DELETE FROM documents",
    ],
)
def test_rows_that_belong_to_nothing_are_found(index, make, change):
    index.replace([make("d", "a", "b", vectors=[[1, 2], [3, 4]])])
    assert index.problems() == []
    with index._file.writing() as db:
        db.execute(change)
    assert index.problems() != []


def test_deleting_and_writing_over_and_over_does_not_let_the_file_grow(index, make):
    documents = [
        make(f"d{n}", *(f"word{n} number{m} " * 30 for m in range(5)), vectors=np.ones((5, 64))) for n in range(40)
    ]
    for _ in range(3):
        index.replace(documents)
    settled = index._file._connection().pragma("page_count")
    for _ in range(10):
        index.replace(documents)
    assert index._file._connection().pragma("page_count") <= 1.25 * settled
    assert index.problems() == []
