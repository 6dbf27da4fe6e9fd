"""What an op does: finds its run's scope in the ledger, has the runner work on it, and says how it went."""

import signal
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from dagster import DagsterRun, Failure, OpExecutionContext

from penstock.bootstrap import App
from penstock.errors import PenstockError, StageFailed, Stopped, StorageFull, TransientError, UsageError
from penstock.orchestration.metadata import STAGES, headline, shape_of, stage_metadata
from penstock.pipelines.topology import Stage, Topology
from penstock.runner import OpenRun, RunReport, RunRequest, StageReport
from penstock.runner.interrupts import held_interrupts

LOG_EVERY_SECONDS = 5.0
OUTCOME = "penstock/outcome"
"""Tag of a run: under way, complete, partial, failed or stopped."""
UNDER_WAY = "under way"

EXPECTED = (StageFailed, StorageFull, TransientError, UsageError)
"""Errors whose one line says it all; others keep their cause, for whoever has to find a bug."""


@dataclass(slots=True)
class Outcome:
    """How one op went: each stage it ran, in order, and what it must raise once it has logged them."""

    passes: list[tuple[Stage, StageReport]] = field(default_factory=list)
    batch: int | None = None
    tenant: str | None = None
    failure: Failure | None = None


def request_of(config: Mapping[str, Any]) -> RunRequest:
    """The flat run config as the runner takes it."""
    return RunRequest(
        config["source"],
        config["request"],
        config["tenant"],
        config.get("batch"),
        retire=config.get("retire", "none"),
        full=config.get("full", False),
    )


def stages_of(topology: Topology, stage: Stage, steps: Collection[str] | None) -> list[Stage]:
    """The stages an op runs: its own, and those that a re-execution of only some `steps` leaves out.

    A document that was mended, or that a changed pipeline redoes, is due at stages which were done for its older
    generation and which Dagster therefore leaves out: those before this one run first; those beside it, that no step
    of this run leads to, run last. Where no document is due they cost a look at the ledger.
    """
    if steps is None:
        return [stage]
    listing = {s.name for s in topology.stages if s.contract is not None and s.contract.arity == "listing"}
    above = {s.name for s in topology.ancestors(stage.name)}
    absent = {s.name for s in topology.stages if s.dagster_name not in steps} - listing
    covered = {stage.name} | above | absent | listing
    beside = {s.name for s in topology.stages if {a.name for a in topology.ancestors(s.name)} <= covered}
    return [
        *(s for s in topology.stages if s.name in absent & above),
        stage,
        *(s for s in topology.stages if s.name in (absent & beside) - above),
    ]


def is_end(topology: Topology, stage: Stage, steps: Collection[str] | None) -> bool:
    """Whether no step of a run follows a stage. `steps` None: the run has all of them."""
    return not any(steps is None or child.dagster_name in steps for child in topology.children(stage.name))


def ahead_of(topology: Topology, stage: Stage, steps: Collection[str] | None, again: bool) -> list[str]:
    """The stages that a run of these `steps` may still come to when an op is through; `again`: it is a re-execution,
    whose ops run the other stages too."""
    behind = {s.name for s in (*topology.ancestors(stage.name), *stages_of(topology, stage, steps if again else None))}
    return [s.name for s in topology.stages if s.name not in behind and (again or not steps or s.dagster_name in steps)]


def perform(context: OpExecutionContext, topology: Topology, stage: Stage) -> Outcome:
    """Run a stage over the run's batch. SIGINT and SIGTERM wait for a moment between documents, then Dagster's own
    handler gets them: the run ends canceled, or failed where nobody had asked Dagster."""
    app: App = context.resources.penstock
    run: OpenRun | None = None
    problem: PenstockError | None = None
    outcome = Outcome()
    at = stage
    again, steps = context.run.parent_run_id is not None, _steps(context.run)
    with held_interrupts() as stop:
        try:
            run = _open(context, app, topology, stop)
            outcome.batch, outcome.tenant = run.scope.batch, run.scope.tenant
            for at in stages_of(topology, stage, steps if again else None):
                report = app.runner.run_stage(run, at.name, _Progress(context), stop)
                if at is stage or report.done or report.reused or report.failures:
                    outcome.passes.append((at, report))
        except PenstockError as error:
            problem = error
            outcome.passes.append((at, getattr(error, "report", StageReport(at.name))))
        except (Exception, SystemExit) as error:
            if run is not None:
                app.ledger.batches.close(run.scope.batch, "failed", f"{type(error).__name__}: {error}")
            context.instance.add_run_tags(context.run_id, {OUTCOME: "failed"})
            raise
    _tell(context, run, outcome, problem)
    if problem is not None:
        _give_up(context, app, problem)
        outcome.failure = _failure(problem, outcome)
        return outcome
    assert run is not None
    own = next(report for at, report in outcome.passes if at is stage)
    if is_end(topology, stage, steps) or (stage.gate is not None and not own.through):
        closing = app.runner.finish_if_through(run, [own], ahead_of(topology, stage, steps, again))
        if closing is not None:
            _end(context, closing, outcome)
    if stop.received is not None:
        signal.raise_signal(stop.received)
    return outcome


def _end(context: OpExecutionContext, closing: RunReport, outcome: Outcome) -> None:
    """Say how the run ended, and what it leaves to others."""
    context.instance.add_run_tags(context.run_id, {OUTCOME: closing.outcome})
    if closing.outcome == "failed":
        outcome.failure = _failure(StageFailed(closing.error, next_step=closing.next_step), outcome)
    elif left := closing.statuses.get("pending"):
        context.log.warning(f"documents due at stages that this run leaves out: {left}. Next: penstock retry")


def _steps(run: DagsterRun) -> Collection[str] | None:
    """The steps a run was narrowed down to; None: all."""
    return run.step_keys_to_execute or run.resolved_op_selection


def _tell(context: OpExecutionContext, run: OpenRun | None, outcome: Outcome, problem: PenstockError | None) -> None:
    """Log each stage's notes and line, but for the one that gave up; the run's own notes are the first stage's."""
    if run is not None:
        first = outcome.passes[0][1]
        first.notes[:0] = [note for note in run.notes if note not in first.notes]
    for stage, report in outcome.passes:
        for note in report.notes:
            context.log.info(note)
        if problem is None or report is not outcome.passes[-1][1]:
            context.log.info(f"{stage.name}: {headline(stage, report)}")


def _open(context: OpExecutionContext, app: App, topology: Topology, stop: Callable[[], None]) -> OpenRun:
    first = app.ledger.runs.get(context.run_id) is None
    if first:
        _compare(context, topology)
    run = app.runner.open(
        topology,
        request_of(context.op_config),
        run_id=context.run_id,
        root_run_id=context.run.root_run_id or context.run_id,
        stop=stop,
    )
    if first:  # a re-execution inherits its parent's tags, the outcome among them
        tags = {OUTCOME: UNDER_WAY, "penstock/batch": str(run.scope.batch)}
        context.instance.add_run_tags(context.run_id, tags)
    return run


def _compare(context: OpExecutionContext, topology: Topology) -> None:
    """Compare a pipeline with what Dagster was shown of it when it made the run: it would run the stages of then, and
    say that all went well. Raises UsageError where others are to be run, or in another order."""
    shown = context.run.job_snapshot_id and context.instance.get_job_snapshot(context.run.job_snapshot_id).metadata
    today = shape_of(topology)
    if not shown or all(shown.get(key) == value for key, value in today.items()):
        return
    edited = f"{topology.path.name} was edited after this code location was loaded"
    if shown.get(STAGES) != today[STAGES]:
        raise UsageError(edited, next_step="reload the code location, then launch it again")
    context.log.warning(f"{edited}: this run takes it as it is now")


def _give_up(context: OpExecutionContext, app: App, error: PenstockError) -> None:
    """Close the batch, unless the sensor launched it and shall decide: a stopped run is taken up again, and so is one
    whose pipeline was changed under it."""
    stopped = isinstance(error, Stopped)
    known = app.ledger.runs.get(context.run_id)
    if known is not None:
        by_sensor = app.ledger.batches.batch(known.batch_id).kind != "whole"
        if not (by_sensor and (stopped or error.reason == "topology-changed")):
            app.ledger.batches.close(known.batch_id, "failed", error.message)
    context.instance.add_run_tags(context.run_id, {OUTCOME: "stopped" if stopped else "failed"})
    if stopped:
        context.log.warning(error.message)
        signal.raise_signal(signal.SIGINT)  # Dagster's handler is back, and raises here


def _failure(error: PenstockError, outcome: Outcome) -> Failure:
    line = f"{error.message}. Next: {error.next_step}" if error.next_step else error.message
    metadata = stage_metadata(outcome.passes[-1][1], outcome.batch)
    failure = Failure(line, metadata=metadata, allow_retries=False)
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
