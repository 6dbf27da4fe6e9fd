"""Stored outputs that are lost are made again, where they can be; only a lost payload costs a document."""

from __future__ import annotations

from pathlib import Path
from shutil import rmtree

import pytest

from penstock.ledger import schema
from penstock.runner import RunRequest
from penstock.stores.artifacts import FileArtifacts
from tiny import Bench, Chunker, World, payload

STATES, ARTIFACTS = schema.stage_states.c, schema.artifacts.c


@pytest.fixture
def stored(bench: Bench, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of artifacts of a bench in which every body rests there; three documents are parsed and chunked."""
    for module in ("ingest", "outputs"):
        monkeypatch.setattr(f"penstock.runner.{module}.INLINE_BYTES", 0)
    bench.artifacts = FileArtifacts(tmp_path / "artifacts")
    world.payloads = [payload(str(n), f"text {n}") for n in range(3)]
    runner = bench.open_runner()
    run = runner.open(bench.topology, RunRequest("given"))
    for stage in ("ingest", "parse", "chunk"):
        runner.run_stage(run, stage)
    runner.close()
    world.calls.clear()
    return tmp_path / "artifacts"


def files(bench: Bench, folder: Path, kind: str) -> list[Path]:
    hashes = bench.rows(ARTIFACTS.hash, ARTIFACTS.kind == kind)
    return [folder / name[:2] / name for name in (digest.hex() for digest in hashes)]


def test_a_lost_output_is_made_again_within_the_run(bench: Bench, world: World, stored: Path) -> None:
    files(bench, stored, "list[Chunk]")[1].unlink()
    report = bench.run(batch=1)
    assert (report.outcome, report.statuses) == ("complete", {"done": 3})
    assert world.texts("chunk") == ["text 1"]
    assert world.texts("parse") == []
    assert report.notes == ["chunk: 1 document's output made again: the artifact store had lost what was kept"]


def test_an_output_of_other_bytes_counts_as_lost_and_is_put_aside(bench: Bench, world: World, stored: Path) -> None:
    damaged = files(bench, stored, "list[Chunk]")[2]
    damaged.write_bytes(b"[]")
    assert bench.run(batch=1).statuses == {"done": 3}
    assert world.texts("chunk") == ["text 2"]
    assert damaged.with_suffix(".damaged").read_bytes() == b"[]"


def test_what_a_lost_output_was_made_of_is_made_again_too(bench: Bench, world: World, stored: Path) -> None:
    for kind in ("list[Chunk]", "Document"):
        files(bench, stored, kind)[0].unlink()
    assert bench.run(batch=1).statuses == {"done": 3}
    assert world.texts("parse") == world.texts("chunk") == ["text 0"]


@pytest.mark.parametrize("group", [1, 1024])
def test_documents_that_wait_for_a_service_get_lost_inputs_again_too(
    bench: Bench, world: World, stored: Path, monkeypatch: pytest.MonkeyPatch, group: int
) -> None:
    monkeypatch.setattr(Chunker, "lane", lambda self, item: "a service", raising=False)
    monkeypatch.setattr("penstock.runner.lane_loop.GROUP", group)
    for kind in ("list[Chunk]", "Document"):
        for place in files(bench, stored, kind)[:2]:
            place.unlink()
    assert bench.run(batch=1).statuses == {"done": 3}
    assert sorted(world.texts("parse")) == sorted(world.texts("chunk")) == ["text 0", "text 1"]


def test_a_lost_payload_costs_its_document_only_and_listing_it_again_mends_it(
    bench: Bench, world: World, stored: Path
) -> None:
    rmtree(stored)
    for digest in bench.rows(ARTIFACTS.hash, ARTIFACTS.kind == "RawPayload")[1:]:
        bench.artifacts.put(next(p.content for p in world.payloads if p.sha256 == digest.hex()))
    report = bench.run(batch=1)
    assert (report.outcome, report.statuses) == ("partial", {"done": 2, "failed": 1})
    (failure,) = [failure for stage in report.stages for failure in stage.failures]
    assert (failure.source_id, failure.stage, failure.reason) == ("0", "parse", "artifact-lost")
    assert "list its source again" in failure.next_step
    assert bench.run().statuses == {"done": 3}


def test_an_output_found_by_key_whose_bytes_are_lost_is_made_again(bench: Bench, world: World, stored: Path) -> None:
    for path in files(bench, stored, "Document"):
        path.unlink()
    job = bench.rows(schema.jobs.c.id)
    bench.ledger.outputs.redo([(number, "parse") for number in job], [])
    assert bench.run(batch=1).statuses == {"done": 3}
    assert world.texts("parse") == ["text 0", "text 1", "text 2"]


def test_a_store_that_keeps_nothing_ends_the_run_rather_than_going_round(
    bench: Bench, stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in files(bench, stored, "list[Chunk]"):
        path.unlink()
    monkeypatch.setattr(FileArtifacts, "put", lambda self, data: "")
    report = bench.run(batch=1)
    assert report.outcome == "failed"
    assert "lost again" in report.error
    assert "PENSTOCK_ARTIFACTS_URL" in report.next_step
