"""Dagster's webserver, daemon and code server over real processes: one `dagster dev` for all of these tests.

Each test has a pipeline and documents of its own; the witness (dagster_plugin) says what was really worked on.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.bootstrap import App

from .dagster_stack import Stack

PIPELINES = ("batches", "outage", "mended", "edited", "grown", "middle", "killed", "stopped")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("stack"))
    for name in PIPELINES:
        stack.pipeline(name)
    (stack.pipelines / "my draft.yaml").write_text("oops: [")
    (stack.pipelines / "broken.yaml").write_text('version: "1.0"\nname: broken\nstages: [{name: a, type: Nonsense}]\n')
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()


@pytest.fixture
def app(stack: Stack) -> Iterator[App]:
    app = stack.app()
    yield app
    app.close()


def submit(app: App, pipeline: str, folder: Path, size: int) -> int:
    """What `penstock submit` does; the submission's first batch."""
    request = json.dumps({"paths": [str(folder)]})
    _, batch, _ = app.ledger.submissions.submit(
        tenant="default", pipeline=pipeline, source="files", request=request, batch_size=size, queued=True
    )
    return batch.id


def closed(stack: Stack, app: App, batch: int) -> str:
    """How a batch ended."""

    def status() -> str | None:
        now = app.ledger.batches.batch(batch).status
        return now if now in ("complete", "partial", "failed", "cancelled") else None

    return stack.until(status, f"the end of batch {batch}")


def test_a_submission_is_launched_batch_by_batch(stack: Stack, app: App) -> None:
    first = submit(app, "batches", stack.documents("batches", *["text"] * 5), size=2)
    assert [closed(stack, app, first + n) for n in range(3)] == ["complete"] * 3
    assert stack.calls("batches") == [f"batches-{n}" for n in range(5)]
    with stack.instance() as instance:
        keys = [run.tags["dagster/run_key"] for run in instance.get_runs() if run.job_name == "batches"]
    assert sorted(keys) == [f"{first + n}:1" for n in range(3)]


def test_after_a_transient_failure_a_re_execution_does_what_is_missing(stack: Stack) -> None:
    folder = stack.documents("outage", *["text"] * 9)
    (stack.witness / "outage").touch()
    run = stack.launch("outage", request={"paths": [str(folder)]})
    assert stack.ended(run) == "FAILURE"
    (stack.witness / "outage").unlink()
    assert stack.failure(run).startswith("chunk: the witness's service is away. Next: ")
    assert stack.outcome(run) == "failed"
    tried = len(stack.calls("outage"))
    assert tried < 9, "fail-fast: the rest stay pending"
    again = stack.re_execute(run)
    assert stack.ended(again) == "SUCCESS"
    assert stack.outcome(again) == "complete"
    assert len(stack.calls("outage")) == tried + 9, "the nine, once each, and what was tried before"


def test_after_mending_the_file_a_re_execution_takes_it_as_it_is_now(stack: Stack) -> None:
    folder = stack.documents("mended", "POISON")
    run = stack.launch("mended", request={"paths": [str(folder)]})
    assert stack.ended(run) == "FAILURE"
    (folder / "mended-0.md").write_text("# mended-0\n\nnow in order\n")
    again = stack.re_execute(run)
    assert stack.ended(again) == "SUCCESS"
    assert stack.outcome(again) == "complete"
    assert stack.calls("mended") == ["mended-0", "mended-0"]


@pytest.mark.full
def test_after_editing_the_yaml_a_re_execution_takes_it_as_it_is_now(stack: Stack) -> None:
    folder = stack.documents("edited", "POISON")
    run = stack.launch("edited", request={"paths": [str(folder)]})
    assert stack.ended(run) == "FAILURE"
    stack.pipeline("edited", chunk="use: sentences, with: {size: 40}")
    again = stack.re_execute(run)
    assert stack.ended(again) == "SUCCESS"
    assert stack.outcome(again) == "complete"
    assert len(stack.calls("edited")) == 1, "the witness is not in the pipeline any more"


def test_a_stage_that_was_added_without_a_reload_is_not_silently_left_out(stack: Stack, app: App) -> None:
    folder = stack.documents("grown", "text")
    path = stack.pipeline("grown")
    path.write_text(path.read_text() + "  - {name: extract, type: ExtractStage, depends_on: [chunk]}\n")
    run = stack.launch("grown", request={"paths": [str(folder)]})
    assert stack.ended(run) == "FAILURE"
    assert stack.failure(run).startswith("grown.yaml was edited after this code location was loaded. Next: reload")
    assert app.ledger.runs.get(run) is None


def test_a_single_step_that_is_re_executed_closes_its_run(stack: Stack, app: App) -> None:
    run = stack.launch("middle", request={"paths": [str(stack.documents("middle", "text"))]})
    assert stack.ended(run) == "SUCCESS"
    again = stack.re_execute(run, "parse")
    assert stack.ended(again) == "SUCCESS"
    assert stack.outcome(again) == "complete"
    known = app.ledger.runs.get(again)
    assert known is not None
    assert app.ledger.batches.batch(known.batch_id).status == "complete"


def test_a_run_that_is_killed_is_taken_up_again_by_the_sensor(stack: Stack, app: App) -> None:
    folder = stack.documents("killed", *["text"] * 4)
    (stack.witness / "hold").touch()
    (stack.witness / "held").unlink(missing_ok=True)
    batch = submit(app, "killed", folder, size=100)
    stack.until(lambda: (stack.witness / "held").exists(), "the chunker's first call")
    with stack.instance() as instance:
        [run] = [run.run_id for run in instance.get_runs() if run.job_name == "killed"]
    os.kill(stack.pid(run), signal.SIGKILL)
    (stack.witness / "hold").unlink()
    assert closed(stack, app, batch) == "complete"
    assert stack.ended(run) == "FAILURE"
    assert app.ledger.batches.batch(batch).attempt == 2
    assert stack.calls("killed") == ["killed-0", *(f"killed-{n}" for n in range(4))], "only the one in hand twice"


def test_a_run_that_is_terminated_gives_back_and_a_re_execution_goes_on(stack: Stack, app: App) -> None:
    folder = stack.documents("stopped", *["text"] * 4)
    (stack.witness / "hold").touch()
    (stack.witness / "held").unlink(missing_ok=True)
    run = stack.launch("stopped", request={"paths": [str(folder)]})
    stack.until(lambda: (stack.witness / "held").exists(), "the chunker's first call")
    stack.terminate(run)
    (stack.witness / "hold").unlink()
    assert stack.ended(run) == "CANCELED"
    assert stack.outcome(run) == "stopped"
    known = app.ledger.runs.get(run)
    assert known is not None
    assert app.ledger.work.busy(known.batch_id, ["chunk"]) == 0
    assert stack.ended(again := stack.re_execute(run)) == "SUCCESS"
    assert stack.outcome(again) == "complete"
    assert app.ledger.reports.statuses(known.batch_id) == {"done": 4}
    assert len(stack.calls("stopped")) <= 5, "the one in hand may have been done twice"


def test_a_broken_file_is_seen_in_the_ui_and_the_others_stand(stack: Stack) -> None:
    answer = stack.graphql(
        "{ repositoriesOrError { ... on RepositoryConnection { nodes { jobs { name description } } } } }"
    )
    [repository] = answer["repositoriesOrError"]["nodes"]
    jobs = {job["name"]: job["description"] or "" for job in repository["jobs"] if not job["name"].startswith("__")}
    assert set(jobs) == {*PIPELINES, "broken", "my_draft"}
    assert "Nonsense" in jobs["broken"]
