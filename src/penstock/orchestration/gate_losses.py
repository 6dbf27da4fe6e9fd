"""Documents that failed at a gate, where no op of a run tells of them: a worker gave up on them, or their time was
up."""

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any, cast

from dagster import AssetCheckEvaluation, AssetCheckSeverity, AssetKey, AssetObservation, DagsterInstance

from penstock.bootstrap import App
from penstock.ledger.gates import LostAtGate
from penstock.ledger.told import Told
from penstock.orchestration.metadata import failure_table, verdict
from penstock.orchestration.ops import CHECK, key_of
from penstock.pipelines.topology import Stage, Topology
from penstock.runner import Failure

ROUNDS = "in the ledger (job:round)"
"""Metadata of an observation: which failures it is about."""


def losses(
    app: App, instance: DagsterInstance, topologies: Mapping[str, Topology], field: str, told: Told
) -> tuple[list[AssetObservation | AssetCheckEvaluation], Told]:
    """An observation of each gate that has new failures, with a table of them, and its check anew; and what has been
    told of when these are written.

    A daemon that dies between writing and remembering finds in the newest observation what it has written.
    """
    gates = {
        (topology.name, gate.name): (topology, gate)
        for topology in topologies.values()
        for gate in topology.gates
        if gate.gate and gate.gate.ledger_field == field
    }
    fresh, told = app.ledger.tellings.since_then(list(gates), told)
    events: list[AssetObservation | AssetCheckEvaluation] = []
    for at, (topology, gate) in gates.items():
        here = [lost for lost in fresh if (lost.pipeline, lost.gate) == at]
        written = _newest(instance, key_of(topology, gate)) if here else set()
        if unwritten := [lost for lost in here if lost.key not in written]:
            events += _events(app, topology, gate, unwritten)
    return events, told


def _events(
    app: App, topology: Topology, gate: Stage, lost: Collection[LostAtGate]
) -> list[AssetObservation | AssetCheckEvaluation]:
    key = key_of(topology, gate)
    failures = [Failure(f.source_id, f.doc_id, f.gate, f.status, f.reason, f.message, f.next_step) for f in lost]
    reasons = ", ".join(f"{count} {reason}" for reason, count in Counter(f.reason for f in lost).most_common())
    observed = AssetObservation(
        key,
        description=f"{len(lost)} document{'s' if len(lost) != 1 else ''} did not get through: {reasons}",
        metadata={"failures": failure_table(failures), ROUNDS: [f.key for f in lost]},
    )
    said = verdict(app, topology, gate)
    return [
        observed,
        AssetCheckEvaluation(check_name=CHECK, asset_key=key, severity=AssetCheckSeverity.WARN, **said),
    ]


def _newest(instance: DagsterInstance, key: AssetKey) -> set[str]:
    """What the newest observation of an asset is about."""
    for record in instance.fetch_observations(key, limit=1).records:
        observation = record.asset_observation
        about = observation.metadata.get(ROUNDS) if observation else None
        return {str(key) for key in cast("list[Any]", about.value)} if about else set()
    return set()
