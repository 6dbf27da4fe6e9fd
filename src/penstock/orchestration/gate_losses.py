"""Documents that failed at a gate, where no op of a run tells of them: a worker gave up on them, or their time was
up."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from dagster import AssetCheckEvaluation, AssetCheckSeverity, AssetKey, AssetObservation, DagsterInstance

from penstock.bootstrap import App
from penstock.ledger.gates import LostAtGate
from penstock.orchestration.metadata import failure_table, verdict
from penstock.orchestration.ops import CHECK, key_of
from penstock.pipelines.topology import Stage, Topology
from penstock.runner import Failure

AT_ONCE = 200
"""Failures told in one tick; the others follow in the next ones."""
LATE_MS = 300_000
"""A failure is stamped before it is committed: for so long it is looked for after its time."""
ROUNDS = "job:round"
"""Metadata of an observation: which failures it is about."""


@dataclass(frozen=True, slots=True)
class Told:
    """Everything that failed before `since` (epoch milliseconds) was told of; what came after, of these rounds."""

    since: int = 0
    rounds: frozenset[str] = frozenset()

    @classmethod
    def of(cls, cursor: Mapping[str, Any]) -> "Told":
        return cls(cursor.get("since", 0), frozenset(cursor.get("told", ())))

    @property
    def cursor(self) -> dict[str, Any]:
        return {"since": self.since, "told": sorted(self.rounds)}


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
    most = len(told.rounds) + AT_ONCE
    now = app.ledger.database.now()
    found = app.ledger.gates.lost(list(gates), told.since, most)
    fresh = [lost for lost in found if _round(lost) not in told.rounds]
    events: list[AssetObservation | AssetCheckEvaluation] = []
    for at, (topology, gate) in gates.items():
        here = [lost for lost in fresh if (lost.pipeline, lost.gate) == at]
        written = _newest(instance, key_of(topology, gate)) if here else set()
        if unwritten := [lost for lost in here if _round(lost) not in written]:
            events += _events(app, topology, gate, unwritten)
    since = max(told.since, (now if len(found) < most else found[-1].at) - LATE_MS)
    return events, Told(since, frozenset(_round(lost) for lost in found if lost.at >= since))


def _events(
    app: App, topology: Topology, gate: Stage, lost: Collection[LostAtGate]
) -> list[AssetObservation | AssetCheckEvaluation]:
    key = key_of(topology, gate)
    failures = [Failure(f.source_id, f.doc_id, f.gate, f.status, f.reason, f.message, f.next_step) for f in lost]
    reasons = ", ".join(f"{count} {reason}" for reason, count in Counter(f.reason for f in lost).most_common())
    observed = AssetObservation(
        key,
        description=f"{len(lost)} document{'s' if len(lost) != 1 else ''} did not get through: {reasons}",
        metadata={"failures": failure_table(failures), ROUNDS: " ".join(map(_round, lost))},
    )
    said = verdict(app, topology, gate)
    return [
        observed,
        AssetCheckEvaluation(check_name=CHECK, asset_key=key, severity=AssetCheckSeverity.WARN, **said),
    ]


def _round(lost: LostAtGate) -> str:
    return f"{lost.job_id}:{lost.round}"


def _newest(instance: DagsterInstance, key: AssetKey) -> set[str]:
    """What the newest observation of an asset is about."""
    for record in instance.fetch_observations(key, limit=1).records:
        observation = record.asset_observation
        about = observation.metadata.get(ROUNDS) if observation else None
        return set(str(about.value).split()) if about else set()
    return set()
