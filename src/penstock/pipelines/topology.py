"""A pipeline as it is loaded: checked, resolved, frozen."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from penstock.errors import NotFound, Problem
from penstock.pipelines.catalogue import Contract, LedgerField
from penstock.pipelines.graph import ancestors_of
from penstock.pipelines.names import dagster_name
from penstock.pipelines.problems import suggest


@dataclass(frozen=True, slots=True)
class GateCondition:
    """`timeout_seconds`: how long a document may wait here, None for ever. `field` is the ledger field's spec."""

    ledger_field: str
    equals: bool
    resume_stage: str
    timeout_seconds: float | None
    field: LedgerField


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a pipeline. A gate has no contract, no implementation and no options.

    `inputs` says which ancestor fills each field its contract takes; what the submission itself gives (a Request) and
    an optional input that nothing gives are not in it. A gate's only input is named after its ledger field.
    """

    name: str
    contract: Contract | None
    implementation: str
    options: BaseModel | None
    policy: BaseModel
    policy_name: str
    depends_on: tuple[str, ...]
    inputs: Mapping[str, str]
    gate: GateCondition | None = None
    line: int = 1

    @property
    def dagster_name(self) -> str:
        return dagster_name(self.name)

    @property
    def type(self) -> str:
        """As the YAML says it: the contract's name, or Gate."""
        return self.contract.name if self.contract else "Gate"

    @property
    def gives(self) -> object:
        """The flowing type its outputs have."""
        if self.contract:
            return self.contract.gives
        return self.gate.field.gives if self.gate else None

    @property
    def options_dict(self) -> dict[str, Any]:
        """The options, defaults included, as JSON has them; secrets are masked."""
        return self.options.model_dump(mode="json", by_alias=True) if self.options else {}


@dataclass(frozen=True, slots=True)
class Executor:
    """A Dagster executor by name, with its options."""

    name: str = "in_process"
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Schedule:
    """`source` None: the schedule names none. `query` is the source's own."""

    cron: str
    timezone: str = "UTC"
    source: str | None = None
    query: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Topology:
    """A pipeline. `stages` in topological order, by line where that leaves a choice."""

    name: str
    version: str
    description: str
    sources: tuple[str, ...]
    stages: tuple[Stage, ...]
    path: Path
    batch_size: int = 1000
    on_dead_letter: Literal["continue", "fail"] = "continue"
    executor: Executor = Executor()
    schedule: Schedule | None = None
    warnings: tuple[Problem, ...] = ()

    @property
    def dagster_name(self) -> str:
        return dagster_name(self.name)

    def stage(self, name: str) -> Stage:
        """Raises NotFound, with the nearest name."""
        if name not in self._by_name:
            raise NotFound(f"pipeline {self.name!r} has no stage {name!r}", next_step=suggest(name, self._by_name))
        return self._by_name[name]

    def parents(self, name: str) -> tuple[Stage, ...]:
        return self._pick(set(self.stage(name).depends_on))

    def children(self, name: str) -> tuple[Stage, ...]:
        return tuple(stage for stage in self.stages if self.stage(name).name in stage.depends_on)

    def ancestors(self, name: str) -> tuple[Stage, ...]:
        """All that come before, in topological order."""
        return self._pick(self._ancestors[self.stage(name).name])

    def descendants(self, name: str) -> tuple[Stage, ...]:
        """All that come after, in topological order."""
        return tuple(stage for stage in self.stages if self.stage(name).name in self._ancestors[stage.name])

    @property
    def leaves(self) -> tuple[Stage, ...]:
        return tuple(stage for stage in self.stages if not self.children(stage.name))

    @property
    def gates(self) -> tuple[Stage, ...]:
        return tuple(stage for stage in self.stages if stage.gate)

    @property
    def timeouts(self) -> dict[str, float | None]:
        """Gate → for how many seconds a document may wait there, None for ever."""
        return {stage.name: stage.gate.timeout_seconds for stage in self.stages if stage.gate}

    @cached_property
    def digest(self) -> str:
        """sha256 (hex) of what the file means: policies and options resolved, without comments, description, order."""
        content = {
            "version": self.version,
            "name": self.name,
            "sources": sorted(self.sources),
            "batch_size": self.batch_size,
            "on_dead_letter": self.on_dead_letter,
            "executor": [self.executor.name, dict(self.executor.config)],
            "schedule": self.schedule
            and [self.schedule.cron, self.schedule.timezone, self.schedule.source, dict(self.schedule.query)],
            "stages": {stage.name: _meaning(stage) for stage in self.stages},
        }
        return sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    @cached_property
    def _by_name(self) -> dict[str, Stage]:
        return {stage.name: stage for stage in self.stages}

    @cached_property
    def _ancestors(self) -> dict[str, set[str]]:
        return ancestors_of({stage.name: stage.depends_on for stage in self.stages})

    def _pick(self, names: set[str]) -> tuple[Stage, ...]:
        return tuple(stage for stage in self.stages if stage.name in names)


def _meaning(stage: Stage) -> dict[str, Any]:
    gate = stage.gate
    return {
        "type": stage.type,
        "use": stage.implementation,
        "with": stage.options_dict,
        "policy": stage.policy.model_dump(mode="json"),
        "depends_on": sorted(stage.depends_on),
        "inputs": dict(stage.inputs),
        "gate": gate and [gate.ledger_field, gate.equals, gate.resume_stage, gate.timeout_seconds],
    }
