"""What the sensor does before it looks for work: free what the dead have left, and settle the batches of runs that
ended without closing them. Only Dagster knows how a run ended; only the ledger knows whether anybody is at it."""

import time

from dagster import DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter

from penstock.bootstrap import App
from penstock.ledger.batches import Batch
from penstock.orchestration.perform import OUTCOME, UNDER_WAY

ATTEMPTS = 10
"""How often a batch is launched whose run dies; then it is failed. More often than a document may lose its lease: what
kills its run is found out, and the others go on, before this is used up."""
SILENCE_SECONDS = 600.0
"""A run that is under way but says nothing for so long, with no runner at its batch, has lost its process."""
BEGINNING_SECONDS = 60.0
"""The same for a run that has not come to its first step: nothing it does before takes long."""
FIRST_STEP = {DagsterEventType.STEP_WORKER_STARTING, DagsterEventType.STEP_WORKER_STARTED, DagsterEventType.STEP_START}
ALIVE = [DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]


def keep_house(app: App, instance: DagsterInstance) -> list[str]:
    """Reap, bury, close, settle. What was done, a line each."""
    app.ledger.leases.reap()
    said = [*bury_zombies(app, instance), *settle(app, instance)]
    close_abandoned(app, instance)
    return said


def bury_zombies(app: App, instance: DagsterInstance) -> list[str]:
    """Report runs failed whose process is gone together with the code server that would have noticed: they would stay
    STARTED and hold a run slot for ever."""
    said = []
    for run in instance.get_runs(RunsFilter(statuses=ALIVE), limit=100):
        if "penstock/pipeline" in run.tags and _is_zombie(app, instance, run):
            instance.report_run_failed(run, "the process of this run is gone")
            said.append(f"run {run.run_id} had lost its process")
    return said


def settle(app: App, instance: DagsterInstance) -> list[str]:
    """Batches the sensor launched whose run is over without closing them: queued again, unless it was canceled."""
    said = []
    for batch, run_id in app.ledger.batches.started_runs():
        run = instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            said.append(reopen(app, batch, run_id, run))
    return said


def close_abandoned(app: App, instance: DagsterInstance) -> None:
    """Runs that died before they could say how they ended: say it for them, and close the batch of a person's run."""
    dead = RunsFilter(statuses=[DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED], tags={OUTCOME: UNDER_WAY})
    for run in instance.get_runs(dead, limit=20):
        outcome = "failed" if run.status is DagsterRunStatus.FAILURE else "stopped"
        instance.add_run_tags(run.run_id, {OUTCOME: outcome})
        known = app.ledger.runs.get(run.run_id)
        newest = known and app.ledger.runs.newest(known.root_run_id)
        if known is None or newest is None or newest.run_id != run.run_id:
            continue
        batch = app.ledger.batches.batch(known.batch_id)
        if batch.kind == "whole" and batch.status == "started":
            app.ledger.batches.close(
                batch.id, "failed", f"run {run.run_id} ended in {run.status.value.lower()} too soon"
            )


def reopen(app: App, batch: Batch, run_id: str, run: DagsterRun | None) -> str:
    """Queue a batch again whose run is over, or close it as the run ended: canceled, or tried too often."""
    if run is not None and run.status is DagsterRunStatus.CANCELED:
        app.ledger.batches.close(batch.id, "cancelled", f"run {run_id} was canceled")
        return f"batch {batch.id} was canceled"
    note = f"run {run_id} {'is unknown' if run is None else f'ended in {run.status.value.lower()} too soon'}"
    if app.ledger.batches.requeue(batch.id, note=note, attempts=ATTEMPTS):
        return f"batch {batch.id} is queued again: {note}"
    return f"batch {batch.id} has failed {ATTEMPTS} times: {note}"


def _is_zombie(app: App, instance: DagsterInstance, run: DagsterRun) -> bool:
    known = app.ledger.runs.get(run.run_id)
    runner = app.ledger.batches.batch(known.batch_id).runner_id if known is not None else None
    if runner is not None:
        return app.ledger.leases.is_gone(runner)
    last = instance.get_records_for_run(run.run_id, limit=1, ascending=False).records
    begun = instance.get_records_for_run(run.run_id, of_type=FIRST_STEP, limit=1).records
    patience = SILENCE_SECONDS if begun or known is not None else BEGINNING_SECONDS
    return bool(last) and time.time() - last[0].timestamp > patience
