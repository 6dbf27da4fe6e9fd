"""Vectors searched again are searched in memory: the answers are those of the file."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from penstock.errors import UsageError
from penstock.stores import search_vectors
from penstock.stores.search_filters import Filters
from penstock.stores.search_index import NO_FILTERS, SqliteSearchIndex
from penstock.stores.search_rows import LegHit

DIMENSION = 8


def vectors(rows: int, seed: int = 0) -> np.ndarray:
    """Of all lengths: what counts is the angle."""
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((rows, DIMENSION)) * rng.uniform(0.1, 9, (rows, 1))).astype(np.float32)


@pytest.fixture
def filled(index: SqliteSearchIndex, make) -> SqliteSearchIndex:
    """2,600 rows of one tenant, three blocks of sqlite-vec's, with holes; another tenant's between them."""
    for n in range(26):
        texts = [f"text {n}"] * 100
        kind = "even" if n % 2 == 0 else "odd"
        index.replace([make(f"d{n}", *texts, kind=kind, vectors=vectors(100, n), tenant="other" if n == 3 else "t")])
    index.replace([make("d5", "text", generation=2, vectors=vectors(1, 99))])
    index.remove("t", ["d7"])
    return index


def ask(index: SqliteSearchIndex, seed: int, k: int, filters: Filters = NO_FILTERS, tenant: str = "t") -> list[LegHit]:
    return index.dense(tenant, vectors(1, 1000 + seed)[0], k, filters)


def same(found: list[LegHit], wanted: list[LegHit]) -> bool:
    return [hit.number for hit in found] == [hit.number for hit in wanted] and np.allclose(
        [hit.score for hit in found], [hit.score for hit in wanted], atol=1e-5
    )


@pytest.mark.parametrize("filters", [Filters(), Filters(kinds=("odd",)), Filters(doc_ids=("d5", "d6"))])
def test_memory_answers_as_the_file_does(filled, filters, monkeypatch):
    from_file = [ask(SqliteSearchIndex(filled.path), seed, 50, filters) for seed in range(5)]
    ask(filled, 0, 1)
    monkeypatch.setattr(search_vectors, "_from_file", None)
    for seed, wanted in enumerate(from_file):
        assert same(ask(filled, seed, 50, filters), wanted)
        assert len(wanted) == 50


def test_fewer_than_asked_for_are_all_there_are(filled):
    few = Filters(doc_ids=("d5",))
    assert len(ask(filled, 1, 10, few)) == 1
    assert len(ask(filled, 1, 10, few)) == 1
    assert ask(filled, 1, 10, Filters(kinds=("no such",))) == []


def test_tenants_are_searched_apart(filled):
    for tenant in ("t", "other", "t", "other"):
        found = ask(filled, 2, 4000, tenant=tenant)
        assert len(found) == filled.count(tenant).vectors


def test_a_write_is_seen_at_once_also_another_process_s(filled, make):
    for _ in range(3):
        ask(filled, 3, 5)
    asked = vectors(1, 1003)
    SqliteSearchIndex(filled.path).replace([make("new", "text", vectors=asked)])
    for _ in range(3):
        with filled.snapshot():
            [nearest] = ask(filled, 3, 1)
            assert filled.chunks([nearest.number])[nearest.number].doc_id == "new"
    filled.remove("t", ["new"])
    for _ in range(3):
        with filled.snapshot():
            [nearest] = ask(filled, 3, 1)
            assert filled.chunks([nearest.number])[nearest.number].doc_id != "new"


def test_a_file_put_in_its_place_is_another(filled, make, tmp_path: Path):
    for _ in range(3):
        ask(filled, 4, 5)
    other = SqliteSearchIndex(tmp_path / "other.db")
    other.replace([make("only", "text", vectors=vectors(1, 7))])
    other.close()
    for path in (filled.path, filled.path.with_name("index.db-wal"), filled.path.with_name("index.db-shm")):
        path.unlink(missing_ok=True)
    other.path.rename(filled.path)
    assert len(ask(filled, 4, 5)) == 1
    assert len(ask(filled, 4, 5)) == 1


def test_an_old_snapshot_keeps_what_it_saw(filled, make):
    ask(filled, 5, 5)
    with filled.snapshot():
        before = ask(filled, 5, 5)
        SqliteSearchIndex(filled.path).replace([make("new", "text", vectors=vectors(1, 1005))])
        assert same(ask(filled, 5, 5), before)
    assert not same(ask(filled, 5, 5), before)


def test_what_is_too_large_for_memory_stays_in_the_file(filled, monkeypatch):
    monkeypatch.setattr(search_vectors, "MAX_RESIDENT", 4 * DIMENSION * 2000)
    from_file = ask(SqliteSearchIndex(filled.path), 6, 50)
    for _ in range(3):
        assert ask(filled, 6, 50) == from_file


def test_one_tenant_makes_room_for_another(filled, monkeypatch):
    monkeypatch.setattr(search_vectors, "MAX_RESIDENT", 4 * DIMENSION * filled.count("t").vectors)
    for tenant in ("t", "t", "other", "other", "t", "t"):
        assert same(ask(filled, 7, 50, tenant=tenant), ask(SqliteSearchIndex(filled.path), 7, 50, tenant=tenant))


def test_threads_share_it(filled):
    wanted = [ask(SqliteSearchIndex(filled.path), seed, 20) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        for found, right in zip(
            pool.map(lambda seed: ask(filled, seed, 20), list(range(8)) * 3), wanted * 3, strict=True
        ):
            assert same(found, right)


@pytest.mark.parametrize(
    "asked", [np.ones(3), np.zeros(DIMENSION), np.full(DIMENSION, np.nan), np.ones((1, DIMENSION))]
)
def test_a_vector_that_does_not_fit_is_refused(filled, asked):
    for _ in range(2):
        with pytest.raises(UsageError, match="8 dimensions"):
            filled.dense("t", asked.astype(np.float32), 5)
