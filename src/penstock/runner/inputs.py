"""What a stage works on: documents claimed for it, and the outputs of earlier stages that they are made of.

An output whose bytes are lost is no end of the matter: what made it is due again, for that document.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from penstock.errors import ArtifactLost, PenstockError
from penstock.ir import StageContext
from penstock.ir.codec import decode
from penstock.ledger.outputs import Outputs
from penstock.ledger.work import Claim, Failed, Stored
from penstock.pipelines.topology import Stage
from penstock.runner.outputs import output_key
from penstock.runner.plan import Plan, PlannedStage
from penstock.stores.artifacts import ArtifactStore


@dataclass(slots=True)
class Task:
    """A claimed document whose output has to be made. `lost`: the fields of its item that there is nothing for."""

    claim: Claim
    context: StageContext
    key: bytes
    sources: dict[str, Stored]
    lost: set[str]
    item: Any = None


class Inputs:
    """Of one stage. `due` are the earlier stages that were made due again."""

    def __init__(self, plan: Plan, planned: PlannedStage, outputs: Outputs, artifacts: ArtifactStore) -> None:
        self._plan, self._planned, self._outputs, self._artifacts = plan, planned, outputs, artifacts
        self._key = plan.key(planned.name)
        self._makers = planned.stage.inputs
        kinds = {take.field: take.type for take in planned.contract.takes}
        self._kinds = {f: plan.topology.stage(name).gives or kinds[f] for f, name in self._makers.items()}
        makers = {f: plan.stages[name] for f, name in self._makers.items()}
        self._listings = {f: m.hash for f, m in makers.items() if m.stage.contract and m.contract.arity == "listing"}
        self.due: set[str] = set()

    def find(self, group: Sequence[Claim]) -> list[Task]:
        """The tasks, without their items."""
        stored = self._outputs.inputs(sorted(set(self._makers.values())), group)
        tasks = []
        for claim in group:
            sources = {f: s for f, name in self._makers.items() if (s := stored.get((claim.job_id, name))) is not None}
            context = StageContext(
                claim.tenant,
                claim.doc_id,
                claim.correlation_id,
                {"generation": claim.generation, "token": claim.order, "pipeline": self._plan.topology.name},
            )
            key = output_key(claim, self._planned, self._key, sources, self._listings)
            tasks.append(Task(claim, context, key, sources, set(self._makers) - set(sources)))
        return tasks

    def read(self, tasks: Iterable[Task]) -> None:
        """Give the tasks their items, those whose inputs are all there.

        A stage's `outdated(item)`, where it has one, names the fields that don't fit it any more: they count as lost.
        """
        tasks = list(tasks)
        outdated = getattr(self._planned.implementation, "outdated", _nothing)
        bodies = self._outputs.bodies(s for t in tasks for s in t.sources.values())
        for task in tasks:
            values: dict[str, Any] = {}
            for field, stored in task.sources.items():
                try:
                    values[field] = self.value(self._kinds[field], stored, bodies)
                except ArtifactLost:
                    task.lost.add(field)
            if not task.lost:
                item = self._planned.contract.item
                task.item = item(**values) if item else next(iter(values.values()))
                task.lost |= outdated(task.item)

    def value(self, kind: Any, stored: Stored, bodies: dict[int, tuple[bytes | None, bytes | None]]) -> Any:
        """An artifact as what it is. Raises ArtifactLost."""
        if stored.id not in bodies:
            raise ArtifactLost("another run found its bytes to be lost")
        head, body = bodies[stored.id]
        return decode(kind, head, body if body is not None else self._artifacts.get(stored.hash.hex()))

    def redo(self, tasks: Sequence[Task]) -> list[Failed]:
        """Of tasks with lost inputs: make due again what gave them, and what lies between it and this stage.

        Where nothing here can make them (a payload, what a worker outside gave) the document has failed; a gate is due
        again, so that the next try waits there.
        """
        topology = self._plan.topology
        between = {stage.name for stage in topology.ancestors(self._planned.name)}
        due: list[tuple[int, str]] = []
        waits: list[tuple[int, str]] = []
        lost: list[Stored] = []
        failed: list[Failed] = []
        for task in tasks:
            makers = {self._makers[field] for field in task.lost}
            outside = [topology.stage(name) for name in sorted(makers) if not _makes(topology.stage(name))]
            if outside:
                failed.append(failure(task, _unmakeable(outside[0]), terminal=False))
                gates = {stage.name for stage in outside if stage.gate is not None}
                waits += [(task.claim.job_id, name) for name in gates]
                lost += [s for field, s in task.sources.items() if field in task.lost and self._makers[field] in gates]
                continue
            again = makers.union(*({s.name for s in topology.descendants(name)} & between for name in makers))
            due += [(task.claim.job_id, name) for name in again if _makes(topology.stage(name))]
            lost += [task.sources[field] for field in task.lost if field in task.sources]
        self._outputs.redo([*due, *waits], lost)
        self.due.update(name for _, name in due)
        return failed


def failure(task: Task, error: PenstockError, cause: BaseException | None = None, *, terminal: bool = True) -> Failed:
    """A task that did not get through; the traceback is kept of what is a bug."""
    unexpected = error.reason == "unexpected" and cause is not None
    first = next(iter(task.sources.values()), None)
    return Failed(
        task.claim,
        error,
        attempts=error.attempts,
        input=first.key if first else None,
        detail="".join(traceback.format_exception(cause))[-8000:] if unexpected else None,
        terminal=terminal,
    )


def _nothing(item: object) -> set[str]:
    return set()


def _makes(stage: Stage) -> bool:
    """Whether a stage's output is made of what the ledger has: it is no gate, no listing and no sink."""
    return stage.contract is not None and stage.contract.arity != "listing" and not stage.contract.sink


def _unmakeable(maker: Stage) -> ArtifactLost:
    if maker.gate is None:
        return ArtifactLost(
            "the artifact store has lost the bytes it was read from",
            next_step="list its source again: run the same again over the same documents",
        )
    lost = f"the artifact store has lost what came in at {maker.name}"
    return ArtifactLost(lost, next_step=f"penstock retry: it waits again for {maker.gate.field.worker}")
