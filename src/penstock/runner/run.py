"""The runner: opens a run, takes it through its stages one at a time, and says how it ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from penstock.errors import PenstockError, StageFailed
from penstock.ledger.ledger import Ledger
from penstock.ledger.listing import Listing
from penstock.pipelines.topology import Stage, Topology
from penstock.resilience.classify import describe
from penstock.resilience.guard import Guard
from penstock.runner.gate import GateKeeper
from penstock.runner.ingest import Ingest
from penstock.runner.lane_loop import LaneLoop
from penstock.runner.opening import Opener, OpenRun, Refetcher, RunRequest, never
from penstock.runner.plan import Builder, Plan, PlannedStage, compile_plan
from penstock.runner.report import Observer, RunReport, Silent, StageReport
from penstock.runner.retire import forget_failures, let_go, retire
from penstock.runner.session import Session
from penstock.runner.stage import Limits, StageLoop
from penstock.sources.sniff import DAMAGE
from penstock.stores.artifacts import ArtifactStore


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
        gather_seconds: float = 30.0,
    ) -> None:
        self._ledger = ledger
        self._artifacts = artifacts
        self._build, self._guard = build, guard
        self._limits = limits or Limits()
        self._gather_seconds = gather_seconds
        self.session = Session(ledger.leases, ledger.runs, lease_seconds)
        self._ingest = Ingest(
            ledger.submissions, ledger.batches, ledger.intake, ledger.watermarks, artifacts, self.session
        )
        self._opener = Opener(ledger, self.session, self._ingest, sources)
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
        self,
        topology: Topology,
        request: RunRequest,
        *,
        run_id: str | None = None,
        root_run_id: str | None = None,
        stop: Callable[[], None] = never,
    ) -> OpenRun:
        """The run's scope; made by its first op, found again by every later one and by re-executions.

        A later op of the same run must find the topology the first one pinned: raises StageFailed
        (topology-changed) otherwise. A re-execution takes today's topology, tries failed and dead documents again
        (those whose place in the source now holds other bytes with these), and notes what changed.
        """
        return self._opener.open(self.plan(topology), request, run_id, root_run_id, stop)

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
                gate = GateKeeper(self._ledger, run.plan, planned, run.scope, self.session, self._gather_seconds)
                gate.run(report, observer, stop)
            elif planned.contract.arity == "listing":
                self._ingest.run(run.plan, planned, run.scope, report, observer, stop, self._retiring(run, report))
                let_go(self._ledger.retirement, run.plan, run.scope.tenant, stop)
            else:
                store = planned.implementation.store_id() if planned.contract.sink else None
                report.before = self._ledger.reports.passed(run.scope.batch, name, store)
                self._work_through(run, planned, report, observer, stop)
                passed = self._ledger.reports.passed(run.scope.batch, name, store)  # by others too, meanwhile
                report.before = max(0, passed - report.done - report.reused)
                if report.fenced:
                    report.note(
                        f"{name}: {report.fenced} document{'s' if report.fenced != 1 else ''} taken over by another "
                        "run while this one was held up; what this one made of them was dropped"
                    )
                self._judge(run, name)
        except PenstockError as error:
            error.report = report  # type: ignore[attr-defined]
            raise
        finally:
            report.seconds = time.monotonic() - began
        report.note(getattr(planned.implementation, "note", ""))
        return report

    def _work_through(
        self, run: OpenRun, planned: PlannedStage, report: StageReport, observer: Observer, stop: Callable[[], None]
    ) -> None:
        """A stage's loop; where outputs that it needs were lost, those of earlier stages first, then it once more."""

        kind = LaneLoop if hasattr(planned.implementation, "lane") else StageLoop

        def loop() -> set[str]:
            return kind(
                run.plan,
                planned,
                run.scope,
                work=self._ledger.work,
                outputs=self._ledger.outputs,
                artifacts=self._artifacts,
                session=self.session,
                limits=self._limits,
                report=report,
                observer=observer,
                stop=stop,
                total=self._ledger.batches.today(run.scope.batch),
            ).run()

        due = loop()
        for earlier in (run.plan.stages[stage.name] for stage in run.plan.topology.stages if stage.name in due):
            again = StageReport(earlier.name)
            try:
                self._work_through(run, earlier, again, Silent(), stop)
            finally:
                report.made_again(again)
        if due and loop():
            raise StageFailed(
                f"{planned.name}: what is stored for it is lost again as soon as it was made again",
                reason="artifact-lost",
                next_step="look after the artifact store (PENSTOCK_ARTIFACTS_URL), then run the same again",
            )

    def finish_if_through(self, run: OpenRun, stages: list[StageReport], ahead: Sequence[str] = ()) -> RunReport | None:
        """`finish`, for a caller who can't know whether these were the run's last stages.

        None while documents of the batch are due, or somebody is at them, at one of the stages `ahead`, which the run
        may still come to; or when another stage of the run has closed it.
        """
        batch, work = run.scope.batch, self._ledger.work
        if self._ledger.batches.batch(batch).status != "started" or work.busy(batch, ahead):
            return None
        due = (claim for name in ahead for claim in work.candidates(batch, run.plan.key(name)))
        if any(claim.job_status != "waiting" for claim in due):
            return None
        return self.finish(run, stages)

    def finish(self, run: OpenRun, stages: list[StageReport], error: PenstockError | None = None) -> RunReport:
        """Close the run's batch and say how it ended."""
        self._ledger.work.settle(run.scope.batch, list(run.plan.stages))
        statuses = self._ledger.reports.statuses(run.scope.batch)
        lost = statuses.get("dead", 0) + statuses.get("failed", 0)
        unfinished = lost + statuses.get("pending", 0)
        if error is None and statuses.get("dead") and run.plan.topology.on_dead_letter == "fail":
            forbidden = f"{_dead_letters(statuses['dead'])}, and the pipeline says on_dead_letter: fail"
            error = StageFailed(forbidden, reason="dead-letters", next_step=_FORBIDDEN)
        outcome = "failed" if error is not None else "partial" if unfinished else "complete"
        self.session.leave(run.scope.batch)
        self._ledger.batches.close(run.scope.batch, outcome, error.message if error else "")
        return RunReport(
            outcome=outcome,
            documents=sum(statuses.values()) - statuses.get("superseded", 0),
            statuses=statuses,
            stages=stages,
            notes=[*run.notes, *(n for s in stages for n in s.notes)],
            error=error.message if error else "",
            next_step=error.next_step if error else "",
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
        run = self.open(topology, request, stop=stop)
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
            except BaseException as error:  # whatever it is, nobody is at this batch any more
                known = error if isinstance(error, PenstockError) else StageFailed(describe(error), reason="unexpected")
                self.finish(run, reports, known)
                raise
            if stage.gate is not None and not reports[-1].through:
                closed.add(stage.name)
        return self.finish(run, reports)

    def _retiring(self, run: OpenRun, report: StageReport) -> Callable[[Listing], None]:
        def retiring(listing: Listing) -> None:
            complete = self._ledger.watermarks.complete(listing.submission)
            damaged = self._ledger.retirement.damaged(listing.scope, listing.submission, sorted(DAMAGE))
            if complete and not damaged:
                forget_failures(self._ledger.retirement, run.plan, run.scope.tenant, listing, report)
            if run.retire == "none":
                return
            if damaged:
                report.note(
                    f"nothing is retired: {damaged} of what was listed could not be read, and may hold what seems gone"
                )
                return
            if not complete:
                raise StageFailed(
                    "not all there is was listed: nothing is known of what is gone",
                    reason="retire",
                    next_step="run the same again with --full --retire, and without a limit",
                )
            retire(
                self._ledger.retirement,
                run.plan,
                run.scope.tenant,
                listing,
                report,
                all_of_them=run.retire == "all",
            )

        return retiring

    def _judge(self, run: OpenRun, stage: str) -> None:
        """By how the batch stands, whatever this run had a part in: the same run twice ends the same way."""
        reports, batch = self._ledger.reports, run.scope.batch
        standing = reports.stages(batch).get(stage)
        if standing is None or not (lost := standing.dead + standing.failed):
            return
        passed = reports.passed(batch, stage)
        if passed and not (standing.dead and run.plan.topology.on_dead_letter == "fail"):
            return
        first = reports.failures(batch, stage=stage, limit=1)
        about = f"; the first, {first[0].source_id}: {first[0].message}" if first else ""
        next_step = first[0].next_step if first else None
        if not passed:
            raise StageFailed(
                f"{stage}: not one of {lost} document{'s' if lost != 1 else ''} got through{about}",
                reason="nothing-through",
                next_step=next_step,
            )
        raise StageFailed(
            f"{stage}: {_dead_letters(standing.dead)}, and the pipeline says on_dead_letter: fail{about}",
            reason="dead-letters",
            next_step=next_step,
        )


_FORBIDDEN = "mend what they say, then: penstock retry"


def _dead_letters(count: int) -> str:
    return "1 dead letter" if count == 1 else f"{count} dead letters"
