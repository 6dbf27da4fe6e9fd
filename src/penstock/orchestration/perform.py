"""What an op does: finds its run's scope in the ledger, has the runner work on it, and says how it went."""

import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dagster import Failure, OpExecutionContext

from penstock.bootstrap import App
from penstock.errors import PenstockError, StageFailed, Stopped, StorageFull, TransientError, UsageError
from penstock.orchestration.metadata import headline, stage_metadata
from penstock.pipelines.topology import Stage, Topology
from penstock.runner import OpenRun, RunRequest, StageReport
from penstock.runner.interrupts import held_interrupts

LOG_EVERY_SECONDS = 5.0
OUTCOME = "penstock/outcome"
"""Tag of a run: under way, complete, partial, failed or stopped."""

EXPECTED = (StageFailed, StorageFull, TransientError, UsageError)
"""Errors whose one line says it all; others keep their cause, for whoever has to find a bug."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one op went. `failure` is what it must raise once it has logged the rest."""

    report: StageReport
    batch: int | None = None
    tenant: str | None = None
    failure: Failure | None = None


def request_of(config: Mapping[str, Any]) -> RunRequest:
    """The flat run config as the runner takes it."""
    return RunRequest(config["source"], config["request"], config["tenant"], config.get("batch"))


def perform(context: OpExecutionContext, topology: Topology, stage: Stage) -> Outcome:
    """Run one stage over the run's batch. SIGINT and SIGTERM wait for a moment between documents, then Dagster's own
    handler gets them: the run ends canceled, or failed where nobody had asked Dagster."""
    app: App = context.resources.penstock
    run: OpenRun | None = None
    problem: PenstockError | None = None
    with held_interrupts() as stop:
        try:
            run = _open(context, app, topology)
            report = app.runner.run_stage(run, stage.name, _Progress(context), stop)
        except PenstockError as error:
            problem = error
            report = getattr(error, "report", StageReport(stage.name))
        except Exception as error:
            if run is not None:
                app.ledger.batches.close(run.scope.batch, "failed", f"{type(error).__name__}: {error}")
            raise
    for note in (*(run.notes if run else ()), *report.notes):
        report.note(note)
        context.log.info(note)
    if problem is not None:
        _give_up(context, app, run, report, problem)
        batch, tenant = (run.scope.batch, run.scope.tenant) if run else (None, None)
        return Outcome(report, batch, tenant, _failure(problem, report, batch))
    assert run is not None
    context.log.info(f"{stage.name}: {headline(report)}")
    if not topology.children(stage.name) or (stage.gate is not None and not report.before):
        closing = app.runner.finish_if_through(run, [report])
        if closing is not None:
            context.instance.add_run_tags(context.run_id, {OUTCOME: closing.outcome})
    if stop.received is not None:
        signal.raise_signal(stop.received)
    return Outcome(report, run.scope.batch, run.scope.tenant)


def _open(context: OpExecutionContext, app: App, topology: Topology) -> OpenRun:
    first = app.ledger.batches.run(context.run_id) is None
    run = app.runner.open(
        topology,
        request_of(context.op_config),
        run_id=context.run_id,
        root_run_id=context.run.root_run_id or context.run_id,
    )
    if first:  # a re-execution inherits its parent's tags, the outcome among them
        tags = {OUTCOME: "under way", "penstock/batch": str(run.scope.batch)}
        context.instance.add_run_tags(context.run_id, tags)
    return run


def _give_up(
    context: OpExecutionContext, app: App, run: OpenRun | None, report: StageReport, error: PenstockError
) -> None:
    """Close the batch, unless the sensor launched it and shall decide: a stopped run is taken up again, and so is one
    whose pipeline was changed under it."""
    stopped = isinstance(error, Stopped)
    known = app.ledger.batches.run(context.run_id)
    if known is not None:
        by_sensor = app.ledger.batches.batch(known.batch_id).kind != "whole"
        if not (by_sensor and (stopped or error.reason == "topology-changed")):
            app.ledger.batches.close(known.batch_id, "failed", error.message)
    context.instance.add_run_tags(context.run_id, {OUTCOME: "stopped" if stopped else "failed"})
    if stopped:
        context.log.warning(error.message)
        signal.raise_signal(signal.SIGINT)  # Dagster's handler is back, and raises here


def _failure(error: PenstockError, report: StageReport, batch: int | None) -> Failure:
    line = f"{error.message}. Next: {error.next_step}" if error.next_step else error.message
    failure = Failure(line, metadata=stage_metadata(report, batch), allow_retries=False)
    failure.__cause__ = None if isinstance(error, EXPECTED) else error
    failure.__suppress_context__ = True
    return failure


class _Progress:
    """An Observer that logs a line every few seconds."""

    def __init__(self, context: OpExecutionContext) -> None:
        self._context = context
        self._last = time.monotonic()

    def advanced(self, stage: str, done: int, total: int | None) -> None:
        if time.monotonic() - self._last >= LOG_EVERY_SECONDS:
            self._last = time.monotonic()
            self._context.log.info(f"{stage}: {done}{f' of {total}' if total is not None else ''} documents")
