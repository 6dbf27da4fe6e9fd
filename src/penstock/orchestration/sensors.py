"""The sensor that launches queued batches."""

import json
from collections.abc import Mapping

from dagster import (
    DefaultSensorStatus,
    JobDefinition,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    sensor,
)

from penstock.bootstrap import App, open_app
from penstock.ledger.batches import Batch
from penstock.orchestration.housekeeping import keep_house
from penstock.orchestration.launching import Loaded, asked_again, runs_for
from penstock.pipelines.topology import Topology

NAME = "submitted_batches"


def batches_sensor(topologies: Mapping[str, Topology], jobs: list[JobDefinition]) -> SensorDefinition:
    """`submitted_batches`: launches what is queued, but for what is resumed behind a gate (see `gate_sensor`).

    The cursor holds how often each run was asked for that Dagster has not made yet.
    """
    loaded = Loaded(topologies)
    gated = {name for name, topology in topologies.items() if topology.gates}

    def mine(batch: Batch) -> bool:
        return batch.kind != "resume" or batch.pipeline not in gated

    @sensor(
        name=NAME,
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
            fresh = loaded.fresh()
            asked: dict[str, int] = json.loads(context.cursor or "{}")
            requests, waiting = runs_for(
                app,
                context.instance,
                NAME,
                asked,
                fresh,
                mine,
                lambda room: app.ledger.batches.claim_queued(room, list(fresh), list(set(fresh) - gated)),
            )
            cursor = json.dumps(asked_again(asked, requests)) if requests else ""
            reason = None if requests else loaded.why_none(fresh, waiting) or why_idle(app, topologies)
            return SensorResult(run_requests=requests, skip_reason=reason, cursor=cursor)
        finally:
            app.close()

    return submitted_batches


def why_idle(app: App, topologies: Mapping[str, Topology]) -> str:
    """Why nothing is launched, for the tick's line in the UI."""
    stranger = app.ledger.batches.queued_elsewhere(list(topologies))
    if stranger:
        name, count = stranger
        return f"{count} queued for the pipeline {name!r}, which is not loaded: penstock pipelines check, then reload"
    return "nothing is queued: penstock submit PIPELINE PATH… queues a batch"
