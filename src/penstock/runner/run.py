"""The runner: opens a run, takes it through its stages one at a time, and says how it ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol
from uuid import uuid4

import orjson

from penstock.errors import PenstockError, StageFailed, UsageError
from penstock.ir import Origin, RawPayload
from penstock.ir.codec import decode
from penstock.ledger.ledger import Ledger
from penstock.ledger.runs import Run
from penstock.pipelines.topology import Stage, Topology
from penstock.resilience.guard import Guard
from penstock.runner.gate import run_gate
from penstock.runner.ingest import Ingest, Scope
from penstock.runner.plan import Builder, Plan, compile_plan, differences
from penstock.runner.report import Observer, RunReport, Silent, StageReport
from penstock.runner.session import Session
from penstock.runner.stage import Limits, StageLoop
from penstock.stores.artifacts import ArtifactStore

REFETCH = 500
"""Failed documents that a re-execution reads again one by one; for more, list the source again (re-execute all)."""


class Refetcher(Protocol):
    """A source that can read one place again."""

    def refetch(self, origin: Origin) -> RawPayload | None: ...


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What a run is asked to do: list `query` from `source`, or work on a `batch` that the ledger has."""

    source: str = "files"
    query: Mapping[str, Any] = field(default_factory=dict)
    tenant: str = "default"
    batch: int | None = None


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A run under way: its scope, and what has changed since it was last tried."""

    run_id: str
    scope: Scope
    plan: Plan
    notes: tuple[str, ...] = ()


def never() -> None:
    """The default `stop`: nobody asks."""


class Runner:
    """One for a process. `close()` gives back what is leased."""

    def __init__(
        self,
        ledger: Ledger,
        artifacts: ArtifactStore,
        *,
        build: Builder,
        guard: Callable[[Stage], Guard | None],
        sources: Mapping[str, Refetcher],
        limits: Limits | None = None,
        lease_seconds: float = 60.0,
    ) -> None:
        self._ledger = ledger
        self._artifacts = artifacts
        self._build, self._guard, self._sources = build, guard, sources
        self._limits = limits or Limits()
        self.session = Session(ledger.leases, lease_seconds)
        self._ingest = Ingest(ledger.batches, ledger.intake, artifacts, self.session)
        self._plans: dict[str, Plan] = {}

    def close(self) -> None:
        self.session.close()

    def plan(self, topology: Topology) -> Plan:
        """The topology made ready, once for each of its digests."""
        if topology.digest not in self._plans:
            self._ledger.open()
            self._plans[topology.digest] = compile_plan(topology, self._build, self._guard, self._ledger.definitions)
        return self._plans[topology.digest]

    def open(
        self, topology: Topology, request: RunRequest, *, run_id: str | None = None, root_run_id: str | None = None
    ) -> OpenRun:
        """The run's scope; made by its first op, found again by every later one and by re-executions.

        A later op of the same run must find the topology the first one pinned: raises StageFailed
        (topology-changed) otherwise. A re-execution takes today's topology, tries failed and dead documents again
        (those whose place in the source now holds other bytes with these), and notes what changed.
        """
        plan = self.plan(topology)
        run_id = run_id or uuid4().hex
        root_run_id = root_run_id or run_id
        known = self._ledger.runs.get(run_id)
        if known is not None:
            if known.digest != plan.digest:
                raise StageFailed(
                    f"pipeline {topology.name!r} was changed while this run was under way"
                    + "".join(f"; {line}" for line in differences(known.topology, plan.summary())),
                    reason="topology-changed",
                    next_step="re-execute the run: it takes the pipeline as it is now, and redoes only what changed",
                )
            self._ledger.runs.taken_by(known.batch_id, self.session.runner)
            scope = self._scope(known.batch_id)
            return OpenRun(run_id, replace(scope, again=run_id != known.root_run_id), plan)
        self.session.reap()
        before = self._ledger.runs.newest(root_run_id)
        if before is not None:
            return self._reopen(topology, plan, before, run_id, root_run_id)
        if request.batch is not None:
            batch = self._ledger.batches.batch(request.batch)
            if batch.pipeline != topology.name:
                raise UsageError(f"batch {batch.id} is for pipeline {batch.pipeline!r}, not {topology.name!r}")
        else:
            _, batch, _ = self._ledger.batches.submit(
                tenant=request.tenant,
                pipeline=topology.name,
                source=request.source,
                request=canonical(request.query),
            )
        notes = self._rebase(plan, self._scope(batch.id))
        self._record(plan, run_id, root_run_id, batch.id, notes)
        return OpenRun(run_id, self._scope(batch.id), plan, notes)

    def run_stage(
        self, run: OpenRun, name: str, observer: Observer | None = None, stop: Callable[[], None] = never
    ) -> StageReport:
        """One stage for all documents of the run whose turn it is.

        Raises StageFailed when the service is away, when not one document got through, or when the pipeline forbids
        dead letters and there are some; Stopped when `stop` raises it. The error carries the report as `report`.
        """
        planned = run.plan.stages[name]
        report = StageReport(name)
        observer = observer or Silent()
        began = time.monotonic()
        try:
            if planned.stage.gate is not None:
                run_gate(self._ledger.gates, planned.stage, run.scope, report, observer)
            elif planned.contract.arity == "listing":
                self._ingest.run(run.plan, planned, run.scope, report, observer, stop)
            else:
                store = planned.implementation.store_id() if planned.contract.sink else None
                report.before = self._ledger.reports.passed(run.scope.batch, name, store)
                StageLoop(
                    run.plan,
                    planned,
                    run.scope,
                    work=self._ledger.work,
                    artifacts=self._artifacts,
                    session=self.session,
                    limits=self._limits,
                    report=report,
                    observer=observer,
                    stop=stop,
                    total=self._ledger.batches.size(run.scope.batch),
                ).run()
                if report.fenced:
                    report.note(
                        f"{name}: {report.fenced} document{'s' if report.fenced != 1 else ''} taken over by another "
                        "run while this one was held up; what this one made of them was dropped"
                    )
                self._judge(run, report)
        except PenstockError as error:
            error.report = report  # type: ignore[attr-defined]
            raise
        finally:
            report.seconds = time.monotonic() - began
        model = getattr(planned.implementation, "model", None)
        if model == "none":
            report.note("no embedding model: keyword search only (set PENSTOCK_EMBED_URL and PENSTOCK_EMBED_MODEL)")
        return report

    def finish_if_through(self, run: OpenRun, stages: list[StageReport]) -> RunReport | None:
        """`finish`, for a caller who can't know whether these were the run's last stages.

        None while documents of the batch are still on their way, or when another stage of the run has closed it.
        """
        self._ledger.work.settle(run.scope.batch, list(run.plan.stages))
        open_still = self._ledger.batches.batch(run.scope.batch).status == "started"
        if not open_still or self._ledger.reports.statuses(run.scope.batch).get("pending"):
            return None
        return self.finish(run, stages)

    def finish(self, run: OpenRun, stages: list[StageReport], error: PenstockError | None = None) -> RunReport:
        """Close the run's batch and say how it ended."""
        self._ledger.work.settle(run.scope.batch, list(run.plan.stages))
        statuses = self._ledger.reports.statuses(run.scope.batch)
        lost = statuses.get("dead", 0) + statuses.get("failed", 0)
        unfinished = lost + statuses.get("pending", 0)
        if error is None and statuses.get("dead") and run.plan.topology.on_dead_letter == "fail":
            forbidden = f"{statuses['dead']} dead letters, and the pipeline says on_dead_letter: fail"
            error = StageFailed(forbidden, reason="dead-letters")
        outcome = "failed" if error is not None else "partial" if unfinished else "complete"
        self._ledger.batches.close(run.scope.batch, outcome, error.message if error else "")
        return RunReport(
            outcome=outcome,
            documents=sum(statuses.values()) - statuses.get("superseded", 0),
            statuses=statuses,
            stages=stages,
            notes=[*run.notes, *(n for s in stages for n in s.notes)],
            error=error.message if error else "",
        )

    def run(
        self,
        topology: Topology,
        request: RunRequest,
        observer: Observer | None = None,
        stop: Callable[[], None] = never,
    ) -> RunReport:
        """All stages in turn, without Dagster.

        A stage that gives up ends the run, and the report says so. Raises Stopped, StorageFull, UsageError and so on.
        """
        run = self.open(topology, request)
        reports: list[StageReport] = []
        closed: set[str] = set()
        for stage in topology.stages:
            if closed & set(stage.depends_on):
                closed.add(stage.name)
                continue
            try:
                reports.append(self.run_stage(run, stage.name, observer, stop))
            except StageFailed as error:
                reports.append(error.report)  # type: ignore[attr-defined]
                return self.finish(run, reports, error)
            except PenstockError as error:
                self.finish(run, reports, error)
                raise
            if stage.gate is not None and reports[-1].before == 0:
                closed.add(stage.name)
        return self.finish(run, reports)

    def _judge(self, run: OpenRun, report: StageReport) -> None:
        lost = report.dead + report.failed
        if lost and not self._ledger.reports.passed(run.scope.batch, report.stage):
            first = report.failures[0]
            raise StageFailed(
                f"{report.stage}: not one of {lost} documents got through; "
                f"the first, {first.source_id}: {first.message}",
                reason="nothing-through",
                next_step=first.next_step,
            )
        if report.dead and run.plan.topology.on_dead_letter == "fail":
            first = report.failures[0]
            raise StageFailed(
                f"{report.stage}: {report.dead} dead letters, and the pipeline says on_dead_letter: fail; "
                f"the first, {first.source_id}: {first.message}",
                reason="dead-letters",
                next_step=first.next_step,
            )

    def _reopen(self, topology: Topology, plan: Plan, before: Run, run_id: str, root_run_id: str) -> OpenRun:
        scope = self._scope(before.batch_id)
        self._refetch(plan, scope)
        again = self._ledger.batches.new_round(scope.batch)
        self._rebase(plan, scope)
        notes = tuple(f"changed since: {line}" for line in differences(before.topology, plan.summary()))
        if again:
            notes = (f"{again} documents that had failed are tried again", *notes)
        self._record(plan, run_id, root_run_id, scope.batch, notes)
        return OpenRun(run_id, replace(scope, again=True), plan, notes)

    def _refetch(self, plan: Plan, scope: Scope) -> None:
        """Read again, from their source, the documents that failed: they may have been mended there."""
        listing = next((p for p in plan.stages.values() if p.stage.contract and p.contract.arity == "listing"), None)
        if listing is None:
            return
        lost = self._ledger.reports.lost_documents(scope.batch)
        for source_name, _, row, content in lost[:REFETCH]:
            source = self._sources.get(source_name)
            stored = self._ledger.work.existing("RawPayload", [(row, content)]).values()
            heads = self._ledger.work.bodies(stored).values()
            if source is None or not heads:
                continue
            origin = decode(RawPayload, next(iter(heads))[0], b"").origin
            payload = source.refetch(origin)
            if payload is not None and bytes.fromhex(payload.sha256) != content:
                self._ingest.take(plan, listing, scope, source_name, [payload])

    def _rebase(self, plan: Plan, scope: Scope) -> tuple[str, ...]:
        """Documents of the batch that were taken under another fingerprint get a new generation."""
        listing = next((p for p in plan.stages.values() if p.stage.contract and p.contract.arity == "listing"), None)
        if listing is None:
            return ()
        route = self._ingest.route(plan, listing, scope.tenant, "", correlation_id=uuid4().hex)
        risen = self._ledger.intake.rebase(route, scope.batch)
        return (f"{risen} documents are redone where the pipeline changed",) if risen else ()

    def _record(self, plan: Plan, run_id: str, root_run_id: str, batch: int, notes: tuple[str, ...]) -> None:
        run = Run(run_id, root_run_id, batch, plan.topology.name, plan.digest, plan.summary(), "\n".join(notes) or None)
        self._ledger.runs.open(run, self.session.runner)

    def _scope(self, number: int) -> Scope:
        batch = self._ledger.batches.batch(number)
        return Scope(batch.id, batch.submission_id, batch.tenant, batch.pipeline)


def canonical(query: Mapping[str, Any]) -> str:
    """A request as it is kept and compared: JSON with sorted keys."""
    return orjson.dumps(dict(query), option=orjson.OPT_SORT_KEYS, default=str).decode()
