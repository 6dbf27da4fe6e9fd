"""One stage over one batch: claimed, made, committed in groups; what can't be made is told apart."""

from __future__ import annotations

import contextlib
import gc
from typing import Any

import pytest

from penstock.errors import (
    BadInput,
    PenstockError,
    ServiceUnavailable,
    StageFailed,
    Stopped,
    StorageFull,
    UsageError,
)
from penstock.ir import Document, Vectors
from penstock.ledger import schema
from penstock.runner import Limits, RunRequest
from penstock.runner.stage import COMMIT_BYTES
from tiny import PIPELINE, Bench, Chunker, Embedder, Indexer, Listing, World, payload

STATES = schema.stage_states.c


@pytest.fixture
def ten(world: World) -> World:
    world.payloads = [payload(str(n), f"text {n}") for n in range(10)]
    return world


def at(stage: str, bad: str, error: Exception) -> Any:
    """A fault: this stage raises for this text."""

    def fault(name: str, texts: list[str]) -> None:
        if name == stage and bad in texts:
            raise error

    return fault


def test_every_document_goes_through_every_stage_once(bench: Bench, ten: World) -> None:
    report = bench.run()
    assert (report.outcome, report.statuses) == ("complete", {"done": 10})
    for stage in ("parse", "chunk", "embed", "index"):
        assert ten.texts(stage) == [f"text {n}" for n in range(10)]
    assert [s.done for s in report.stages] == [10] * 5
    assert bench.run().nothing_to_do


def test_documents_are_claimed_in_groups(bench: Bench, ten: World) -> None:
    bench.limits = Limits(group=4)
    bench.run()
    assert [len(texts) for stage, texts in ten.calls if stage == "embed"] == [4, 4, 2]


def test_a_bad_document_is_dead_lettered_with_its_input_and_the_others_go_on(bench: Bench, ten: World) -> None:
    ten.fault = at("parse", "text 3", BadInput("torn", reason="truncated"))
    report = bench.run()
    assert (report.outcome, report.statuses) == ("partial", {"done": 9, "dead": 1})
    (failure,) = report.stages[1].failures
    assert (failure.source_id, failure.status, failure.reason) == ("3", "dead", "truncated")
    content = bench.rows(schema.documents.c.content, schema.documents.c.source_id == "3")
    assert bench.rows(schema.dead_letters.c.input) == content
    assert "text 3" not in ten.texts("chunk")


def test_a_bug_of_a_stage_is_dead_lettered_with_its_traceback(bench: Bench, ten: World) -> None:
    ten.fault = at("embed", "text 3", ZeroDivisionError("division by zero"))
    bench.run()
    assert bench.rows(schema.dead_letters.c.reason) == ["unexpected"]
    (detail,) = bench.rows(schema.dead_letters.c.detail)
    assert "ZeroDivisionError: division by zero" in detail


def test_a_bisection_does_not_open_the_circuit_on_the_innocent(bench: Bench, ten: World) -> None:
    bench.yaml = PIPELINE.replace("EmbedStage, policy: once", "EmbedStage, policy: touchy")

    def fault(stage: str, texts: list[str]) -> None:
        if stage == "embed" and {"text 2", "text 3", "text 6"} & set(texts):
            raise ServiceUnavailable("503")

    ten.fault = fault
    report = bench.run()
    assert report.statuses == {"done": 7, "dead": 3}
    assert {failure.source_id for failure in report.stages[3].failures} == {"2", "3", "6"}


def test_when_a_service_goes_away_in_mid_search_what_got_through_is_kept_and_nobody_is_dead(
    bench: Bench, ten: World
) -> None:
    calls = 0

    def fault(stage: str, texts: list[str]) -> None:
        nonlocal calls
        if stage == "embed":
            calls += 1
            if calls != 2:
                raise ServiceUnavailable("503")

    ten.fault = fault
    report = bench.run()
    assert report.outcome == "failed"
    assert bench.statuses() == {"failed": 5, "pending": 5}
    assert len(bench.rows(STATES.job_id, (STATES.stage == "embed") & (STATES.status == "done"))) == 5


def test_a_full_store_fails_the_run_and_gives_back_what_it_held(bench: Bench, ten: World) -> None:
    ten.fault = at("index", "text 3", StorageFull("no room"))
    with pytest.raises(StorageFull, match="no room"):
        bench.run()
    assert bench.statuses() == {"pending": 10}
    assert set(bench.rows(STATES.status)) == {"done", "pending"}
    ten.fault = lambda stage, texts: None
    ten.calls.clear()
    assert bench.run().statuses == {"done": 10}
    assert {stage for stage, _ in ten.calls} == {"ingest", "index"}


def test_a_users_mistake_ends_the_run_at_once(bench: Bench, ten: World) -> None:
    ten.fault = at("embed", "text 3", UsageError("the index holds vectors of another model"))
    with pytest.raises(UsageError):
        bench.run()
    assert bench.statuses() == {"pending": 10}
    assert bench.rows(schema.batches.c.status) == ["failed"]


@pytest.mark.parametrize("stage", ["parse", "embed"])
def test_a_request_to_stop_is_answered_between_documents(bench: Bench, ten: World, stage: str) -> None:
    def stop() -> None:
        if ten.texts(stage):
            raise Stopped("enough")

    with pytest.raises(Stopped):
        bench.run(stop=stop)
    assert "running" not in bench.rows(STATES.status)
    assert bench.rows(STATES.lost, STATES.lost > 0) == [], "giving back is no loss"
    ten.calls.clear()
    assert bench.run().statuses == {"done": 10}
    assert len(ten.texts(stage)) == (9 if stage == "parse" else 0)


def test_when_nothing_gets_through_the_stage_fails(bench: Bench, world: World) -> None:
    world.payloads = [payload(str(n), "bad") for n in range(3)]
    world.fault = at("parse", "bad", BadInput("torn"))
    for _ in range(2):
        report = bench.run()
        assert report.outcome == "failed"
        assert report.error == "parse: not one of 3 documents got through; the first, 0: torn"


def test_dead_letters_that_a_pipeline_forbids_fail_it(bench: Bench, ten: World) -> None:
    """Each time, for as long as they stand."""
    bench.yaml = PIPELINE.replace("stages:", "on_dead_letter: fail\nstages:")
    ten.fault = at("parse", "text 3", BadInput("torn"))
    for _ in range(2):
        report = bench.run()
        assert report.outcome == "failed"
        assert "1 dead letter, and the pipeline says on_dead_letter: fail; the first, 3: torn" in report.error
        assert report.next_step == BadInput.next_step


class Leaving(BaseException):
    """What no stage should raise, and a runner must survive all the same."""


@pytest.mark.parametrize("stage", ["parse", "embed"])
def test_a_stage_that_would_end_the_process_is_a_bug_of_its_own(bench: Bench, ten: World, stage: str) -> None:
    def fault(name: str, texts: list[str]) -> None:
        if name == stage and "text 3" in texts:
            raise SystemExit(7)

    ten.fault = fault
    report = bench.run()
    assert report.statuses == {"done": 9, "dead": 1}
    assert bench.rows(schema.dead_letters.c.message) == ["SystemExit: 7"]
    assert bench.rows(schema.dead_letters.c.reason) == ["unexpected"]


@pytest.mark.parametrize("leaving", [Leaving, SystemExit, KeyboardInterrupt, ZeroDivisionError])
@pytest.mark.parametrize("stage", ["ingest", "embed"])
def test_whatever_ends_a_run_its_batch_is_closed(
    bench: Bench, ten: World, stage: str, leaving: type[BaseException]
) -> None:
    def fault(name: str, texts: list[str]) -> None:
        if name == stage:
            raise leaving(7)

    ten.fault = fault
    with contextlib.suppress(leaving):
        bench.run()
    assert bench.rows(schema.batches.c.status) == ["failed"]
    assert "running" not in bench.rows(STATES.status)


def test_an_interrupt_loses_nothing_that_was_made(bench: Bench, ten: World) -> None:
    def fault(name: str, texts: list[str]) -> None:
        if name == "parse" and texts == ["text 3"]:
            raise KeyboardInterrupt

    ten.fault = fault
    with pytest.raises(KeyboardInterrupt):
        bench.run()
    assert bench.rows(STATES.job_id, (STATES.stage == "parse") & (STATES.status == "done")) == [1, 2, 3]


def test_a_receipt_of_another_store_than_the_sink_names_is_refused(
    bench: Bench, ten: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Indexer, "store_id", lambda self: "its own")
    report = bench.run()
    assert "its receipt names the store store-1, but what it writes to is its own" in report.error


def test_a_store_that_is_replaced_while_it_is_written_to_is_not_taken_for_the_old_one(bench: Bench, ten: World) -> None:
    def fault(name: str, texts: list[str]) -> None:
        if name == "index":
            ten.store = "store-2"

    ten.fault = fault
    report = bench.run()
    assert (report.outcome, report.statuses) == ("failed", {"pending": 10})
    assert "its store was replaced" in report.error
    assert bench.run().statuses == {"done": 10}
    assert set(bench.rows(STATES.store, STATES.stage == "index")) == {"store-2"}


def test_an_output_of_another_type_is_refused(bench: Bench, ten: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Chunker, "execute", lambda self, ctx, document: "a string")
    report = bench.run()
    assert report.stages[2].failures[0].reason == "invalid-output"
    assert "gave str where its contract says list[Chunk]" in report.stages[2].failures[0].message


def test_a_list_with_something_else_in_it_is_refused(bench: Bench, ten: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Chunker, "execute", lambda self, ctx, document: [document])
    assert "a list with Document in it" in bench.run().stages[2].failures[0].message


def test_too_few_outputs_are_refused_for_all(bench: Bench, ten: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Embedder, "execute", lambda self, items: [])
    report = bench.run()
    assert "1 documents in, 0 outputs out" in report.stages[3].failures[0].message
    assert report.statuses == {"dead": 10}


def test_what_a_contract_checks_is_checked(bench: Bench, ten: World, monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np

    wrong = Vectors("ones", np.full((1, 2), np.nan, "<f4"))
    monkeypatch.setattr(Embedder, "execute", lambda self, items: [wrong for _ in items])
    assert "not finite" in bench.run().stages[3].failures[0].message


def test_a_raised_version_redoes_the_stage_and_what_follows(
    bench: Bench, ten: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.run()
    ten.calls.clear()
    monkeypatch.setattr(Embedder, "version", "2")
    report = bench.run()
    assert {stage for stage, _ in ten.calls} == {"ingest", "embed", "index"}
    assert [s.reused for s in report.stages[1:3]] == [10, 10], "parsed and chunked is found again by key"
    assert {generation for generation, _, _ in ten.held.values()} == {2}


def test_a_raised_version_of_the_listing_parses_again_what_may_be_listed_differently_now(
    bench: Bench, ten: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.run()
    ten.calls.clear()
    monkeypatch.setattr(Listing, "version", "2")
    report = bench.run()
    assert [s.reused for s in report.stages[1:4]] == [0, 10, 10], "the same came out, so what follows is reused"


def test_a_sink_is_written_again_when_its_store_is_another(bench: Bench, ten: World) -> None:
    bench.run()
    ten.calls.clear()
    ten.held.clear()
    ten.store = "store-2"
    assert bench.run().statuses == {"done": 10}
    assert {stage for stage, _ in ten.calls} == {"ingest", "index"}
    assert len(ten.held) == 10


def test_a_lost_store_of_a_sink_in_the_middle_leaves_no_document_undone(bench: Bench, ten: World) -> None:
    """Nothing follows the redone sink that could call the job done."""
    bench.yaml = PIPELINE + "  - {name: again, type: EmbedStage, policy: once, depends_on: [index]}\n"
    bench.run()
    ten.store = "store-2"
    report = bench.run()
    assert (report.outcome, report.statuses) == ("complete", {"done": 10})


def test_a_pipeline_may_chunk_twice(bench: Bench, ten: World) -> None:
    bench.yaml = PIPELINE + "  - {name: again, type: ChunkStage, policy: once, depends_on: [index]}\n"
    assert bench.run().statuses == {"done": 10}


def test_a_store_that_knows_better_than_this_ledger_is_said_to_belong_to_another(bench: Bench, ten: World) -> None:
    ten.refused = {"3"}
    report = bench.run()
    assert report.outcome == "failed"
    assert "a newer generation of 3 than this ledger knows" in report.error
    assert "another wrote it" in report.error


def test_a_document_changed_while_it_was_worked_on_is_left_to_the_newer_run(bench: Bench, ten: World) -> None:
    """Another process takes generation 2 in, right between this one's embedding and its commit."""
    changed = False

    def fault(stage: str, texts: list[str]) -> None:
        nonlocal changed
        if stage == "index" and not changed:
            changed = True
            ten.payloads[3] = payload("3", "newer text")
            ten.refused = {"3"}
            other = bench.open_runner()
            other.run_stage(other.open(bench.topology, RunRequest("given")), "ingest")

    ten.fault = fault
    report = bench.run()
    index = report.stages[4]
    assert (index.done, index.fenced) == (9, 1)
    assert any("taken over by another run" in note for note in report.notes)
    ten.refused = set()
    assert bench.run().statuses == {"done": 10}
    assert ten.held["3"][2] == "newer text"
    assert ten.held["3"][0] == 2


def test_inputs_held_at_a_time_are_bounded_in_bytes(
    bench: Bench, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A group of big documents is loaded part by part, and no part is kept for the sake of the next."""
    big = COMMIT_BYTES // 3
    world.payloads = [payload(str(n), f"{n}" + "x" * big) for n in range(8)]
    most = 0

    def count(stage: str, texts: list[str]) -> None:
        nonlocal most
        if stage == "index":
            gc.collect()
            most = max(most, sum(isinstance(thing, Document) for thing in gc.get_objects()))

    world.fault = count
    assert bench.run().statuses == {"done": 8}
    assert most <= 2


def test_an_error_carries_the_report_of_its_stage(bench: Bench, ten: World) -> None:

    def away(stage: str, texts: list[str]) -> None:
        if stage == "parse":
            raise ServiceUnavailable("503")

    ten.fault = away
    runner = bench.open_runner()
    run = runner.open(bench.topology, RunRequest("given"))
    runner.run_stage(run, "ingest")
    with pytest.raises(StageFailed) as failed:
        runner.run_stage(run, "parse")
    error: PenstockError = failed.value
    assert error.report.failed == 3  # type: ignore[attr-defined]
