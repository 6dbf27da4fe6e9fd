"""One stage over one batch: claim a group, find or make its outputs, commit them, until nothing is left to claim."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil

from penstock.errors import (
    ArtifactLost,
    Fenced,
    RateLimited,
    StageFailed,
    Stopped,
    StorageFull,
    TransientError,
    UsageError,
)
from penstock.ir import Chunk, Document
from penstock.ledger.outputs import Outputs
from penstock.ledger.work import Claim, Done, Failed, StageKey, Stored, Work, next_group
from penstock.pipelines.catalogue import type_name
from penstock.runner.bisect import Bisection, Poisoned, ServiceAway
from penstock.runner.call import Call
from penstock.runner.ingest import WAIT_SECONDS, Scope
from penstock.runner.inputs import Inputs, Task, failure
from penstock.runner.outputs import columns
from penstock.runner.plan import Plan, PlannedStage
from penstock.runner.report import Failure, Observer, StageReport
from penstock.runner.session import Session
from penstock.stores.artifacts import ArtifactStore

COMMIT_BYTES = 8 << 20
"""At most so many bytes of input are held at a time, and of output committed at a time."""

FATAL = (StorageFull, UsageError, Stopped, StageFailed)
"""Not a document's fault, and nothing a retry mends: the stage stops, what it held is given back."""


@dataclass(frozen=True, slots=True)
class Limits:
    """`group` documents, or `seconds` worth of work, commit together."""

    group: int = 64
    seconds: float = 1.0


class StageLoop:
    """Runs one planned stage. `stop` is called between documents and raises Stopped when it is time to go."""

    def __init__(
        self,
        plan: Plan,
        planned: PlannedStage,
        scope: Scope,
        *,
        work: Work,
        outputs: Outputs,
        artifacts: ArtifactStore,
        session: Session,
        limits: Limits,
        report: StageReport,
        observer: Observer,
        stop: Callable[[], None],
        total: int,
    ) -> None:
        self._plan, self._planned, self._scope = plan, planned, scope
        self._work, self._outputs, self._artifacts = work, outputs, artifacts
        self._session, self._limits = session, limits
        self._report, self._observer, self._stop, self._total = report, observer, stop, total
        self._key: StageKey = plan.key(planned.name)
        self._awaited = (planned.name, *(s.name for s in plan.topology.ancestors(planned.name)))
        self._inputs = Inputs(plan, planned, outputs, artifacts)
        self._good: dict[str, Task | None] = {}

    def run(self) -> set[str]:
        """Until no document of the batch is left for this stage and nobody else is at one.

        Answers for earlier stages that are due again, since outputs of theirs were lost. Raises StageFailed (outage)
        when the service is away: what was tried has failed, the rest stays pending.
        """
        while True:
            busy = self._work.busy(self._scope.batch, self._awaited)  # first: who commits meanwhile is found below
            if not self._work_off():
                if not busy:
                    return self._inputs.due
                self._stop()
                self._session.reap()
                time.sleep(WAIT_SECONDS)

    def _work_off(self) -> bool:
        """All that is due now. Whether there was anything."""
        progressed = False
        for wanted in self._groups(self._limits.group):
            self._stop()
            if group := self._work.claim(self._session.runner, self._key, wanted):
                progressed = True
                self._process(group)
        return progressed

    def _groups(self, size: int) -> Iterator[list[Claim]]:
        for page in self._pages():
            queue: Sequence[Claim] = page
            while queue:
                wanted, queue = next_group(queue, size)
                yield wanted

    def _pages(self) -> Iterator[list[Claim]]:
        """Who comes for the first time goes first: those who come again may be what nothing gets past."""
        for again in (False, True):
            after = 0
            while page := self._work.candidates(self._scope.batch, self._key, after):
                after = page[-1].job_id
                yield [claim for claim in page if (claim.token > 0) is again]

    def _process(self, group: list[Claim]) -> None:
        """Everything claimed is committed, failed or given back when this returns, however it returns."""
        held = {c.job_id: c for c in group}
        try:
            tasks = self._find(group, held)
            for part in self._parts(tasks):
                self._inputs.read(part)
                whole = self._whole(part, held)
                if self._planned.contract.arity == "many":
                    self._run_many(whole, held)
                else:
                    self._run_each(whole, partial(self._settle, held), self._stop)
                for task in part:
                    task.item = None  # the next part needs the room
        except ServiceAway as away:
            raise self._outage(away.error) from away
        finally:
            self._work.release(self._key, list(held.values()))

    def _whole(self, tasks: list[Task], held: dict[int, Claim]) -> list[Task]:
        """Those that have all of their inputs; of the others, what made the lost ones is due again."""
        if lost := [task for task in tasks if task.lost]:
            self._commit([], self._inputs.redo(lost), held)
        return [task for task in tasks if not task.lost]

    def _find(self, group: list[Claim], held: dict[int, Claim]) -> list[Task]:
        """Compute keys; commit what is there already; the rest are tasks."""
        tasks = self._whole(self._inputs.find(group), held)
        if self._planned.contract.sink:
            return tasks
        wanted = [(t.claim.document_id, t.key) for t in tasks]
        existing = self._outputs.existing(type_name(self._planned.contract.gives), wanted)
        found = [t for t in tasks if (t.claim.document_id, t.key) in existing]
        reused = self._load_reused(found, existing, held) if found else set()
        return [t for t in tasks if t.claim.job_id not in reused]

    def _load_reused(
        self, found: list[Task], existing: dict[tuple[int, bytes], Stored], held: dict[int, Claim]
    ) -> set[int]:
        """Outputs found by key: the jobs they serve. Chunks and documents are read for the columns kept about them;
        of which the bytes are lost, they are forgotten and made once more."""
        bodies: dict[int, tuple[bytes | None, bytes | None]] = {}
        if self._planned.contract.gives in (Document, list[Chunk]):
            bodies = self._outputs.bodies(existing.values())
        done, lost = [], []
        for task in found:
            stored = existing[task.claim.document_id, task.key]
            try:
                value = self._inputs.value(self._planned.contract.gives, stored, bodies) if bodies else None
            except ArtifactLost:
                lost.append(stored)
                continue
            done.append(Done(task.claim, stored, is_new=False, reused=True, attempts=0, **columns(value)))
        self._outputs.redo([], lost)
        self._commit(done, [], held)
        return {d.claim.job_id for d in done}

    def _parts(self, tasks: list[Task]) -> list[list[Task]]:
        """Tasks in runs whose inputs together stay within bounds."""
        parts: list[list[Task]] = []
        size = 0
        for task in tasks:
            weight = sum(s.size for s in task.sources.values())
            if not parts or size + weight > COMMIT_BYTES:
                parts.append([])
                size = 0
            parts[-1].append(task)
            size += weight
        return parts

    def _run_each(
        self, tasks: list[Task], settle: Callable[..., None], stop: Callable[[], None], lane: str = ""
    ) -> None:
        """One document at a time; what a second's work made commits together. Raises ServiceAway."""
        call = Call(self._planned, self._key, self._inputs, self._artifacts, stop, lane)
        search = Bisection[Task, Done](
            tasks, call, FATAL, self._good.get(lane), elsewhere=call.elsewhere, vouches=call.vouches
        )
        began, first, end = time.monotonic(), 0, 0
        away: ServiceAway | None = None
        try:
            for at in search.one_by_one():
                end = at + 1
                tasks[at].item = None
                size = sum(o.stored.size for o in search.outcomes[first:end] if isinstance(o, Done))
                enough = size >= COMMIT_BYTES or time.monotonic() - began >= self._limits.seconds
                if enough and not search.suspects:
                    settle(tasks[first:end], search.outcomes[first:end], None)
                    search.outcomes[first:end] = [None] * (end - first)
                    first, began = end, time.monotonic()
        except ServiceAway as error:
            away, end = error, min(end + 1, len(tasks))
            raise
        finally:
            self._good[lane] = search.good
            outcomes = [None if at in search.suspects else o for at, o in enumerate(search.outcomes[:end])][first:]
            settle(tasks[first:end], outcomes, away)

    def _run_many(self, tasks: list[Task], held: dict[int, Claim]) -> None:
        """The group in one call, bisected when that fails. Raises ServiceAway."""
        call = Call(self._planned, self._key, self._inputs, self._artifacts, self._stop)
        search = Bisection[Task, Done](tasks, call, FATAL, self._good.get(""))
        try:
            search.run()
        except ServiceAway as away:
            self._settle(held, tasks, search.outcomes, away)
            raise
        finally:
            self._good[""] = search.good
        self._settle(held, tasks, search.outcomes)

    def _settle(
        self,
        held: dict[int, Claim],
        tasks: Sequence[Task],
        outcomes: Sequence[Done | Poisoned | None],
        away: ServiceAway | None = None,
    ) -> None:
        """Commit what became of tasks. Who was tried in vain because the service is `away` has failed."""
        done = [outcome for outcome in outcomes if isinstance(outcome, Done)]
        failed: list[Failed] = []
        for task, outcome in zip(tasks, outcomes, strict=True):
            if isinstance(outcome, Poisoned):
                if isinstance(outcome.error, StorageFull | Fenced):
                    self._commit(done, failed, held)
                    self._refused(task, outcome, held)
                    done, failed = [], []
                    continue
                # it may be the rate, whatever got through beside it
                later = outcome.elsewhere or isinstance(outcome.error, RateLimited)
                failed.append(failure(task, outcome.error, outcome.cause, terminal=not later))
            elif outcome is None and away is not None and not away.untried:
                failed.append(failure(task, away.error, away, terminal=False))
        self._commit(done, failed, held)

    def _refused(self, task: Task, result: Poisoned, held: dict[int, Claim]) -> None:
        """A sink would not take it. A newer generation is no failure, unless this ledger knows of none."""
        if isinstance(result.error, StorageFull):
            raise result.error from result.cause
        gives_way = self._work.give_way(self._key.name, task.claim)
        if not gives_way and self._work.still_held(self._key.name, [task.claim]):
            place = getattr(self._planned.implementation, "place", "the store")
            raise StageFailed(
                f"{place} holds a newer generation of {task.claim.source_id} than this ledger knows: another wrote it",
                reason="store-newer",
                next_step=f"move {place} away with its -wal and -shm, or set PENSTOCK_INDEX_PATH; then: penstock retry",
            )
        held.pop(task.claim.job_id, None)
        self._report.fenced += 1

    def _commit(self, done: list[Done], failed: list[Failed], held: dict[int, Claim]) -> None:
        if not done and not failed:
            return
        committed = self._work.commit(self._key, done, failed)
        for claim in (*(d.claim for d in done), *(f.claim for f in failed)):
            held.pop(claim.job_id, None)
        fenced = {c.job_id for c in committed.fenced}
        self._report.fenced += len(fenced)
        for d in done:
            if d.claim.job_id not in fenced:
                self._report.done += not d.reused
                self._report.reused += d.reused
        for f in failed:
            if f.claim.job_id not in fenced:
                self._report.dead += f.terminal
                self._report.failed += not f.terminal
                self._report.add_failure(
                    Failure(
                        f.claim.source_id,
                        f.claim.doc_id,
                        self._planned.name,
                        "dead" if f.terminal else "failed",
                        f.error.reason,
                        f.error.message,
                        f.error.next_step,
                    )
                )
        r = self._report
        self._observer.advanced(self._planned.name, r.before + r.done + r.reused + r.dead + r.failed, self._total)

    def _outage(self, error: TransientError) -> StageFailed:
        """In the service's own words, with its own advice where it has any."""
        advice = None if error.next_step == TransientError.next_step else error.next_step
        if error.retry_after:
            advice = f"it asks to be left alone for {ceil(error.retry_after)} s; after that: {error.next_step}"
        return StageFailed(f"{self._planned.name}: {error.message}", reason="outage", next_step=advice)
