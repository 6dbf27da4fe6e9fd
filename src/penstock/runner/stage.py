"""One stage over one batch: claim a group, find or make its outputs, commit them, until nothing is left to claim."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any, get_args, get_origin

import orjson

from penstock.errors import (
    CircuitOpen,
    Fenced,
    InvalidOutput,
    PenstockError,
    StageFailed,
    Stopped,
    StorageFull,
    TransientError,
    UsageError,
)
from penstock.ir import Chunk, Document, StageContext
from penstock.ir.codec import decode, encode
from penstock.ledger.work import Claim, Done, Failed, StageKey, Stored, Work, next_group
from penstock.pipelines.catalogue import type_name
from penstock.resilience.classify import classify
from penstock.resilience.guard import Guard
from penstock.runner.bisect import Bisection, Poisoned, ServiceAway
from penstock.runner.ingest import INLINE_BYTES, WAIT_SECONDS, Scope
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


@dataclass(slots=True)
class _Task:
    """A claimed document whose output has to be made."""

    claim: Claim
    context: StageContext
    key: bytes
    sources: dict[str, Stored]
    item: Any = None


class StageLoop:
    """Runs one planned stage. `stop` is called between documents and raises Stopped when it is time to go."""

    def __init__(
        self,
        plan: Plan,
        planned: PlannedStage,
        scope: Scope,
        *,
        work: Work,
        artifacts: ArtifactStore,
        session: Session,
        limits: Limits,
        report: StageReport,
        observer: Observer,
        stop: Callable[[], None],
        total: int,
    ) -> None:
        self._plan, self._planned, self._scope = plan, planned, scope
        self._work, self._artifacts, self._session, self._limits = work, artifacts, session, limits
        self._report, self._observer, self._stop, self._total = report, observer, stop, total
        self._key: StageKey = plan.key(planned.name)
        self._awaited = (planned.name, *(s.name for s in plan.topology.ancestors(planned.name)))

    def run(self) -> None:
        """Until no document of the batch is left for this stage and nobody else is at one.

        Raises StageFailed (outage) when the service is away: what was tried has failed, the rest stays pending.
        """
        while True:
            busy = self._work.busy(self._scope.batch, self._awaited)  # first: who commits meanwhile is found below
            progressed = False
            after = 0
            while page := self._work.candidates(self._scope.batch, self._key, after):
                after = page[-1].job_id
                queue: Sequence[Claim] = page
                while queue:
                    self._stop()
                    wanted, queue = next_group(queue, self._limits.group)
                    group = self._work.claim(self._session.runner, self._key, wanted)
                    if group:
                        progressed = True
                        self._process(group)
            if not progressed:
                if not busy:
                    return
                self._stop()
                self._session.reap()
                time.sleep(WAIT_SECONDS)

    def _process(self, group: list[Claim]) -> None:
        """Everything claimed is committed, failed or given back when this returns, however it returns."""
        held = {c.job_id: c for c in group}
        try:
            tasks = self._find(group, held)
            for part in self._parts(tasks):
                self._load(part)
                if self._planned.contract.arity == "many":
                    self._run_many(part, held)
                else:
                    self._run_each(part, held)
                for task in part:
                    task.item = None  # the next part needs the room
        finally:
            self._work.release(self._key, list(held.values()))

    def _find(self, group: list[Claim], held: dict[int, Claim]) -> list[_Task]:
        """Compute keys; commit what is there already; the rest are tasks."""
        fields = self._planned.stage.inputs
        stored = self._work.inputs(sorted(set(fields.values())), group)
        tasks = []
        for claim in group:
            sources = {f: s for f, name in fields.items() if (s := stored.get((claim.job_id, name))) is not None}
            context = StageContext(
                claim.tenant,
                claim.doc_id,
                claim.correlation_id,
                {"generation": claim.generation, "token": claim.order, "pipeline": self._plan.topology.name},
            )
            tasks.append(_Task(claim, context, self._output_key(claim, sources), sources))
        if self._planned.contract.sink:
            return tasks
        wanted = [(t.claim.document_id, t.key) for t in tasks]
        existing = self._work.existing(type_name(self._planned.contract.gives), wanted)
        found = [t for t in tasks if (t.claim.document_id, t.key) in existing]
        if found:
            self._load_reused(found, existing, held)
        return [t for t in tasks if (t.claim.document_id, t.key) not in existing]

    def _load_reused(
        self, found: list[_Task], existing: dict[tuple[int, bytes], Stored], held: dict[int, Claim]
    ) -> None:
        """Outputs found by key. Chunks and documents are read for the columns kept about them."""
        bodies: dict[int, tuple[bytes | None, bytes | None]] = {}
        if self._planned.contract.gives in (Document, list[Chunk]):
            bodies = self._work.bodies(existing.values())
        done = []
        for task in found:
            stored = existing[task.claim.document_id, task.key]
            value = None
            if bodies:
                head, body = bodies[stored.id]
                value = decode(self._planned.contract.gives, head, self._body(stored, body))
            done.append(Done(task.claim, stored, is_new=False, reused=True, attempts=0, **_columns(value)))
        self._commit(done, [], held)

    def _parts(self, tasks: list[_Task]) -> list[list[_Task]]:
        """Tasks in runs whose inputs together stay within bounds."""
        parts: list[list[_Task]] = []
        size = 0
        for task in tasks:
            weight = sum(s.size for s in task.sources.values())
            if not parts or size + weight > COMMIT_BYTES:
                parts.append([])
                size = 0
            parts[-1].append(task)
            size += weight
        return parts

    def _load(self, tasks: list[_Task]) -> None:
        contract = self._planned.contract
        bodies = self._work.bodies(s for t in tasks for s in t.sources.values())
        kinds = {take.field: take.type for take in contract.takes}
        gate = {f: self._plan.topology.stage(name) for f, name in self._planned.stage.inputs.items()}
        for task in tasks:
            values = {}
            for name, stored in task.sources.items():
                head, body = bodies[stored.id]
                values[name] = decode(gate[name].gives or kinds[name], head, self._body(stored, body))
            missing = [t.field for t in contract.takes if t.field not in values and not t.optional]
            if missing:
                lacking = f"the ledger lacks the {', '.join(missing)} of {task.claim.source_id}"
                raise StageFailed(lacking, reason="ledger")
            task.item = contract.item(**values) if contract.item else next(iter(values.values()))

    def _run_each(self, tasks: list[_Task], held: dict[int, Claim]) -> None:
        """One document at a time; what a second's work made commits together."""
        execute, guard = self._planned.implementation.execute, self._planned.guard
        done: list[Done] = []
        failed: list[Failed] = []
        began, size = time.monotonic(), 0
        for task in tasks:
            try:
                self._stop()
                attempts = 1
                if guard is None:
                    value = execute(task.context, task.item)
                else:
                    value, attempts = guard.call(partial(execute, task.context, task.item))
                done.append(self._done(task, value, attempts))
                size += done[-1].stored.size
            except (*FATAL, CircuitOpen) as error:
                self._commit(done, failed, held)
                if isinstance(error, CircuitOpen):
                    raise self._outage(error) from error
                raise
            except Exception as cause:
                known = classify(cause)
                if isinstance(known, StorageFull):
                    self._commit(done, failed, held)
                    raise known from cause
                failed.append(_failure(task, known, cause))
                if isinstance(known, TransientError):
                    self._commit(done, failed, held)
                    raise self._outage(known) from cause
            task.item = None
            if time.monotonic() - began >= self._limits.seconds or size >= COMMIT_BYTES:
                self._commit(done, failed, held)
                done, failed, began, size = [], [], time.monotonic(), 0
        self._commit(done, failed, held)

    def _run_many(self, tasks: list[_Task], held: dict[int, Claim]) -> None:
        """The group in one call, bisected when that fails."""
        guard, attempts = self._planned.guard, 1

        def call(part: Sequence[_Task]) -> list[Done]:
            nonlocal guard, attempts
            self._stop()
            pairs = [(t.context, t.item) for t in part]
            if guard is None:
                outputs = self._planned.implementation.execute(pairs)
            else:
                # the breaker hears of the group, not of the search for poison in it, whose failures prove nothing
                through, guard = guard, _without_breaker(guard)
                outputs, attempts = through.call(lambda: self._planned.implementation.execute(pairs))
            if len(outputs) != len(part):
                raise InvalidOutput(f"{len(part)} documents in, {len(outputs)} outputs out")
            return [self._done(t, value, attempts) for t, value in zip(part, outputs, strict=True)]

        bisection = Bisection[_Task, Done](tasks, call, FATAL)
        try:
            bisection.run()
        except ServiceAway as away:
            self._settle(tasks, bisection.outcomes, held, None if isinstance(away.error, CircuitOpen) else away)
            raise self._outage(away.error) from away
        self._settle(tasks, bisection.outcomes, held)

    def _settle(
        self,
        tasks: list[_Task],
        outcomes: Sequence[Done | Poisoned | None],
        held: dict[int, Claim],
        away: ServiceAway | None = None,
    ) -> None:
        """Commit what became of a group. Who was tried in vain because the service is `away` has failed."""
        done = [outcome for outcome in outcomes if isinstance(outcome, Done)]
        failed: list[Failed] = []
        for task, outcome in zip(tasks, outcomes, strict=True):
            if isinstance(outcome, Poisoned):
                if isinstance(outcome.error, StorageFull | Fenced):
                    self._commit(done, failed, held)
                    self._refused(task, outcome, held)
                    done, failed = [], []
                    continue
                failed.append(_failure(task, outcome.error, outcome.cause, poison=True))
            elif outcome is None and away is not None:
                failed.append(_failure(task, away.error, away))
        self._commit(done, failed, held)

    def _refused(self, task: _Task, result: Poisoned, held: dict[int, Claim]) -> None:
        """A sink would not take it. A newer generation is no failure, unless this ledger knows of none."""
        if isinstance(result.error, StorageFull):
            raise result.error from result.cause
        if self._work.still_held(self._key.name, [task.claim]):
            raise StageFailed(
                f"the store holds a newer generation of {task.claim.source_id} than this ledger knows",
                reason="store-newer",
                next_step="the store belongs to another ledger: name another one, or remove its file, then run again",
            )
        held.pop(task.claim.job_id, None)
        self._report.fenced += 1

    def _done(self, task: _Task, value: Any, attempts: int) -> Done:
        """Check an output against its contract and give it the form in which it rests. Raises InvalidOutput."""
        contract = self._planned.contract
        wrong = _mismatch(contract.gives, value) or (contract.check and contract.check(task.item, value))
        if wrong:
            raise InvalidOutput(f"{self._planned.definition['implementation']}: {wrong}")
        if contract.sink and not value.accepted:
            raise Fenced(f"the store holds a newer generation of {task.claim.source_id}")
        head, body = encode(contract.gives, value)
        digest = sha256(body).digest()
        stored = Stored(0, task.claim.document_id, task.key, digest, type_name(contract.gives), len(body))
        if len(body) > INLINE_BYTES:
            self._artifacts.put(body)
        kept = None if len(body) > INLINE_BYTES else body
        return Done(task.claim, stored, head, kept, attempts=attempts, **_columns(value))

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

    def _output_key(self, claim: Claim, sources: dict[str, Stored]) -> bytes:
        """What a pure output is found again by: tenant and document, the stage as it is, and its inputs' hashes."""
        inputs = sorted((field, stored.hash.hex()) for field, stored in sources.items())
        parts: list[object] = [claim.tenant, claim.doc_id, self._planned.hash, inputs]
        if self._planned.contract.sink:
            parts += [claim.generation, claim.order, self._key.store]
        return sha256(orjson.dumps(parts)).digest()

    def _body(self, stored: Stored, body: bytes | None) -> bytes:
        return body if body is not None else self._artifacts.get(stored.hash.hex())

    def _outage(self, error: TransientError) -> StageFailed:
        return StageFailed(f"{self._planned.name}: {error.message}", reason="outage")


def _failure(task: _Task, error: PenstockError, cause: BaseException, *, poison: bool = False) -> Failed:
    """A transient error is terminal only for poison: an item that fails alone while others pass."""
    detail = "".join(traceback.format_exception(cause))[-8000:] if error.reason == "unexpected" else None
    first = next(iter(task.sources.values()), None)
    return Failed(
        task.claim,
        error,
        attempts=getattr(error, "attempts", 1),
        input=first.key if first else None,
        detail=detail,
        terminal=poison or not isinstance(error, TransientError),
    )


def _without_breaker(guard: Guard) -> Guard:
    if guard.breaker is None:
        return guard
    policy = guard.policy.model_copy(update={"circuit_breaker": None})
    return Guard(policy, guard.name, host=guard.host, limits=guard.limits, on_attempt=guard.on_attempt)


def _columns(value: Any) -> dict[str, Any]:
    """What the ledger keeps of an output in columns of its own: titles and chunks, for looking things up."""
    if isinstance(value, Document):
        return {"title": value.title}
    if isinstance(value, list) and value and isinstance(value[0], Chunk):
        return {"chunk_rows": [(c.chunk_id, c.start, c.end) for c in value]}
    return {}


def _mismatch(kind: Any, value: Any) -> str | None:
    outer = get_origin(kind) or kind
    if not isinstance(value, outer):
        return f"gave {type(value).__name__} where its contract says {type_name(kind)}"
    if outer is list and (arguments := get_args(kind)):
        wrong = next((v for v in value if not isinstance(v, arguments[0])), None)
        if wrong is not None:
            return f"gave a list with {type(wrong).__name__} in it where its contract says {type_name(kind)}"
    return None
