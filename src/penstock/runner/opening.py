"""Opening a run: which batch it is about, and what has changed since it, or its pipeline, was last at work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol
from uuid import uuid4

import orjson

from penstock.errors import StageFailed, UsageError
from penstock.ir import Origin, RawPayload
from penstock.ir.codec import decode
from penstock.ir.context import check_tenant
from penstock.ledger.batches import Batch
from penstock.ledger.ledger import Ledger
from penstock.ledger.runs import Run
from penstock.runner.ingest import Ingest, Scope
from penstock.runner.plan import Plan, PlannedStage, differences
from penstock.runner.session import Session

Retire = Literal["none", "some", "all"]

REFETCH = 500
"""Failed documents that a retry or a re-execution reads again one by one; for more, list the source again."""


class Refetcher(Protocol):
    """A source that can read one place again."""

    def refetch(self, origin: Origin) -> RawPayload | None: ...


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What a run is asked to do: list `query` from `source`, or work on a `batch` that the ledger has.

    `full`: everything is listed, also by a source that could tell what changed since the last time; where something is
    to be retired, it is in any case.
    """

    source: str = "files"
    query: Mapping[str, Any] = field(default_factory=dict)
    tenant: str = "default"
    batch: int | None = None
    retire: Retire = "none"
    """What leaves index and graph when the listing is whole: nothing; what it gave before and no longer does, if that
    is no more than a tenth; all of that."""
    full: bool = False

    def __post_init__(self) -> None:
        """Raises UsageError for a tenant's name of another form."""
        check_tenant(self.tenant)
        object.__setattr__(self, "full", self.full or self.retire != "none")


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A run under way: its scope, and what has changed since it was last tried."""

    run_id: str
    scope: Scope
    plan: Plan
    notes: tuple[str, ...] = ()
    retire: Retire = "none"


def never() -> None:
    """The default `stop`: nobody asks."""


class Opener:
    """Finds or makes the scope of a run, in the ledger."""

    def __init__(self, ledger: Ledger, session: Session, ingest: Ingest, sources: Mapping[str, Refetcher]) -> None:
        self._ledger, self._session, self._ingest, self._sources = ledger, session, ingest, sources

    def open(
        self,
        plan: Plan,
        request: RunRequest,
        run_id: str | None = None,
        root_run_id: str | None = None,
        stop: Callable[[], None] = never,
    ) -> OpenRun:
        """See `Runner.open`."""
        run_id = run_id or uuid4().hex
        root_run_id = root_run_id or run_id
        known = self._ledger.runs.get(run_id)
        if known is not None:
            return replace(self._found(plan, known), retire=request.retire)
        self._session.reap()
        before = self._ledger.runs.newest(root_run_id)
        if before is not None:
            return self._reopen(plan, before, run_id, root_run_id, stop)
        batch = self._batch(plan, request)
        scope = _scope_of(batch)
        notes = self._refetch(plan, scope, stop) if batch.kind == "retry" else ()
        lost = self._join_lost(plan, batch)
        notes = (*notes, *self._rebase(plan, scope), *lost)
        self._record(plan, run_id, root_run_id, batch.id, notes)
        return OpenRun(run_id, scope, plan, notes, request.retire)

    def _found(self, plan: Plan, known: Run) -> OpenRun:
        """A later op of a run: it must find the topology that the first one pinned."""
        if known.digest != plan.digest:
            raise StageFailed(
                f"pipeline {plan.topology.name!r} was changed while this run was under way"
                + "".join(f"; {line}" for line in differences(known.topology, plan.summary())),
                reason="topology-changed",
                next_step="re-execute the run: it takes the pipeline as it is now, and redoes only what changed",
            )
        self._session.begin(known.batch_id)
        scope = _scope_of(self._ledger.batches.batch(known.batch_id))
        return OpenRun(known.run_id, replace(scope, again=known.run_id != known.root_run_id), plan)

    def _batch(self, plan: Plan, request: RunRequest) -> Batch:
        name, tenant, source = plan.topology.name, request.tenant, request.source
        if request.batch is None:
            asked, begun = canonical(request.query), None
            ours = self._ledger.submissions
            if getattr(self._sources.get(source), "resumable", False):
                begun = ours.unfinished(tenant=tenant, pipeline=name, source=source, request=asked)
            if begun and request.full and self._ledger.watermarks.changes_only(begun.submission_id or 0):
                begun = None
            return (
                begun or ours.submit(tenant=tenant, pipeline=name, source=source, request=asked, full=request.full)[1]
            )
        batch = self._ledger.batches.batch(request.batch)
        if batch.pipeline != name:
            raise UsageError(f"batch {batch.id} is for pipeline {batch.pipeline!r}, not {name!r}")
        return batch

    def _reopen(self, plan: Plan, before: Run, run_id: str, root_run_id: str, stop: Callable[[], None]) -> OpenRun:
        batch = self._ledger.batches.batch(before.batch_id)
        scope = _scope_of(batch)
        notes = [f"changed since: {line}" for line in differences(before.topology, plan.summary())]
        kept = self._refetch(plan, scope, stop)
        again = self._ledger.batches.new_round(scope.batch)
        if again:
            notes.insert(0, f"{again} documents that had failed are tried again")
        notes += [*kept, *self._join_lost(plan, batch)]
        self._rebase(plan, scope)
        self._record(plan, run_id, root_run_id, scope.batch, tuple(notes))
        return OpenRun(run_id, replace(scope, again=True), plan, tuple(notes))

    def _refetch(self, plan: Plan, scope: Scope, stop: Callable[[], None]) -> tuple[str, ...]:
        """Read again, from their source, the documents that failed: they may have been mended there.

        A note tells for how many that was not done, since there are too many.
        """
        listing = _listing(plan)
        if listing is None:
            return ()
        lost = self._ledger.reports.lost_documents(scope.batch)
        for source_name, _, row, content in lost[:REFETCH]:
            stop()
            source = self._sources.get(source_name)
            stored = self._ledger.outputs.existing("RawPayload", [(row, content)]).values()
            heads = self._ledger.outputs.bodies(stored).values()
            if source is None or not heads:
                continue
            origin = decode(RawPayload, next(iter(heads))[0], b"").origin
            payload = source.refetch(origin)
            if payload is not None and bytes.fromhex(payload.sha256) != content:
                self._ingest.take(plan, listing, scope, source_name, [payload])
        if len(lost) <= REFETCH:
            return ()
        return (
            f"{len(lost) - REFETCH} documents are tried with the bytes kept: more than {REFETCH} are read anew "
            "by listing their source again",
        )

    def _rebase(self, plan: Plan, scope: Scope) -> tuple[str, ...]:
        """Documents of the batch that were taken for another pipeline than today's get a new generation."""
        listing = _listing(plan)
        if listing is None:
            return ()
        route = self._ingest.route(plan, listing, scope.tenant, "", correlation_id=uuid4().hex)
        risen = self._ledger.intake.rebase(route, scope.batch)
        redone = "1 document is redone" if risen == 1 else f"{risen} documents are redone"
        return (f"{redone} where the pipeline changed",) if risen else ()

    def _join_lost(self, plan: Plan, batch: Batch) -> tuple[str, ...]:
        """Documents whose index, say, was deleted or replaced are this run's business, whatever else it is about.

        Of a sliced submission the first slice takes them.
        """
        if batch.submission_id is not None and self._ledger.submissions.first_batch(batch.submission_id) != batch.id:
            return ()
        written = {name: store for name in plan.stages if (store := plan.key(name).store) is not None}
        notes = [
            f"no stage {name!r} any more: what it wrote of these documents stays as it is, and grows old"
            for name in self._ledger.stores.forsaken(tenant=batch.tenant, pipeline=batch.pipeline, written=written)
        ]
        for name, store in written.items():
            lost = self._ledger.stores.join_lost(
                batch.id,
                tenant=batch.tenant,
                pipeline=batch.pipeline,
                stage=name,
                uuid=store,
                fingerprint=plan.fingerprint,
            )
            if lost:
                what = plan.stages[name].contract.name.removesuffix("Stage").lower()
                notes.append(f"{lost} documents come to {name} once more: the {what} they were written to is gone")
        return tuple(notes)

    def _record(self, plan: Plan, run_id: str, root_run_id: str, batch: int, notes: tuple[str, ...]) -> None:
        run = Run(run_id, root_run_id, batch, plan.topology.name, plan.digest, plan.summary(), "\n".join(notes) or None)
        self._ledger.runs.open(run, self._session.runner)
        self._session.begin(batch)


def canonical(query: Mapping[str, Any]) -> str:
    """A request as it is kept and compared: JSON with sorted keys."""
    return orjson.dumps(dict(query), option=orjson.OPT_SORT_KEYS, default=str).decode()


def _listing(plan: Plan) -> PlannedStage | None:
    return next((p for p in plan.stages.values() if p.stage.contract and p.contract.arity == "listing"), None)


def _scope_of(batch: Batch) -> Scope:
    return Scope(batch.id, batch.submission_id, batch.tenant, batch.pipeline)
