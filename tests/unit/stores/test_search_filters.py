from __future__ import annotations

import pytest

from penstock.errors import UsageError
from penstock.stores.search_filters import Filters


@pytest.fixture
def filled(index, make):
    index.replace(
        [
            make(
                "a",
                "word",
                source="files",
                kind="study",
                date="2024-03-09",
                metadata={"phase": ["2", "3"], "n": 1},
                vectors=[[1, 1]],
            ),
            make(
                "b",
                "word",
                source="files",
                kind="label",
                date="2024",
                metadata={"phase": ["4"], "lang": "en"},
                vectors=[[1, 2]],
            ),
            make("c", "word", source="openalex", kind="work", date="2023-11", vectors=[[1, 3]]),
            make("d", "word", source="openalex", kind="work", vectors=[[1, 4]]),
        ]
    )
    return index


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(), "abcd"),
        (Filters(sources=("files",)), "ab"),
        (Filters(kinds=("study", "label")), "ab"),
        (Filters(sources=("files",), kinds=("work",)), ""),
        (Filters(doc_ids=("a", "d", "nothing")), "ad"),
        (Filters(since="2024"), "ab"),
        (Filters(since="2024-03-10"), "b"),
        (Filters(since="2024-03-09"), "ab"),
        (Filters(until="2024"), "abc"),
        (Filters(until="2024-03-08"), "bc"),
        (Filters(until="2023"), "c"),
        (Filters(since="2023-11-05", until="2024-02"), "bc"),
        (Filters(metadata={"phase": ("3", "4")}), "ab"),
        (Filters(metadata={"phase": ("3",), "n": (1,)}), "a"),
        (Filters(metadata={"lang": ("en",)}), "b"),
        (Filters(metadata={"nothing": ("en",)}), ""),
        (Filters(chunk_ids=("c:0",)), "c"),
        (Filters(chunk_ids=()), ""),
        (Filters(sources=("') OR 1=1 --",)), ""),
        (Filters(metadata={"lang": ("' OR '1'='1",)}), ""),
    ],
)
def test_both_legs_and_lookups_are_narrowed_alike(filled, filters, expected):
    import numpy as np

    with filled.snapshot():
        legs = [filled.bm25("t", "word", 10, filters), filled.dense("t", np.ones(2), 10, filters)]
        for leg in legs:
            chunks = filled.chunks(hit.number for hit in leg)
            assert sorted(chunk.doc_id for chunk in chunks.values()) == list(expected)
    assert [chunk.doc_id for chunk in filled.select("t", filters)] == list(expected)


def test_a_filter_finds_the_best_of_what_passes_however_deep_they_rank(index, make):
    index.replace([make(f"x{n}", "word word word") for n in range(200)])
    index.replace([make("deep", "word among many many many others", kind="rare")])
    assert len(index.bm25("t", "word", 5, Filters(kinds=("rare",)))) == 1


@pytest.mark.parametrize("date", ["yesterday", "2024-3", "24", "2024-03-09T10:00", "", "2024%"])
def test_a_date_of_another_form_is_refused(date):
    with pytest.raises(UsageError, match="no date"):
        Filters(since=date)


@pytest.mark.parametrize("name", ['a"] OR 1', "", "a b", "$", "x" * 100, "a'"])
def test_a_name_that_could_be_more_than_a_name_is_refused(name):
    with pytest.raises(UsageError, match="no name"):
        Filters(metadata={name: ("1",)})
