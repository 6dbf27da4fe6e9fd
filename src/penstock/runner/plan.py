"""A topology made ready to run: implementations built, guards compiled, everything named by its hash."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from penstock.ledger.definitions import Definitions
from penstock.ledger.work import StageKey
from penstock.pipelines.catalogue import Contract, Implementation
from penstock.pipelines.topology import Stage, Topology
from penstock.resilience.guard import Guard
from penstock.runner.identity import definition_of, digest, fingerprint_of, flow_hashes


class Builder(Protocol):
    """Makes a stage's implementation with the services it needs; bootstrap's business."""

    def __call__(self, stage: Stage) -> Implementation: ...


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """`implementation` and `guard` are None for a gate; `guard` also where every request is guarded instead."""

    stage: Stage
    implementation: Any
    guard: Guard | None
    definition: Mapping[str, Any]
    hash: str
    definition_id: int

    @property
    def contract(self) -> Contract:
        assert self.stage.contract is not None, "a gate has no contract"
        return self.stage.contract

    @property
    def name(self) -> str:
        return self.stage.name


@dataclass(frozen=True)
class Plan:
    topology: Topology
    stages: Mapping[str, PlannedStage]
    fingerprint: str
    digest: str

    def key(self, name: str) -> StageKey:
        """The stage as the ledger needs it. A sink's store is asked for its uuid now: it may have been replaced.

        A sink may be the last to finish a job even where stages follow it: when only its store was lost.
        """
        planned = self.stages[name]
        sink = planned.stage.contract is not None and planned.contract.sink
        last = sink or name in {stage.name for stage in self.topology.leaves}
        return StageKey(
            name=name,
            parents=tuple(dict.fromkeys((*planned.stage.depends_on, *planned.stage.inputs.values()))),
            definition_id=planned.definition_id,
            store=planned.implementation.store_id() if sink else None,
            final=tuple(self.stages) if last else None,
            sets=planned.stage.contract.sets if planned.stage.contract else _field(planned.stage),
        )

    def summary(self) -> str:
        """Canonical JSON of what each stage is: kept with a run, so that a later one can say what changed."""
        stages = {
            name: {
                "is": planned.definition or {"gate": planned.stage.gate and planned.stage.gate.ledger_field},
                "after": sorted(planned.stage.depends_on),
                "policy": planned.stage.policy.model_dump(mode="json"),
            }
            for name, planned in self.stages.items()
        }
        return orjson.dumps(stages, option=orjson.OPT_SORT_KEYS).decode()


def _field(gate: Stage) -> str | None:
    return gate.gate.ledger_field if gate.gate else None


def compile_plan(
    topology: Topology, build: Builder, guard: Callable[[Stage], Guard | None], definitions: Definitions
) -> Plan:
    """Build every stage of a topology. Raises UsageError when one can't be had."""
    implementations = {s.name: build(s) for s in topology.stages if s.contract is not None}
    described = {
        stage.name: definition_of(stage, implementations[stage.name]) if stage.contract else {}
        for stage in topology.stages
    }
    hashes = {name: digest(d) for name, d in described.items() if d}
    ids = definitions.register({hashes[name]: described[name] for name in hashes})
    stages = {
        s.name: PlannedStage(
            stage=s,
            implementation=implementations.get(s.name),
            guard=guard(s) if s.contract is not None else None,
            definition=described[s.name],
            hash=hashes.get(s.name, ""),
            definition_id=ids.get(hashes.get(s.name, ""), 0),
        )
        for s in topology.stages
    }
    fingerprint = fingerprint_of(topology, flow_hashes(topology, hashes))
    return Plan(topology, stages, fingerprint, digest(topology.digest, sorted(hashes.items())))


def differences(before: str, after: str) -> list[str]:
    """What changed between two `Plan.summary`s, a line each."""
    old, new = orjson.loads(before), orjson.loads(after)
    lines = [f"{name}: removed" for name in old if name not in new]
    lines += [f"{name}: added" for name in new if name not in old]
    for name in new:
        if name not in old or old[name] == new[name]:
            continue
        was, now = old[name], new[name]
        if was["after"] != now["after"]:
            lines.append(f"{name}: comes after {', '.join(now['after']) or 'nothing'} (was {', '.join(was['after'])})")
        if was["policy"] != now["policy"]:
            lines.append(f"{name}: another policy")
        for key in ("contract", "implementation", "version", "model"):
            if was["is"].get(key) != now["is"].get(key):
                lines.append(f"{name}: {key} {was['is'].get(key) or 'none'} → {now['is'].get(key) or 'none'}")
        options = {*was["is"].get("options", {}), *now["is"].get("options", {})}
        for key in sorted(options):
            a, b = was["is"].get("options", {}).get(key), now["is"].get("options", {}).get(key)
            if a != b:
                lines.append(f"{name}: {key} {a} → {b}")
    return lines
