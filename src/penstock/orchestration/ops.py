"""One op for each stage. An op finds its run's scope in the ledger, loops over documents there, and reports."""

import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from dagster import (
    AssetCheckEvaluation,
    AssetCheckSeverity,
    AssetKey,
    AssetMaterialization,
    Failure,
    In,
    Nothing,
    OpDefinition,
    OpExecutionContext,
    Out,
    Output,
    Permissive,
)
from dagster import Field as ConfigField

from penstock.bootstrap import App
from penstock.errors import PenstockError, StageFailed, Stopped
from penstock.orchestration.metadata import failure_metadata, stage_metadata
from penstock.pipelines.topology import Stage, Topology
from penstock.runner import RunRequest, StageReport
from penstock.runner.interrupts import held_interrupts

CONFIG: Mapping[str, Any] = {
    "source": ConfigField(str, default_value="files", description="Which source to list, by its registered name."),
    "request": ConfigField(
        Permissive(), default_value={}, description="The source's own query; for files: {paths: [folder, file, '*.json']}."
    ),
    "tenant": ConfigField(str, default_value="default", description="Whose documents these are."),
    "batch": ConfigField(
        int, is_required=False, description="Work on this batch of the ledger and list nothing (sensors set it)."
    ),
}
"""One flat run config for launchpad, sensor, CLI and CI; every op of a job gets the same."""

LOG_EVERY_SECONDS = 5.0
CHECK = "all_documents_through"
"""The asset check of every stage."""


def stage_op(topology: Topology, stage: Stage) -> OpDefinition:
    """The op of one stage, named `<pipeline>__<stage>` since two jobs may not both define an op `chunk`."""

    def compute(context: OpExecutionContext, inputs: Mapping[str, Any]) -> Iterator[Any]:
        report = _run(context, topology, stage)
        yield AssetMaterialization(
            AssetKey([topology.dagster_name, stage.dagster_name]),
            description=_headline(report),
            metadata=stage_metadata(report),
        )
        lost = report.dead + report.failed
        yield AssetCheckEvaluation(
            check_name=CHECK,
            asset_key=AssetKey([topology.dagster_name, stage.dagster_name]),
            passed=not lost,
            severity=AssetCheckSeverity.WARN,
            description=f"{lost} did not get through" if lost else "all documents got through",
            metadata=failure_metadata(report.failures),
        )
        if stage.gate is None or report.before:
            yield Output(None)

    identity = f"{stage.type}.{stage.implementation}" if stage.contract else f"gate on {stage.gate and stage.gate.ledger_field}"
    return OpDefinition(
        compute_fn=compute,
        name=f"{topology.dagster_name}__{stage.dagster_name}",
        description=f"{identity}, policy {stage.policy_name} ({topology.path}:{stage.line})",
        ins={parent: In(Nothing) for parent in _parents(topology, stage)},
        outs={"result": Out(Nothing, is_required=stage.gate is None)},
        config_schema=dict(CONFIG),
        required_resource_keys={"penstock"},
        tags={
            "penstock/type": stage.type,
            "penstock/implementation": stage.implementation or "-",
            "penstock/policy": stage.policy_name or "-",
            "penstock/yaml": f"{topology.path.name}:{stage.line}",
        },
    )


def _parents(topology: Topology, stage: Stage) -> list[str]:
    return [parent.dagster_name for parent in topology.parents(stage.name)]


def request_of(config: Mapping[str, Any]) -> RunRequest:
    return RunRequest(config["source"], config["request"], config["tenant"], config.get("batch"))


def _run(context: OpExecutionContext, topology: Topology, stage: Stage) -> StageReport:
    """The stage's report. Raises Failure, with the same tables, when the stage gave up."""
    app: App = context.resources.penstock
    run = None
    interrupted: signal.Signals | None = None
    try:
        with held_interrupts() as stop:
            run = app.runner.open(
                topology,
                request_of(context.op_config),
                run_id=context.run_id,
                root_run_id=context.run.root_run_id or context.run_id,
            )
            for note in run.notes:
                context.log.info(note)
            report = app.runner.run_stage(run, stage.name, _Log(context), stop)
            interrupted = stop.received
    except Stopped as error:
        context.log.warning(error.message)
        if run is not None:
            app.runner.finish(run, [], error)
        signal.raise_signal(signal.SIGINT)  # Dagster's own handler is back: it marks the run canceled
        raise Failure(error.message, allow_retries=False) from error
    except PenstockError as error:
        report = getattr(error, "report", StageReport(stage.name))
        if run is not None:
            app.runner.finish(run, [report], error)
        context.instance.add_run_tags(context.run_id, {"penstock/outcome": "failed"})
        raise Failure(
            f"{error.message}. Next: {error.next_step}" if error.next_step else error.message,
            metadata={**stage_metadata(report), **failure_metadata(report.failures)},
            allow_retries=False,
        ) from (None if isinstance(error, StageFailed) else error)
    for note in report.notes:
        context.log.info(note)
    context.log.info(f"{stage.name}: {_headline(report)}")
    if not topology.children(stage.name) or (stage.gate is not None and not report.before):
        closing = app.runner.finish(run, [report])
        context.instance.add_run_tags(context.run_id, {"penstock/outcome": closing.outcome})
    if interrupted is not None:
        signal.raise_signal(interrupted)
    return report


def _headline(report: StageReport) -> str:
    parts = [
        f"{count} {word}"
        for count, word in (
            (report.done, "done"),
            (report.reused, "reused"),
            (report.before, "done before"),
            (report.dead, "dead-lettered"),
            (report.failed, "failed"),
            (report.waiting, "waiting"),
        )
        if count
    ]
    return f"{', '.join(parts) or 'nothing to do'} in {report.seconds:.1f} s"


class _Log:
    """Progress as a line every few seconds."""

    def __init__(self, context: OpExecutionContext) -> None:
        self._context = context
        self._last = time.monotonic()

    def advanced(self, stage: str, done: int, total: int | None) -> None:
        if time.monotonic() - self._last >= LOG_EVERY_SECONDS:
            self._last = time.monotonic()
            self._context.log.info(f"{stage}: {done}{f' of {total}' if total is not None else ''}")


@contextmanager
def opened(app: App) -> Iterator[App]:
    try:
        yield app
    finally:
        app.close()
