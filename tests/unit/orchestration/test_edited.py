"""Runs of a pipeline that was edited after the code location was loaded."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from dagster import DagsterEventType, DagsterRunStatus
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import create_execution_plan, execute_run

from penstock.bootstrap import App

from .conftest import SMALL, TWO_LEAVES, Project, line_of


def launched_then(project: Project, edit: Callable[[], object], by_hand: bool = True) -> str:
    """What Dagster does with a run whose pipeline is edited, and not reloaded, before it is launched; its id.

    The launchpad pins the steps of the job as it was loaded; a schedule does not.
    """
    config = {"request": {"paths": [str(project.docs)]}}
    shown = project.definitions().get_job_def("small")
    steps = create_execution_plan(shown, config).step_keys_to_execute if by_hand else None
    plan = create_execution_plan(shown, config, step_keys_to_execute=steps)
    edit()
    run = project.instance.create_run_for_job(shown, execution_plan=plan if by_hand else None, run_config=config)
    execute_run(InMemoryJob(project.definitions().get_job_def("small")), run, project.instance)
    return run.run_id


@pytest.mark.parametrize("by_hand", [True, False])
def test_a_run_of_stages_that_are_others_on_disk_now_is_refused_in_one_line(
    by_hand: bool, project: Project, app: App
) -> None:
    project.pipeline(SMALL)
    project.document("a.md")
    run_id = launched_then(project, lambda: project.pipeline(TWO_LEAVES), by_hand)
    run = project.instance.get_run_by_id(run_id)
    assert run is not None
    assert run.status is DagsterRunStatus.FAILURE
    assert run.tags["penstock/outcome"] == "failed"
    [failed] = project.instance.get_records_for_run(run_id, of_type=DagsterEventType.STEP_FAILURE).records
    assert line_of(failed.event_log_entry.get_dagster_event()) == (
        "small.yaml was edited after this code location was loaded. "
        "Next: reload the code location, then launch it again"
    )
    assert app.ledger.runs.get(run_id) is None


def test_a_run_whose_options_are_others_on_disk_now_takes_those_and_says_so(project: Project) -> None:
    project.pipeline(SMALL)
    project.document("a.md")
    run_id = launched_then(project, lambda: project.pipeline(SMALL.replace("use: witness", "use: sentences")))
    run = project.instance.get_run_by_id(run_id)
    assert run is not None
    assert run.tags["penstock/outcome"] == "complete"
    edited = "small.yaml was edited after this code location was loaded: this run takes it as it is now"
    assert edited in project.said(run_id)
    assert project.calls() == []
