"""The sensor that launches runs for documents which a worker has let through a gate."""

import json
import math
from collections.abc import Mapping
from typing import Any

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
from penstock.ledger.resumes import Ready
from penstock.ledger.told import Told
from penstock.orchestration.gate_losses import losses
from penstock.orchestration.launching import Loaded, asked_again, runs_for
from penstock.orchestration.metadata import documents_wait
from penstock.pipelines.catalogue import LedgerField
from penstock.pipelines.topology import Topology

GOING_SECONDS = 4.0
"""What is ready while runs are past their gate waits so long for company."""
COUNTED = 1000
"""Documents that wait are counted up to here; there may be a million."""


def gate_sensors(topologies: Mapping[str, Topology], jobs: Mapping[str, JobDefinition]) -> list[SensorDefinition]:
    """One for each ledger field that a gate of these pipelines waits for. `jobs`: by Dagster's name."""
    fields = {gate.gate.field.name: gate.gate.field for t in topologies.values() for gate in t.gates if gate.gate}
    return [gate_sensor(field, gated_by(field, topologies), jobs) for field in fields.values()]


def gated_by(field: LedgerField, topologies: Mapping[str, Topology]) -> dict[str, Topology]:
    """The pipelines with a gate that waits for a field."""
    return {
        name: topology
        for name, topology in topologies.items()
        if any(gate.gate and gate.gate.ledger_field == field.name for gate in topology.gates)
    }


def gate_sensor(
    field: LedgerField, topologies: Mapping[str, Topology], jobs: Mapping[str, JobDefinition]
) -> SensorDefinition:
    """`<field>_sensor`: a run for a batch of what is ready, at once or as soon as `is_due` says.

    The cursor holds how often each run was asked for that Dagster has not made yet, and which failures were told.
    """
    name, loaded = f"{field.name}_sensor", Loaded(topologies)
    retimed: set[str] = set()
    resumed_here = {t.name for t in topologies.values() if t.gates[0].gate and t.gates[0].gate.field == field}

    def mine(batch: Batch) -> bool:
        return batch.kind == "resume" and batch.pipeline in resumed_here

    @sensor(
        name=name,
        jobs=[jobs[topology.dagster_name] for topology in topologies.values()],
        minimum_interval_seconds=1,
        default_status=DefaultSensorStatus.RUNNING,
        description=f"Takes on the documents that wait at a gate for {field.name} as soon as a worker "
        f"({field.worker}) has let them through, and tells of those that failed there.",
    )
    def resume(context: SensorEvaluationContext) -> SensorResult:
        app = open_app()
        try:
            fresh = loaded.fresh()
            for topology in (fresh[pipeline] for pipeline in set(fresh) - retimed):
                app.ledger.gates.retime(topology.name, topology.timeouts)
                retimed.add(topology.name)
            app.ledger.gates.expire()
            cursor: dict[str, Any] = json.loads(context.cursor or "{}")
            asked: dict[str, int] = cursor.get("asked", {})

            def claim(room: int) -> list[Batch]:
                batches = app.ledger.batches.claim_queued(room, (), resumed_here & set(fresh))
                return batches + launch_ready(app, field.name, fresh, room - len(batches))

            requests, waiting = runs_for(app, context.instance, name, asked, fresh, mine, claim)
            events, told = losses(app, context.instance, topologies, field.name, Told.of(cursor))
            reason = None if requests else loaded.why_none(fresh, waiting) or why_idle(app, field, fresh)
            asking = {"asked": asked_again(asked, requests)} if requests else {}
            after = json.dumps({**asking, **told.cursor})
            return SensorResult(run_requests=requests, skip_reason=reason, cursor=after, asset_events=events)
        finally:
            app.close()

    return resume


def launch_ready(app: App, field: str, fresh: Mapping[str, Topology], room: int) -> list[Batch]:
    """Batches of what is ready and due, `room` at most: one for each tenant of each pipeline."""
    launched: list[Batch] = []
    for name, topology in fresh.items():
        found = app.ledger.resumes.ready(field, name, topology.batch_size)
        there = app.ledger.resumes.on_the_way(name) if found else {}
        for ready in found:
            on_the_way = there.get(ready.tenant)
            if len(launched) < room and is_due(ready, topology.batch_size, on_the_way, app.settings.gather_seconds):
                batch = app.ledger.resumes.launch(field, name, ready.tenant, topology.batch_size)
                launched += [batch] if batch else []
    return launched


def is_due(ready: Ready, batch_size: int, on_the_way: str | None, gather_seconds: float) -> bool:
    """Whether documents get a run of their own now.

    With no run of theirs on its way: at once. One that has not come to its gate takes them along when it does, and one
    that gathers there is given its time. While all are past their gate they wait a little for others, or a stream of
    documents would be a stream of runs. A whole batch of them never waits.
    """
    patience = {"coming": math.inf, "gathering": gather_seconds, "going": min(GOING_SECONDS, gather_seconds)}
    wait = patience[on_the_way] if on_the_way else 0
    return ready.documents >= batch_size or ready.age >= wait * 1000


def why_idle(app: App, field: LedgerField, fresh: Mapping[str, Topology]) -> str:
    """How things stand at the gates, for the tick's line in the UI."""
    waiting = app.ledger.waiting.some(field.name, COUNTED + 1)
    ready = sum(
        r.documents for name, t in fresh.items() for r in app.ledger.resumes.ready(field.name, name, t.batch_size)
    )
    told = []
    if waiting:
        there = app.ledger.workers.waiting_on(field.name)
        at_it = (
            f"{there} worker{' is' if there == 1 else 's are'} on it"
            if there
            else f"no worker is there: {field.worker}"
        )
        subject = f"more than {COUNTED} documents wait" if waiting > COUNTED else documents_wait(waiting)
        told.append(f"{subject} for {field.name}; {at_it}")
    if ready:
        told.append(
            f"{ready} that {'has' if ready == 1 else 'have'} it {'goes' if ready == 1 else 'go'} with the next run"
        )
    return "; ".join(told) or f"nothing waits for {field.name}"
