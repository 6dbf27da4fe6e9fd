"""The listing stage: records in, documents and jobs out, a group at a time, going on from the cursor after a stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256

import orjson

from penstock.errors import InvalidOutput
from penstock.ir import RawPayload, Request, StageContext
from penstock.ir.codec import encode
from penstock.ledger.batches import Batches, Submission
from penstock.ledger.intake import Intake, Listing, Record, Route
from penstock.runner.plan import Plan, PlannedStage
from penstock.runner.report import Observer, StageReport
from penstock.runner.session import Session
from penstock.stores.artifacts import ArtifactStore

INLINE_BYTES = 256 * 1024
"""Bigger bodies rest in the artifact store."""
GROUP_RECORDS = 256
GROUP_BYTES = 4 << 20
WAIT_SECONDS = 0.2


def document_id(tenant: str, source: str, source_id: str) -> str:
    """What a document is called everywhere: 20 hex digits of sha256 over tenant, source and source id."""
    return sha256(f"{tenant}\0{source}\0{source_id}".encode()).hexdigest()[:20]


@dataclass(frozen=True, slots=True)
class Scope:
    """What a run is about: one batch, and the submission it was cut from, if any. `again`: it is a re-execution."""

    batch: int
    submission: int | None
    tenant: str
    pipeline: str
    again: bool = False


class Ingest:
    def __init__(self, batches: Batches, intake: Intake, artifacts: ArtifactStore, session: Session) -> None:
        self._batches = batches
        self._intake = intake
        self._artifacts = artifacts
        self._session = session

    def run(
        self,
        plan: Plan,
        planned: PlannedStage,
        scope: Scope,
        report: StageReport,
        observer: Observer,
        stop: Callable[[], None],
    ) -> None:
        """List the scope's submission to its end, unless it is listed or the scope has none.

        A re-execution that comes here was asked to ingest again, so what is listed already is listed once more.
        """
        if scope.submission is None:
            report.before = self._batches.size(scope.batch)
            return
        if scope.again:
            self._batches.relist(scope.submission)
        while (submission := self._batches.submission(scope.submission)).status in ("new", "listing"):
            listing = self._batches.lease_listing(submission.id, self._session.runner)
            if listing is None and submission.batch_size and self._batches.size(scope.batch) >= submission.batch_size:
                break  # this slice is cut; whoever lists goes on with the next ones, side by side
            if listing is None:
                stop()
                self._session.reap()
                time.sleep(WAIT_SECONDS)
                continue
            try:
                self._list(plan, planned, scope, submission, listing, report, observer, stop)
            except BaseException:
                self._batches.release_listing(listing)
                raise
            self._batches.listed(listing)
            return
        report.before = self._batches.size(scope.batch)

    def take(self, plan: Plan, planned: PlannedStage, scope: Scope, source: str, payloads: list[RawPayload]) -> None:
        """Take single payloads that were fetched again into a batch."""
        route = self.route(plan, planned, scope.tenant, source, correlation_id="refetch")
        for payload in payloads:
            self._intake.take(route, scope.batch, [self._record(route, payload)])

    def route(self, plan: Plan, planned: PlannedStage, tenant: str, source: str, correlation_id: str) -> Route:
        return Route(
            tenant=tenant,
            source=source,
            pipeline=plan.topology.name,
            fingerprint=plan.fingerprint,
            stage=planned.name,
            definition_id=planned.definition_id,
            correlation_id=correlation_id,
            final=len(plan.stages) == 1,
        )

    def _list(
        self,
        plan: Plan,
        planned: PlannedStage,
        scope: Scope,
        submission: Submission,
        listing: Listing,
        report: StageReport,
        observer: Observer,
        stop: Callable[[], None],
    ) -> None:
        route = self.route(plan, planned, submission.tenant, submission.source, submission.correlation_id)
        request = Request(source=submission.source, query=orjson.loads(submission.request))
        context = StageContext(submission.tenant, "", submission.correlation_id, {"pipeline": submission.pipeline})
        payloads = planned.implementation.execute(context, request, submission.cursor)
        for group in self._groups(route, payloads):
            stop()
            while group:
                target, room = self._room(scope, submission)
                part, group = group[:room], group[room:]
                records, cursor = [record for record, _ in part], part[-1][1]
                taken = self._intake.take(route, target, records, listing=listing, cursor=cursor)
                report.done += taken.new + taken.changed + taken.retried
                report.reused += taken.unchanged
                if taken.still_dead:
                    report.note("dead letters that nothing has changed for stay dead: penstock retry tries them")
            observer.advanced(planned.name, report.done + report.reused, None)

    def _room(self, scope: Scope, submission: Submission) -> tuple[int, int]:
        """The batch that the next records belong to, and how many it has room for."""
        if not submission.batch_size:
            return scope.batch, GROUP_RECORDS
        batch, held = self._batches.filling(submission)
        return batch.id, submission.batch_size - held

    def _groups(self, route: Route, payloads: Iterator[RawPayload]) -> Iterator[list[tuple[Record, str]]]:
        """Records with the cursor behind each, in groups bounded in number and bytes that name no document twice."""
        group: list[tuple[Record, str]] = []
        names: set[str] = set()
        size = 0
        for payload in payloads:
            if not isinstance(payload, RawPayload):
                raise InvalidOutput(f"an IngestStage gives RawPayload, not {type(payload).__name__}")
            full = len(group) >= GROUP_RECORDS or size >= GROUP_BYTES
            if group and (full or payload.source_id in names):
                yield group
                group, names, size = [], set(), 0
            group.append((self._record(route, payload), payload.cursor))
            names.add(payload.source_id)
            size += len(payload.content)
        if group:
            yield group

    def _record(self, route: Route, payload: RawPayload) -> Record:
        head, body = encode(RawPayload, payload)
        big = len(body) > INLINE_BYTES
        digest = sha256(body)
        if big:
            self._artifacts.put(body)
        return Record(
            doc_id=document_id(route.tenant, route.source, payload.source_id),
            source_id=payload.source_id,
            kind=payload.kind,
            origin=payload.origin.key,
            uri=payload.origin.uri,
            version=payload.origin.version,
            content=digest.digest(),
            size=len(body),
            head=head or b"",
            body=None if big else body,
        )
