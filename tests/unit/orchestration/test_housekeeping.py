"""What becomes of batches whose run died."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from dagster import DagsterEvent, DagsterEventType, DagsterRunStatus, job, op

from penstock.bootstrap import App
from penstock.orchestration import housekeeping
from penstock.orchestration.housekeeping import keep_house
from penstock.orchestration.perform import OUTCOME, UNDER_WAY
from penstock.runner import RunRequest

from .conftest import SMALL, Project

DIE_AT_WORK = """
import os, signal, sys
from penstock.bootstrap import open_app
from penstock.runner import RunRequest
app = open_app()
request = RunRequest(query={"paths": [sys.argv[2]]}, batch=int(sys.argv[3]) or None)
app.runner.open(app.pipelines.named("small"), request, run_id=sys.argv[1])
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def small(project: Project) -> None:
    project.pipeline(SMALL)
    project.document("a.md")


def run_of(project: Project, status: DagsterRunStatus = DagsterRunStatus.STARTED) -> str:
    small = project.definitions().get_job_def("small")
    return project.instance.create_run_for_job(small, tags=small.tags, status=status).run_id


def die_at_work(project: Project, run_id: str, batch: int = 0) -> None:
    """Open a run in a process that kills itself."""
    command = [sys.executable, "-c", DIE_AT_WORK, run_id, str(project.docs), str(batch)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    assert subprocess.run(command, env=environment, check=False).returncode == -signal.SIGKILL


def queued(app: App) -> int:
    _, batch, _ = app.ledger.submissions.submit(
        tenant="default", pipeline="small", source="files", request="{}", queued=True
    )
    app.ledger.batches.claim_queued(1, ["small"])
    return batch.id


def status(project: Project, run_id: str) -> DagsterRunStatus:
    run = project.instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def test_a_run_whose_process_died_unnoticed_is_reported_failed_and_its_batch_queued(project: Project, app: App) -> None:
    batch, run_id = queued(app), run_of(project)
    die_at_work(project, run_id, batch)
    said = keep_house(app, project.instance)
    assert status(project, run_id) is DagsterRunStatus.FAILURE
    assert app.ledger.batches.batch(batch).status == "queued"
    assert len(said) == 2


def test_a_run_by_hand_whose_process_died_is_reported_failed_and_left_to_its_person(project: Project, app: App) -> None:
    run_id = run_of(project)
    die_at_work(project, run_id)
    project.instance.add_run_tags(run_id, {OUTCOME: UNDER_WAY})
    keep_house(app, project.instance)
    assert status(project, run_id) is DagsterRunStatus.FAILURE
    assert app.ledger.batches.batch(1).status == "failed"


def test_a_run_that_dagster_itself_reports_dead_is_closed_in_the_ledger_too(project: Project, app: App) -> None:
    run_id = run_of(project)
    die_at_work(project, run_id)
    project.instance.add_run_tags(run_id, {OUTCOME: UNDER_WAY})
    run = project.instance.get_run_by_id(run_id)
    assert run is not None
    project.instance.report_run_failed(run)
    keep_house(app, project.instance)
    assert app.ledger.batches.batch(1).status == "failed"
    finished = project.instance.get_run_by_id(run_id)
    assert finished is not None
    assert finished.tags[OUTCOME] == "failed"


def test_a_dead_run_does_not_close_the_batch_of_the_one_that_took_it_up(project: Project, app: App) -> None:
    run_id = run_of(project, DagsterRunStatus.FAILURE)
    project.instance.add_run_tags(run_id, {OUTCOME: UNDER_WAY})
    topology = app.pipelines.named("small")
    app.runner.open(topology, RunRequest(), run_id=run_id)
    app.runner.open(topology, RunRequest(), run_id="another", root_run_id=run_id)
    keep_house(app, project.instance)
    assert app.ledger.batches.batch(1).status == "started"


def test_a_run_that_is_at_work_is_left_alone(project: Project, app: App) -> None:
    run_id = run_of(project)
    app.runner.open(app.pipelines.named("small"), RunRequest(), run_id=run_id)
    assert keep_house(app, project.instance) == []
    assert status(project, run_id) is DagsterRunStatus.STARTED


def test_a_run_between_two_processes_is_left_alone_until_it_has_been_silent_for_long(
    project: Project, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under the multiprocess executor each op is a process, and a runner, of its own."""
    batch, run_id = queued(app), run_of(project)
    project.instance.report_engine_event("at work", project.instance.get_run_by_id(run_id))
    app.runner.open(app.pipelines.named("small"), RunRequest(batch=batch), run_id=run_id)
    app.runner.close()
    assert keep_house(app, project.instance) == []
    monkeypatch.setattr(housekeeping, "SILENCE_SECONDS", 0)
    keep_house(app, project.instance)
    assert status(project, run_id) is DagsterRunStatus.FAILURE
    assert app.ledger.batches.batch(batch).status == "queued"


@pytest.mark.parametrize(("stepped", "ends"), [(False, DagsterRunStatus.FAILURE), (True, DagsterRunStatus.STARTED)])
def test_a_run_that_is_gone_before_its_first_step_is_not_waited_for_long(
    stepped: bool, ends: DagsterRunStatus, project: Project, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = run_of(project)
    run = project.instance.get_run_by_id(run_id)
    assert run is not None
    project.instance.report_engine_event("started", run)
    if stepped:
        began = DagsterEvent(DagsterEventType.STEP_START.value, "small", step_key="ingest")
        project.instance.report_dagster_event(began, run_id)
    assert keep_house(app, project.instance) == []
    monkeypatch.setattr(housekeeping, "BEGINNING_SECONDS", 0)
    keep_house(app, project.instance)
    assert status(project, run_id) is ends


def test_the_second_process_of_a_run_is_known_as_the_one_at_work(project: Project, app: App) -> None:
    run_id = run_of(project)
    topology = app.pipelines.named("small")
    app.runner.open(topology, RunRequest(), run_id=run_id)
    app.runner.close()
    app.runner.open(topology, RunRequest(), run_id=run_id)
    assert app.ledger.batches.batch(1).runner_id == app.runner.session.runner


@pytest.mark.parametrize(
    ("ended", "becomes"),
    [
        (DagsterRunStatus.FAILURE, "queued"),
        (DagsterRunStatus.SUCCESS, "queued"),
        (DagsterRunStatus.CANCELED, "cancelled"),
    ],
)
def test_a_batch_whose_run_is_over_without_closing_it_is_settled(
    ended: DagsterRunStatus, becomes: str, project: Project, app: App
) -> None:
    batch, run_id = queued(app), run_of(project, ended)
    app.runner.open(app.pipelines.named("small"), RunRequest(batch=batch), run_id=run_id)
    keep_house(app, project.instance)
    assert app.ledger.batches.batch(batch).status == becomes


def test_a_batch_whose_runs_keep_dying_fails_at_last(project: Project, app: App) -> None:
    _, batch, _ = app.ledger.submissions.submit(
        tenant="default", pipeline="small", source="files", request="{}", queued=True
    )
    launched = 0
    while app.ledger.batches.claim_queued(1, ["small"]):
        launched += 1
        app.runner.open(
            app.pipelines.named("small"), RunRequest(batch=batch.id), run_id=run_of(project, DagsterRunStatus.FAILURE)
        )
        keep_house(app, project.instance)
    assert launched == housekeeping.ATTEMPTS
    assert app.ledger.batches.batch(batch.id).status == "failed"


def test_runs_of_other_jobs_are_none_of_our_business(
    project: Project, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    @op
    def theirs() -> None: ...

    @job
    def other() -> None:
        theirs()

    run = project.instance.create_run_for_job(other, status=DagsterRunStatus.STARTED)
    project.instance.report_engine_event("long ago", run)
    monkeypatch.setattr(housekeeping, "SILENCE_SECONDS", 0)
    assert keep_house(app, project.instance) == []
    assert status(project, run.run_id) is DagsterRunStatus.STARTED
