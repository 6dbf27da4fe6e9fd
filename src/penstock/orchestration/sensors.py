"""The sensor that launches queued batches, frees what the dead have left, and takes up runs that died."""

import time
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256

from dagster import (
    DagsterInstance,
    DagsterRunStatus,
    DefaultSensorStatus,
    JobDefinition,
    RunRequest,
    SensorDefinition,
    SensorEvaluationContext,
    SkipReason,
    sensor,
)

from penstock.bootstrap import App, open_app
from penstock.ledger.batches import Batch
from penstock.pipelines.topology import Topology

WAIT_SECONDS = 4.5
"""A tick waits this long for something to be queued: so a submission is launched at once, not at the next tick."""
POLL_SECONDS = 0.2
BATCH_ATTEMPTS = 3
"""How often a batch is launched whose run process dies; then it is failed."""
RUNS_A_TICK = 10
REAP_SECONDS = 10.0
GONE = (DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED)
UNDER_WAY = (DagsterRunStatus.STARTED, DagsterRunStatus.STARTING, DagsterRunStatus.CANCELING)


def batches_sensor(topologies: Mapping[str, Topology], jobs: list[JobDefinition]) -> SensorDefinition:
    """`submitted_batches`: one run for each attempt of each batch, its run key `<batch>:<attempt>`."""

    @sensor(
        name="submitted_batches",
        jobs=jobs,
        minimum_interval_seconds=1,
        default_status=DefaultSensorStatus.RUNNING,
        description="Launches what `penstock submit` and `penstock retry --submit` have queued in the ledger.",
    )
    def submitted_batches(context: SensorEvaluationContext) -> Iterator[RunRequest | SkipReason]:
        app = open_app()
        try:
            housekeeping(app, context.instance)
            fresh = {name: t for name, t in topologies.items() if not _edited(t)}
            batches = _await(lambda: app.ledger.batches.claim_queued(RUNS_A_TICK, list(fresh)))
            launched = {b.id: b for b in (*app.ledger.batches.claimed(), *batches) if b.pipeline in fresh}
            for batch in launched.values():
                yield _request(topologies[batch.pipeline], batch)
            if not launched:
                yield SkipReason(_why(app, topologies, fresh))
        finally:
            app.close()

    return submitted_batches


def housekeeping(app: App, instance: DagsterInstance) -> None:
    """Free dead leases; queue again the batches whose run is gone without having closed them."""
    app.ledger.leases.reap()
    for batch, run_id in app.ledger.batches.started_runs():
        run = instance.get_run_by_id(run_id)
        if run is None or run.status in GONE:
            state = "is unknown" if run is None else f"ended {run.status.value.lower()}"
            app.ledger.batches.requeue(batch.id, note=f"run {run_id} {state}", attempts=BATCH_ATTEMPTS)
        elif run.status in UNDER_WAY and app.ledger.leases.is_dead(batch.runner_id):
            # The run's process is gone and so was the code server that would have noticed: it would stay STARTED and
            # hold a run slot for ever.
            instance.report_run_failed(run, f"the process of this run is gone; batch {batch.id} is queued again")
            app.ledger.batches.requeue(batch.id, note=f"run {run_id} lost its process", attempts=BATCH_ATTEMPTS)


def _request(topology: Topology, batch: Batch) -> RunRequest:
    return RunRequest(
        run_key=f"{batch.id}:{batch.attempt}",
        job_name=topology.dagster_name,
        run_config={"batch": batch.id, "tenant": batch.tenant},
        tags={"penstock/batch": str(batch.id), "penstock/attempt": str(batch.attempt)},
    )


def _await(claim: Callable[[], list[Batch]]) -> list[Batch]:
    until = time.monotonic() + WAIT_SECONDS
    while not (batches := claim()) and time.monotonic() < until:
        time.sleep(POLL_SECONDS)
    return batches


def _why(app: App, topologies: Mapping[str, Topology], fresh: Mapping[str, Topology]) -> str:
    edited = sorted(set(topologies) - set(fresh))
    if edited:
        return f"reload the code location: {', '.join(edited)} was edited on disk"
    stranger = app.ledger.batches.queued_elsewhere(list(topologies))
    if stranger:
        return f"{stranger[1]} batches wait for pipeline {stranger[0]!r}, which is not loaded: penstock pipelines check"
    return "no batch is queued: penstock submit PIPELINE PATH… queues one"


_LOADED: dict[str, str] = {}


def remember(topology: Topology) -> None:
    """Note what the file was when it was loaded."""
    _LOADED[topology.name] = _on_disk(topology)


def _edited(topology: Topology) -> bool:
    return _LOADED.get(topology.name, "") != _on_disk(topology)


def _on_disk(topology: Topology) -> str:
    try:
        return sha256(topology.path.read_bytes()).hexdigest()
    except OSError:
        return "gone"
