"""The sensor's ticks, with a real ledger and a Dagster instance in memory."""

from __future__ import annotations

import json
import threading
import time

import pytest
from dagster import DagsterRunStatus, SensorResult, build_sensor_context

from penstock.bootstrap import App
from penstock.orchestration import launching
from penstock.orchestration.housekeeping import ATTEMPTS

from .conftest import SMALL, Project


class Ticks:
    """The sensor as the daemon drives it: the cursor of a tick is given to the next."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self.cursor: str | None = None
        self.reload()

    def reload(self) -> None:
        [self._sensor] = self._project.definitions().sensors or []

    def __call__(self) -> SensorResult:
        with build_sensor_context(instance=self._project.instance, cursor=self.cursor) as context:
            result = self._sensor(context)
        assert isinstance(result, SensorResult)
        self.cursor = result.cursor
        return result

    def asked(self) -> list[str | None]:
        return [request.run_key for request in self().run_requests or []]

    def reason(self) -> str:
        said = self().skip_reason
        assert said is not None
        return said.skip_message or ""


@pytest.fixture
def ticks(project: Project, monkeypatch: pytest.MonkeyPatch) -> Ticks:
    monkeypatch.setattr(launching, "WAIT_SECONDS", 0)
    project.pipeline(SMALL)
    return Ticks(project)


def submit(app: App, pipeline: str = "small", size: int = 0) -> int:
    """Queue a submission; the number of its first batch."""
    _, batch, _ = app.ledger.submissions.submit(
        tenant="acme", pipeline=pipeline, source="files", request="{}", batch_size=size, queued=True
    )
    return batch.id


def made(project: Project, batch: int, attempt: int, status: DagsterRunStatus) -> str:
    """What the daemon does of a run request; the run's id."""
    job = project.definitions().get_job_def("small")
    tags = {"penstock/batch": str(batch), "penstock/attempt": str(attempt), "dagster/run_key": f"{batch}:{attempt}"}
    return project.instance.create_run_for_job(
        job, run_config={"batch": batch}, tags={**job.tags, **tags}, status=status
    ).run_id


def test_a_queued_batch_is_asked_for_once_with_its_attempt_as_the_key(ticks: Ticks, app: App) -> None:
    batch = submit(app)
    [request] = ticks().run_requests or []
    assert request.run_key == f"{batch}:1"
    assert request.job_name == "small"
    assert request.run_config == {"batch": batch, "tenant": "acme"}


def test_with_nothing_queued_a_tick_says_what_would_queue_something(ticks: Ticks) -> None:
    assert "penstock submit" in ticks.reason()


def test_a_claimed_batch_without_a_run_is_asked_for_again_under_the_same_key(ticks: Ticks, app: App) -> None:
    batch = submit(app)
    assert ticks.asked() == [f"{batch}:1"]
    assert ticks.asked() == [f"{batch}:1"], "the daemon died between the tick and the run"


@pytest.mark.parametrize("status", [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED])
def test_a_claimed_batch_whose_run_is_on_its_way_is_left_alone(
    status: DagsterRunStatus, project: Project, ticks: Ticks, app: App
) -> None:
    batch = submit(app)
    ticks()
    made(project, batch, 1, status)
    assert ticks.asked() == []
    assert app.ledger.batches.batch(batch).status == "claimed"


def test_a_run_that_was_made_and_never_submitted_is_asked_for_again(project: Project, ticks: Ticks, app: App) -> None:
    batch = submit(app)
    ticks()
    made(project, batch, 1, DagsterRunStatus.NOT_STARTED)
    assert ticks.asked() == [f"{batch}:1"], "the daemon takes up a NOT_STARTED run by its key"


def test_a_run_that_failed_before_its_first_op_gets_another_attempt(project: Project, ticks: Ticks, app: App) -> None:
    batch = submit(app)
    for attempt in range(1, ATTEMPTS + 1):
        assert ticks.asked() == [f"{batch}:{attempt}"]
        made(project, batch, attempt, DagsterRunStatus.FAILURE)
    assert ticks.asked() == []
    assert app.ledger.batches.batch(batch).status == "failed"


def test_a_queued_run_that_a_person_cancels_is_not_launched_again(project: Project, ticks: Ticks, app: App) -> None:
    batch = submit(app)
    ticks()
    made(project, batch, 1, DagsterRunStatus.CANCELED)
    assert ticks.asked() == []
    assert app.ledger.batches.batch(batch).status == "cancelled"


def test_a_run_that_dagster_keeps_refusing_costs_an_attempt_and_at_last_the_batch_fails(ticks: Ticks, app: App) -> None:
    batch = submit(app)
    asked = [key for _ in range(2 * ATTEMPTS * launching.ASKS) for key in ticks.asked()]
    assert asked == [f"{batch}:{attempt}" for attempt in range(1, ATTEMPTS + 1) for _ in range(launching.ASKS)]
    assert app.ledger.batches.batch(batch).status == "failed"


def test_a_batch_that_is_refused_does_not_hold_up_another(ticks: Ticks, app: App) -> None:
    first = submit(app)
    ticks()
    second = submit(app)
    assert ticks.asked() == [f"{first}:1", f"{second}:1"]


def test_the_cursor_forgets_runs_that_were_made(project: Project, ticks: Ticks, app: App) -> None:
    batch = submit(app)
    ticks()
    made(project, batch, 1, DagsterRunStatus.STARTING)
    ticks()
    assert not ticks.cursor


def test_no_more_runs_are_asked_for_than_may_wait_in_line(project: Project, ticks: Ticks, app: App) -> None:
    batches = [submit(app) for _ in range(launching.IN_LINE + 3)]
    assert len(ticks.asked()) == launching.IN_LINE
    for batch in batches[: launching.IN_LINE]:
        made(project, batch, 1, DagsterRunStatus.STARTING)
    assert ticks.reason() == f"{launching.IN_LINE} runs wait in Dagster's queue already"


def test_an_edited_file_is_not_launched_until_the_location_is_reloaded(
    project: Project, ticks: Ticks, app: App
) -> None:
    batch = submit(app)
    project.pipeline(SMALL + "description: edited\n")
    assert ticks.reason() == "reload the code location: small was edited on disk"
    ticks.reload()
    assert ticks.asked() == [f"{batch}:1"]


def test_edited_policies_count_as_an_edit(project: Project, ticks: Ticks) -> None:
    policies = project.folder / "config/resilience.yaml"
    policies.write_text(policies.read_text() + "# slower\n")
    assert ticks.reason().startswith("reload the code location")


def test_a_batch_of_a_pipeline_that_is_not_loaded_waits_with_a_reason(ticks: Ticks, app: App) -> None:
    batch = submit(app, "gone")
    assert "'gone', which is not loaded: penstock pipelines check" in ticks.reason()
    assert app.ledger.batches.batch(batch).status == "queued"


def test_a_tick_wakes_up_when_something_is_queued_meanwhile(
    ticks: Ticks, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launching, "WAIT_SECONDS", 30)
    ids: list[int] = []

    def later() -> None:
        time.sleep(0.3)
        ids.append(submit(app))

    thread = threading.Thread(target=later)
    thread.start()
    keys = ticks.asked()
    thread.join()
    assert keys == [f"{ids[0]}:1"]


def test_the_runs_of_a_submission_go_through_in_batches(project: Project, ticks: Ticks, app: App) -> None:
    for number in range(5):
        project.document(f"{number}.md")
    app.ledger.submissions.submit(
        tenant="default",
        pipeline="small",
        source="files",
        request=json.dumps({"paths": [str(project.docs)]}),
        batch_size=2,
        queued=True,
    )
    launched = []
    while requests := ticks().run_requests:
        for request in requests:
            launched.append(request.run_key)
            assert project.run(request.job_name or "", **request.run_config).success
    assert len(launched) == 3
    assert len(project.calls()) == 5
    assert {app.ledger.batches.batch(n).status for n in (1, 2, 3)} == {"complete"}


def test_a_batch_of_another_pipeline_is_refused_by_the_run(project: Project, app: App) -> None:
    project.pipeline(SMALL)
    batch = submit(app, "other")
    result = project.run(batch=batch)
    assert not result.success
