from __future__ import annotations

from pathlib import Path

import pytest

from penstock.errors import UsageError
from penstock.ir import Chunk
from penstock.retrieval.fields import resolve
from penstock.stores.search_index import SqliteSearchIndex
from penstock.stores.search_rows import IndexedDocument


@pytest.fixture
def index(tmp_path: Path) -> SqliteSearchIndex:
    index = SqliteSearchIndex(tmp_path / "index.db")
    for number, metadata in enumerate(
        [
            {"ingredient": ["WARFARIN SODIUM", "Metformin"], "year": 2024, "open": True, "none": None},
            {"ingredient": ["metformin", "Metformin Hydrochloride"], "language": "en"},
        ]
    ):
        chunk = Chunk(chunk_id=f"{number}:0", ordinal=0, start=0, end=4, text="text")
        index.replace([IndexedDocument("t", str(number), 1, 1, "s", "id", "k", "", [chunk], None, metadata)])
    return index


@pytest.mark.parametrize(
    ("name", "asked", "meant", "noted"),
    [
        ("ingredient", "metformin", ("metformin",), ""),
        ("ingredient", "METFORMIN", ("Metformin", "metformin"), "taken as"),
        ("ingredient", "warfarin", ("WARFARIN SODIUM",), "taken as"),
        ("ingredient", "warfar", ("warfar",), "no document has"),
        ("ingredient", "sodium warfarin", ("sodium warfarin",), "no document has"),
        ("ingredient", "", ("",), "no document has"),
        ("year", "2024", (2024,), ""),
        ("open", "true", (True,), ""),
        ("language", "en", ("en",), ""),
    ],
)
def test_a_value_is_the_one_that_documents_have(index, name, asked, meant, noted):
    found, notes = resolve(index, "t", {name: (asked,)})
    assert found == {name: meant}
    assert noted in " ".join(notes)
    assert bool(notes) == bool(noted)


def test_several_values_are_alternatives(index):
    found, _ = resolve(index, "t", {"ingredient": ("warfarin", "hydrochloride")})
    assert found == {"ingredient": ("WARFARIN SODIUM", "Metformin Hydrochloride")}


def test_what_was_taken_for_what_is_said(index):
    _, notes = resolve(index, "t", {"ingredient": ("warfarin", "warfrin")})
    assert notes[0] == "ingredient=warfarin was taken as WARFARIN SODIUM"
    assert notes[1].startswith("no document has ingredient=warfrin; there are: ")
    assert "WARFARIN SODIUM" in notes[1]


def test_a_field_that_no_document_has_is_a_mistake_and_those_there_are_are_named(index):
    with pytest.raises(UsageError, match="no document has a field 'nosuch'") as raised:
        resolve(index, "t", {"nosuch": ("x",)})
    assert raised.value.next_step == "there are: ingredient, language, none, open, year"
    with pytest.raises(UsageError) as raised:
        resolve(index, "another tenant", {"year": ("x",)})
    assert raised.value.next_step == "there are: none"
    assert resolve(index, "another tenant", {}) == ({}, [])
