"""The sensor that launches queued batches."""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256

from dagster import (
    DagsterInstance,
    DagsterRunStatus,
    DefaultSensorStatus,
    JobDefinition,
    RunRequest,
    RunsFilter,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    sensor,
)

from penstock.bootstrap import App, open_app
from penstock.ledger.batches import Batch
from penstock.orchestration.housekeeping import keep_house, reopen
from penstock.pipelines.topology import Topology

WAIT_SECONDS = 4.5
"""A tick waits this long for something to be queued: so a submission is launched at once, not at the next tick."""
POLL_SECONDS = 0.2
IN_LINE = 10
"""At most so many runs wait in Dagster's queue; the other batches wait in the ledger."""
ASKS = 5
"""How often a run is asked for that Dagster doesn't make; then the attempt counts as lost."""


def batches_sensor(topologies: Mapping[str, Topology], jobs: list[JobDefinition]) -> SensorDefinition:
    """`submitted_batches`: one run for each attempt of each batch, its run key `<batch>:<attempt>`.

    The cursor holds how often each run was asked for that Dagster has not made yet.
    """
    loaded = {name: on_disk(topology) for name, topology in topologies.items()}

    @sensor(
        name="submitted_batches",
        jobs=jobs,
        minimum_interval_seconds=1,
        default_status=DefaultSensorStatus.RUNNING,
        description="Launches the batches that `penstock submit` and `penstock retry --submit` queue in the ledger, "
        "takes up those whose run died, and frees what dead runs held.",
    )
    def submitted_batches(context: SensorEvaluationContext) -> SensorResult:
        app = open_app()
        try:
            for line in keep_house(app, context.instance):
                context.log.info(line)
            fresh = {name: t for name, t in topologies.items() if on_disk(t) == loaded[name]}
            asked: dict[str, int] = json.loads(context.cursor or "{}")
            due, waiting = unmade(app, context.instance, asked, fresh)
            room = IN_LINE - len(due) - waiting
            if room > 0:
                due += wait_for(lambda: app.ledger.batches.claim_queued(room, list(fresh)), 0 if due else WAIT_SECONDS)
            requests = [request_of(topologies[batch.pipeline], batch) for batch in due]
            cursor = json.dumps({r.run_key: asked.get(str(r.run_key), 0) + 1 for r in requests}) if requests else ""
            reason = None if requests else why_idle(app, topologies, fresh, waiting)
            return SensorResult(run_requests=requests, skip_reason=reason, cursor=cursor)
        finally:
            app.close()

    return submitted_batches


def unmade(
    app: App, instance: DagsterInstance, asked: Mapping[str, int], pipelines: Iterable[str]
) -> tuple[list[Batch], int]:
    """Claimed batches whose run was asked for and not made, to be asked for again under the same key; and how many
    others wait in Dagster's queue.

    One whose run has ended before its first op is reopened, and so is one whose run Dagster keeps refusing to make.
    """
    due, waiting = [], 0
    for batch in app.ledger.batches.claimed():
        tags = {"penstock/batch": str(batch.id), "penstock/attempt": str(batch.attempt)}
        runs = instance.get_runs(RunsFilter(tags=tags), limit=1)
        if runs and runs[0].is_finished:
            reopen(app, batch, runs[0].run_id, runs[0])
        elif not runs and asked.get(_key(batch), 0) >= ASKS:
            reopen(app, batch, f"{_key(batch)}, asked for {ASKS} times,", None)
        elif batch.pipeline in pipelines and (not runs or runs[0].status is DagsterRunStatus.NOT_STARTED):
            due.append(batch)
        elif batch.pipeline in pipelines:
            waiting += 1
    return due, waiting


def request_of(topology: Topology, batch: Batch) -> RunRequest:
    """The run of a claimed batch."""
    return RunRequest(
        run_key=_key(batch),
        job_name=topology.dagster_name,
        run_config={"batch": batch.id, "tenant": batch.tenant},
        tags={"penstock/batch": str(batch.id), "penstock/attempt": str(batch.attempt)},
    )


def wait_for(claim: Callable[[], list[Batch]], seconds: float) -> list[Batch]:
    """What `claim` gives as soon as it gives anything, or when the time is over."""
    until = time.monotonic() + seconds
    while not (batches := claim()) and time.monotonic() < until:
        time.sleep(POLL_SECONDS)
    return batches


def why_idle(app: App, topologies: Mapping[str, Topology], fresh: Iterable[str], waiting: int) -> str:
    """Why nothing is launched, for the tick's line in the UI."""
    if waiting >= IN_LINE:
        return f"{waiting} runs wait in Dagster's queue already"
    edited = sorted(set(topologies) - set(fresh))
    if edited:
        return f"reload the code location: {', '.join(edited)} was edited on disk"
    stranger = app.ledger.batches.queued_elsewhere(list(topologies))
    if stranger:
        name, count = stranger
        return f"{count} queued for the pipeline {name!r}, which is not loaded: penstock pipelines check, then reload"
    return "nothing is queued: penstock submit PIPELINE PATH… queues a batch"


def on_disk(topology: Topology) -> str:
    """What the files of a pipeline are now: its YAML and the policies beside it."""
    digest = sha256()
    for path in (topology.path, topology.path.parent.parent / "resilience.yaml"):
        digest.update(path.read_bytes() if path.is_file() else b"gone")
    return digest.hexdigest()


def _key(batch: Batch) -> str:
    return f"{batch.id}:{batch.attempt}"
