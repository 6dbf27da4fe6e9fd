"""Runs in this process: what they do, what they say, how they end."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
from dagster import (
    AssetCheckKey,
    AssetKey,
    DagsterEventType,
    ExecuteInProcessResult,
    TableMetadataValue,
)
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import create_execution_plan, execute_run

from penstock.bootstrap import App
from penstock.errors import BadInput, ServiceUnavailable
from penstock.orchestration.ops import CHECK
from penstock.stages.chunk import SentenceChunker
from penstock.stages.embed import NoEmbedder
from penstock.stages.extract import StructuredExtractor

from .conftest import SMALL, TWO_LEAVES, Project, line_of


def metadata(result: ExecuteInProcessResult, op: str) -> dict[str, Any]:
    """The metadata of an op's materialization, or of its failure."""
    [event] = [
        e
        for e in result.all_events
        if e.step_key == op and e.event_type in (DagsterEventType.ASSET_MATERIALIZATION, DagsterEventType.STEP_FAILURE)
    ]
    if event.is_step_failure:
        data = event.step_failure_data.user_failure_data
        assert data is not None
        entries = data.metadata
    else:
        entries = event.materialization.metadata
    return {k: v if isinstance(v, TableMetadataValue) else v.value for k, v in entries.items()}


def failure_line(result: ExecuteInProcessResult) -> str:
    [event] = [e for e in result.all_events if e.is_step_failure]
    return line_of(event)


def check_of(project: Project, stage: str) -> Any:
    key = AssetCheckKey(AssetKey(["small", stage]), CHECK)
    record = project.instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
    assert record.event is not None
    return record.event.dagster_event.asset_check_evaluation_data  # type: ignore[union-attr]


def test_a_run_says_what_each_stage_did(project: Project, app: App) -> None:
    project.pipeline(SMALL)
    for name in ("a.md", "b.md", "c.md"):
        project.document(name)
    first = project.run()
    assert first.success
    assert project.outcome(first) == "complete"
    assert metadata(first, "chunk")["done"] == 3
    assert metadata(first, "chunk")["dagster/row_count"] == 3
    assert app.ledger.batches.batch(1).status == "complete"
    again = project.run()
    assert metadata(again, "ingest")["reused"] == 3
    assert metadata(again, "chunk")["done before"] == 3
    assert len(project.calls()) == 3


def test_a_partial_run_succeeds_and_shows_who_did_not_get_through(project: Project, app: App) -> None:
    project.pipeline(SMALL)
    project.document("good.md")
    bad = project.document("bad.md", "POISON")
    result = project.run()
    assert result.success
    assert project.outcome(result) == "partial"
    assert app.ledger.batches.batch(1).status == "partial"
    table = metadata(result, "chunk")["failures"]
    [row] = [record.data for record in table.records]
    assert (row["document"], row["status"], row["reason"]) == (str(bad), "dead", "malformed")
    assert row["next step"]
    evaluation = check_of(project, "chunk")
    assert not evaluation.passed
    assert "1 malformed" in evaluation.description
    assert check_of(project, "parse").passed


def test_a_check_executed_by_hand_asks_the_ledger(project: Project) -> None:
    project.pipeline(SMALL)
    project.document("good.md")
    bad = project.document("bad.md", "POISON")
    project.run()
    checks = {c.check_key.asset_key.path[-1]: c for c in project.definitions().asset_checks or []}  # type: ignore[union-attr]
    assert checks["parse"]().passed
    assert not checks["chunk"]().passed
    bad.write_text("# mended\n\nfine\n")
    project.run()
    assert checks["chunk"]().passed


def test_a_run_nothing_of_which_gets_through_fails_with_one_line_and_the_table(project: Project, app: App) -> None:
    project.pipeline(SMALL)
    project.document("bad.md", "POISON")
    project.document("worse.md", "more POISON")
    result = project.run()
    assert not result.success
    assert project.outcome(result) == "failed"
    assert failure_line(result).startswith(
        f"chunk: not one of 2 documents got through; the first, {project.docs}/bad.md: there is poison"
    )
    assert "\n" not in failure_line(result)
    assert len(metadata(result, "chunk")["failures"].records) == 2
    assert not check_of(project, "chunk").passed
    assert app.ledger.batches.batch(1).status == "failed"


def test_dead_letters_that_are_forbidden_fail_the_run(project: Project) -> None:
    project.pipeline(SMALL + "on_dead_letter: fail\n")
    project.document("good.md")
    project.document("bad.md", "POISON")
    for _ in range(2):
        result = project.run()
        assert not result.success
        assert project.outcome(result) == "failed"
        assert "on_dead_letter: fail" in failure_line(result)


def test_a_mistake_in_the_request_is_one_line_without_a_cause(project: Project, app: App) -> None:
    project.pipeline(SMALL)
    result = project.run(request={"paths": [str(project.docs / "nowhere")]})
    assert not result.success
    assert "nowhere" in failure_line(result)
    [event] = [e for e in result.all_events if e.is_step_failure]
    assert event.step_failure_data.error is not None
    assert event.step_failure_data.error.cause is None
    assert app.ledger.batches.batch(1).status == "failed"


def test_an_empty_file_is_a_dead_letter_like_any_other(project: Project) -> None:
    project.pipeline(SMALL)
    (project.docs / "empty.md").touch()
    result = project.run()
    assert failure_line(result).startswith(
        f"parse: not one of 1 document got through; the first, {project.docs}/empty.md"
    )
    assert failure_line(result).count(str(project.docs)) == 1


def test_a_bug_keeps_its_traceback_and_closes_the_batch(
    project: Project, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.pipeline(SMALL)
    project.document("a.md")

    def break_down(self: object, *args: object) -> int:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("penstock.ledger.reports.Reports.passed", break_down)
    result = project.run()
    assert not result.success
    [event] = [e for e in result.all_events if e.is_step_failure]
    assert "break_down" in str(event.step_failure_data.error)
    assert project.outcome(result) == "failed"
    assert app.ledger.batches.batch(1).status == "failed"


def test_a_closed_gate_skips_what_follows_and_the_run_succeeds(
    project: Project, seeds: Callable[[], None], app: App
) -> None:
    seeds()
    project.document("a.pdf", "%PDF-1.4 one")
    project.document("b.pdf", "%PDF-1.4 two")
    result = project.run("pdf_two_phase")
    assert result.success
    assert project.outcome(result) == "complete"
    assert metadata(result, "pdf_gate")["waiting"] == 2
    assert "2 documents wait for pdf_ir_ready" in metadata(result, "pdf_gate")["notes"]
    skipped = [e.step_key for e in result.all_events if e.is_step_skipped]
    assert skipped == ["chunk", "embed", "index", "extract", "kg"]


def test_a_batch_is_closed_by_the_last_of_its_leaves(
    project: Project, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.pipeline(TWO_LEAVES)
    project.document("a.md")
    seen = []
    execute = StructuredExtractor.execute

    def look(self: StructuredExtractor, *args: Any) -> Any:
        seen.append(app.ledger.batches.batch(1).status)
        return execute(self, *args)

    monkeypatch.setattr(StructuredExtractor, "execute", look)
    result = project.run()
    assert result.success
    assert seen == ["started"], "embed, a leaf too, was done before"
    assert app.ledger.batches.batch(1).status == "complete"
    assert project.outcome(result) == "complete"


def test_a_leaf_that_ends_well_does_not_hide_one_that_failed(
    project: Project, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.pipeline(TWO_LEAVES)
    project.document("a.md")

    def away(self: object, *args: object) -> Any:
        raise ServiceUnavailable("away")

    monkeypatch.setattr(NoEmbedder, "execute", away)
    result = project.run()
    assert not result.success
    assert metadata(result, "extract")["seconds"] >= 0, "the other leaf went on"
    assert project.outcome(result) == "failed"
    assert app.ledger.batches.batch(1).status == "failed"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_waits_for_a_quiet_moment_and_gives_leases_back(
    number: signal.Signals, project: Project, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.pipeline(SMALL)
    for letter in "abcd":
        project.document(f"{letter}.md")
    execute = SentenceChunker.execute
    calls = []

    def interrupt(self: SentenceChunker, *args: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            os.kill(os.getpid(), number)
        return execute(self, *args)

    monkeypatch.setattr(SentenceChunker, "execute", interrupt)
    assert not project.run().success
    [run] = project.instance.get_runs()
    assert run.is_finished
    assert run.tags["penstock/outcome"] == "stopped"
    assert not app.ledger.work.busy(1, ["chunk"])
    assert app.ledger.batches.batch(1).status == "failed"
    done = len(calls)
    assert project.run().success
    assert len(calls) == 4, f"{done} were called before the signal was answered"


def re_execute(project: Project, first: ExecuteInProcessResult, steps: list[str] | None = None) -> str:
    """What Dagster does to re-execute a run, all of it or only some steps; the outcome."""
    job = project.definitions().get_job_def("small")
    plan = create_execution_plan(job, first.dagster_run.run_config, step_keys_to_execute=steps) if steps else None
    run = project.instance.create_run_for_job(
        job,
        execution_plan=plan,
        run_config=first.dagster_run.run_config,
        parent_run_id=first.run_id,
        root_run_id=first.run_id,
        tags=project.instance.get_run_by_id(first.run_id).tags,  # type: ignore[union-attr]
    )
    execute_run(InMemoryJob(job), run, project.instance, raise_on_error=True)
    finished = project.instance.get_run_by_id(run.run_id)
    assert finished is not None
    return finished.tags["penstock/outcome"]


def test_a_re_execution_tries_again_what_failed_and_nothing_else(project: Project, app: App) -> None:
    project.pipeline(SMALL)
    project.document("good.md")
    bad = project.document("bad.md", "POISON")
    first = project.run()
    bad.write_text("# bad\n\nmended\n")
    assert re_execute(project, first) == "complete"
    assert project.calls() == ["bad", "bad", "good"]
    assert app.ledger.batches.batch(1).status == "complete"


def test_a_re_execution_from_the_failed_step_parses_the_mended_file_too(project: Project, app: App) -> None:
    project.pipeline(SMALL)
    bad = project.document("bad.md", "POISON")
    first = project.run()
    bad.write_text("# bad\n\nmended\n")
    assert re_execute(project, first, ["chunk"]) == "complete"
    assert app.ledger.reports.statuses(1)["done"] == 1


def test_a_re_execution_of_one_leaf_takes_a_mended_file_through_the_other_too(
    project: Project, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.pipeline(TWO_LEAVES)
    document = project.document("a.md")
    with monkeypatch.context() as patched:

        def refuse(self: object, *args: object) -> Any:
            raise BadInput("not this one")

        patched.setattr(NoEmbedder, "execute", refuse)
        first = project.run()
        assert not first.success
    document.write_text("# a\n\nmended\n")
    assert re_execute(project, first, ["embed"]) == "complete"
    assert app.ledger.reports.statuses(1)["done"] == 1


def test_a_re_execution_says_what_changed_since(project: Project) -> None:
    project.pipeline(SMALL)
    project.document("bad.md", "POISON")
    first = project.run()
    project.pipeline(SMALL.replace("use: witness", "use: sentences, with: {size: 40}"))
    assert re_execute(project, first, ["chunk"]) == "complete"
    [run] = project.instance.get_runs(limit=1)
    noted = project.said(run.run_id)
    assert "changed since: chunk: implementation witness → sentences" in noted


def test_a_re_execution_of_a_step_in_the_middle_closes_its_run(project: Project, app: App) -> None:
    project.pipeline(TWO_LEAVES)
    project.document("a.md")
    first = project.run()
    assert re_execute(project, first, ["parse"]) == "complete"
    assert app.ledger.batches.batch(1).status == "complete"


def test_a_re_execution_of_both_leaves_is_closed_by_the_last_of_them(
    project: Project, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.pipeline(TWO_LEAVES)
    project.document("a.md")
    with monkeypatch.context() as patched:

        def refuse(self: object, *args: object) -> Any:
            raise BadInput("not this one")

        patched.setattr(NoEmbedder, "execute", refuse)
        first = project.run()
    assert re_execute(project, first, ["embed", "extract"]) == "complete"
    assert app.ledger.reports.statuses(1) == {"done": 1}


def test_a_run_of_a_selection_of_ops_is_closed_as_it_stands_and_says_what_is_left(project: Project, app: App) -> None:
    project.pipeline(SMALL)
    project.document("a.md")
    result = (
        project.definitions()
        .get_job_def("small")
        .execute_in_process(
            run_config={"request": {"paths": [str(project.docs)]}},
            instance=project.instance,
            op_selection=["ingest", "parse"],
        )
    )
    assert result.success
    assert project.outcome(result) == "partial"
    assert app.ledger.batches.batch(1).status == "partial"
    left = "documents due at stages that this run leaves out: 1. Next: penstock retry"
    assert left in project.said(result.run_id)
