"""Which words fetch chunks in a large index, here one that counts as large from a hundred chunks on."""

from __future__ import annotations

import random

import pytest

from penstock.stores import search_words
from penstock.stores.search_filters import Filters
from penstock.stores.search_index import SqliteSearchIndex

RARE = [f"rare{n}" for n in range(8)]
COMMON = [f"common{n}" for n in range(4)]
PLENTY = 10_000


@pytest.fixture
def texts() -> list[str]:
    """600 texts: each common word in about half of them, each rare one in about 24."""
    rng = random.Random(5)
    return [
        " ".join(
            [word for word in COMMON for _ in range(rng.choice([0, 0, 1, 2]))]
            + [word for word in RARE if rng.random() < 0.04]
            + rng.choices(["filler", "padding", "stuffing"], k=rng.randrange(5, 40))
        )
        for _ in range(600)
    ]


@pytest.fixture
def filled(index: SqliteSearchIndex, make, texts: list[str]) -> SqliteSearchIndex:
    index.replace([make(f"d{n}", text, kind="even" if n % 2 == 0 else "odd") for n, text in enumerate(texts)])
    return index


def exact(index: SqliteSearchIndex, query: str, k: int, filters: Filters, monkeypatch: pytest.MonkeyPatch) -> list:
    with monkeypatch.context() as patch:
        patch.setattr(search_words, "FETCHED", PLENTY)
        return index.bm25("t", query, k, filters)


@pytest.mark.parametrize("filters", [Filters(), Filters(kinds=("odd",))])
def test_common_words_rank_what_rare_ones_fetch_as_if_nothing_was_left_out(filled, filters, monkeypatch):
    query = "rare0 rare1 rare1 common0 common2 common2"
    wanted = exact(filled, query, 10, filters, monkeypatch)
    monkeypatch.setattr(search_words, "FETCHED", 100)
    found = filled.bm25("t", query, 10, filters)
    assert [hit.number for hit in found] == [hit.number for hit in wanted]
    assert [hit.score for hit in found] == pytest.approx([hit.score for hit in wanted])


def test_what_has_only_a_common_word_is_left_to_the_rare_ones(filled, texts, monkeypatch):
    monkeypatch.setattr(search_words, "FETCHED", 100)
    with_a_rare_word = sum("rare0" in text or "rare1" in text for text in texts)
    with filled.snapshot():
        found = filled.bm25("t", "rare0 rare1 common0", with_a_rare_word)
        chunks = filled.chunks(hit.number for hit in found)
    assert len(found) == with_a_rare_word
    assert all("rare" in chunk.text for chunk in chunks.values())


def test_words_all_common_must_all_be_there(filled, texts, monkeypatch):
    monkeypatch.setattr(search_words, "FETCHED", 100)
    with filled.snapshot():
        found = filled.bm25("t", "common0 common1 common2", 20)
        chunks = filled.chunks(hit.number for hit in found)
    assert len(found) == 20
    assert all({"common0", "common1", "common2"} <= set(chunk.text.split()) for chunk in chunks.values())


@pytest.mark.parametrize("query", ["rare0 common0", "common0 common1 common2 common3"])
def test_where_that_is_too_few_any_word_does(filled, query, monkeypatch):
    wanted = exact(filled, query, 250, Filters(), monkeypatch)
    monkeypatch.setattr(search_words, "FETCHED", 100)
    assert filled.bm25("t", query, 250) == wanted
    assert len(wanted) == 250


def test_what_is_quoted_must_be_there_however_common(filled, texts, monkeypatch):
    monkeypatch.setattr(search_words, "FETCHED", 100)
    with filled.snapshot():
        found = filled.bm25("t", '"common1" rare0', 600)
        chunks = filled.chunks(hit.number for hit in found)
    assert len(found) == sum("common1" in text for text in texts)
    assert all("common1" in chunk.text for chunk in chunks.values())


def test_a_tenants_number_is_no_word(index, make):
    index.replace([make("d", "nothing of the kind"), make("e", "the t1 relaxation time")])
    assert [hit.number for hit in index.bm25("t", "t1", 10)] == [2]
    index.replace([make("f", "other", tenant="another")])
    assert [hit.number for hit in index.bm25("t", "t1 T2", 10)] == [2]
