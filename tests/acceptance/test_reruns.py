"""Run again: what is missing is done, and nothing else."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

import corpus
import oracle
from house import STAGES, House, pipeline
from penstock.stores.search_index import SqliteSearchIndex

AFTER_CHUNKS = {"chunk", "embed", "index", "extract", "kg"}


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    return corpus.mixed(tmp_path / "documents", 30)


def stages_worked(house: House) -> set[str]:
    return {stage for stage, _ in house.worked()}


def texts(house: House) -> list[tuple[str, int, str]]:
    """Each chunk in the index: its document, place and text."""
    index = SqliteSearchIndex(house.home / "index.db")
    found = sorted((chunk.doc_id, chunk.ordinal, chunk.text) for chunk in index.select("default"))
    index.close()
    return found


def expect_sound(house: House, **allowed: int) -> None:
    assert oracle.problems(house.home, **allowed) == []


def test_the_same_again_does_nothing_and_says_so(house: House, documents: Path) -> None:
    assert house.run(documents).status == 0
    before = oracle.facts(house.home)
    house.forget()
    again = house.penstock("run", "counted", str(documents))
    assert again.status == 0
    assert "nothing to do: all 30 documents are done" in again.out
    assert not house.worked()
    assert oracle.facts(house.home) == before
    expect_sound(house)


def test_of_many_documents_only_the_changed_one_is_redone(house: House, documents: Path) -> None:
    assert house.run(documents).status == 0
    house.forget()
    changed = documents / "00011.txt"
    changed.write_text(changed.read_text() + "\nA sentence that was not there before.\n")
    assert house.run(documents).status == 0
    assert sorted(stage for stage, _ in house.worked()) == sorted(STAGES)
    assert len({document for _, document in house.worked()}) == 1
    assert any("not there before" in text for _, _, text in texts(house))
    expect_sound(house)


def test_a_chunk_size_changed_and_changed_back_leaves_the_index_right_each_time(
    house: House, new_house: Callable[[str], House], documents: Path
) -> None:
    expected = {}
    for size in (200, 100):
        fresh = new_house(f"fresh-{size}")
        fresh.configure(pipeline(size=size))
        assert fresh.run(documents).status == 0
        expected[size] = texts(fresh)
    assert expected[200] != expected[100]
    for step, size in enumerate((200, 100, 200)):
        house.forget()
        house.configure(pipeline(size=size))
        assert house.run(documents).status == 0
        assert texts(house) == expected[size]
        assert stages_worked(house) == [set(STAGES), AFTER_CHUNKS, {"index", "kg"}][step]
        expect_sound(house)


def test_extracting_before_embedding_instead_of_after_calls_no_stage(house: House, documents: Path) -> None:
    assert house.run(documents).status == 0
    before = oracle.facts(house.home)
    house.forget()
    house.configure(pipeline(("parse", "chunk", "extract", "kg", "embed", "index")))
    ran = house.run(documents)
    assert ran.status == 0
    assert ran.report["nothing_to_do"]
    assert not house.worked()
    assert oracle.facts(house.home) == before


def test_a_deleted_index_is_rebuilt_by_the_next_run_without_parsing(house: House, documents: Path) -> None:
    assert house.run(documents).status == 0
    before = oracle.facts(house.home)
    for file in house.home.glob("index.db*"):
        file.unlink()
    house.forget()
    assert house.run(documents).status == 0
    assert stages_worked(house) == {"index"}
    assert len(house.worked()) == 30
    assert oracle.facts(house.home) == before
    expect_sound(house, stores_used=2)


def test_a_run_of_other_documents_rebuilds_the_deleted_index_too(house: House, documents: Path, tmp_path: Path) -> None:
    assert house.run(documents).status == 0
    other = tmp_path / "other"
    other.mkdir()
    (other / "note.md").write_text("# A note\n\nMetformin once more.\n")
    for file in house.home.glob("index.db*"):
        file.unlink()
    house.forget()
    ran = house.run(other)
    assert ran.status == 0
    assert any("30 documents come to index once more" in note for note in ran.report["notes"])
    assert len({doc for doc, _, _ in texts(house)}) == 31
    expect_sound(house, stores_used=2)
    house.forget()
    assert house.run(other).report["nothing_to_do"]


def test_a_deleted_index_holds_again_what_was_searchable_of_a_document_that_has_failed_since(
    house: House, documents: Path
) -> None:
    note = documents / "note.md"
    note.write_text("# A note\n\nMetformin as it was.\n")
    assert house.run(documents).status == 0
    note.write_text("")
    assert house.run(documents).status == 3
    before = texts(house)
    assert any("as it was" in text for _, _, text in before)
    for file in house.home.glob("index.db*"):
        file.unlink()
    assert house.run(documents).status == 3
    assert texts(house) == before
    note.write_text("# A note\n\nMetformin as it is.\n")
    assert house.run(documents).status == 0
    assert not any("as it was" in text for _, _, text in texts(house))
    expect_sound(house, stores_used=2)


def test_a_run_killed_while_it_rebuilds_the_index_leaves_the_rest_to_the_next(
    house: House, documents: Path, tmp_path: Path
) -> None:
    assert house.run(documents).status == 0
    other = tmp_path / "other"
    other.mkdir()
    (other / "note.md").write_text("# A note\n\nMetformin once more.\n")
    for file in house.home.glob("index.db*"):
        file.unlink()
    killed = house.run(other, FAILPOINT="after SqliteSearchIndex.replace #1", PENSTOCK_GROUP_SIZE="8")
    assert killed.status == -signal.SIGKILL
    assert house.run(other).status == 0
    assert len({doc for doc, _, _ in texts(house)}) == 31
    expect_sound(house, stores_used=2)


def test_a_renamed_pipeline_goes_on_with_what_the_old_one_had(house: House, documents: Path) -> None:
    (documents / "torn.json").write_text('{"protocolSection": {')
    assert house.run(documents).status == 3
    before = texts(house)
    house.forget()
    yaml = house.folder / "config/pipelines/counted.yaml"
    (yaml.parent / "renamed.yaml").write_text(yaml.read_text().replace("name: counted", "name: renamed"))
    yaml.unlink()
    ran = house.penstock("run", "renamed", str(documents), "--json")
    assert ran.status == 3
    assert ran.report["statuses"] == {"done": 30, "dead": 1}
    assert not house.worked(), "nothing of it is done again"
    assert texts(house) == before
    assert json.loads(house.penstock("retry", "--json").out)[0]["pipeline"] == "renamed"


def test_a_pipeline_edited_between_two_runs_redoes_only_what_the_edit_touches(house: House, documents: Path) -> None:
    assert house.run(documents).status == 0
    house.forget()
    house.configure(pipeline(size=120))
    ran = house.run(documents)
    assert ran.status == 0
    assert stages_worked(house) == AFTER_CHUNKS
    expect_sound(house)
    house.forget()
    house.configure(pipeline(size=120) + "description: said in other words\n")
    assert house.run(documents).report["nothing_to_do"]
    assert not house.worked()


def test_a_pipeline_edited_during_a_run_is_for_the_next_one(
    house: House, new_house: Callable[[str], House], documents: Path
) -> None:
    child = house.start("run", "counted", str(documents), FAILPOINT="enter Work.claim #2", FAILSIGNAL="SIGSTOP")
    child.until_stopped()
    house.configure(pipeline(size=100))
    child.process.send_signal(signal.SIGCONT)
    assert child.result().status == 0
    fresh = new_house("fresh")
    assert fresh.run(documents).status == 0
    assert texts(house) == texts(fresh)
    assert house.run(documents).status == 0
    fresh.configure(pipeline(size=100))
    assert fresh.run(documents).status == 0
    assert texts(house) == texts(fresh)
    expect_sound(house)


def test_a_dead_document_mended_in_its_file_comes_through(house: House, documents: Path) -> None:
    broken = documents / "study.json"
    whole = json.loads(next(documents.glob("*NCT*.json")).read_text())
    whole["protocolSection"]["identificationModule"]["nctId"] = "NCT70000001"
    broken.write_text(json.dumps(whole)[:-40])
    first = house.run(documents)
    assert first.status == 3
    assert first.report["statuses"] == {"done": 30, "dead": 1}
    house.forget()
    broken.write_text(json.dumps(whole))
    second = house.run(documents)
    assert second.status == 0, second.out
    assert len({document for _, document in house.worked()}) == 1
    assert "nothing to retry" in house.penstock("retry").out
    expect_sound(house)


def test_a_run_asked_to_stop_gives_back_what_it_holds_and_a_rerun_goes_on(
    house: House, new_house: Callable[[str], House], documents: Path
) -> None:
    child = house.start("run", "counted", str(documents), FAILPOINT="after Work.claim #2", FAILSIGNAL="SIGTERM")
    stopped = child.result()
    assert stopped.status == 128 + signal.SIGTERM
    assert "given back" in stopped.err
    assert "Traceback" not in stopped.err
    expect_sound(house, pending=30)
    assert stages_worked(house) == {"parse"}
    assert house.run(documents).status == 0
    assert house.redone() == {}, "what was asked to stop had come to the end of its group"
    calm = new_house("calm")
    assert calm.run(documents).status == 0
    assert oracle.facts(house.home) == oracle.facts(calm.home)
    expect_sound(house)
