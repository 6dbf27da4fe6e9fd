"""Which documents a name means."""

from __future__ import annotations

import pytest

from ledger_scene import Scene, record
from penstock.errors import NotFound
from penstock.ledger.jobs_read import JobsReader
from penstock.ledger.names import documents_called

DOCUMENTS = {
    "/a/notes.md": "/a/notes.md",
    "/b/notes.md": "/b/notes.md",
    "/b/sub/Other_notes.md": "/b/sub/Other_notes.md",
    "/b/all.zip!note.md": "/b/all.zip",
    "NCT1": "/b/studies.json",
    "NCT2": "/b/studies.json",
    "NCT3": "/b/study.json",
}
NAMED = {
    "/a/notes.md": ["/a/notes.md"],
    "a/notes.md": ["/a/notes.md"],
    "notes.md": ["/a/notes.md", "/b/notes.md"],
    "otes.md": [],
    "Notes.md": [],
    "%/notes.md": [],
    "Other_notes.md": ["/b/sub/Other_notes.md"],
    "sub/Other_notes.md": ["/b/sub/Other_notes.md"],
    "OtherXnotes.md": [],
    "all.zip!note.md": ["/b/all.zip!note.md"],
    "NCT1": ["NCT1"],
    "studies.json": ["NCT1", "NCT2"],
    "/b/studies.json": ["NCT1", "NCT2"],
    "study.json": ["NCT3"],
}


@pytest.fixture
def listed(scene: Scene) -> Scene:
    scene.take(*(record(name, place=f"{uri}#{n}", uri=uri) for n, (name, uri) in enumerate(DOCUMENTS.items())))
    scene.take(record("/c/Other_notes.md"), tenant="another")
    return scene


@pytest.mark.parametrize("name", NAMED)
def test_a_document_answers_to_its_name_its_place_and_the_end_of_either(listed: Scene, name: str) -> None:
    with listed.ledger.database.read() as connection:
        rows = documents_called(connection, "default", [name])
    assert [list(DOCUMENTS)[row - 1] for row in rows] == NAMED[name]


def test_a_name_that_several_answer_to_is_refused_with_their_ids(listed: Scene) -> None:
    reader = JobsReader(listed.ledger.database)
    one, other = record("/a/notes.md"), record("/b/notes.md")
    assert reader.doc_ids("default", ["a/notes.md"]) == [one.doc_id]
    with pytest.raises(NotFound) as refused:
        reader.doc_ids("default", ["notes.md"])
    assert refused.value.message.startswith("2 documents answer to 'notes.md': /")
    assert all(f"{r.source_id} ({r.doc_id})" in refused.value.message for r in (one, other))


def test_what_is_near_a_name_is_told_by_the_last_part_of_a_path(listed: Scene) -> None:
    assert JobsReader(listed.ledger.database).near("default", "Other_ntes.md")[0] == "/b/sub/Other_notes.md"
