"""The listing stage: records in, documents and jobs out, a group at a time, going on from the cursor after a stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256

import orjson

from penstock.errors import Fenced, InvalidOutput, ListingShort, PenstockError, StageFailed, TerminalError
from penstock.ir import RawPayload, Request, StageContext
from penstock.ir.codec import encode
from penstock.ledger.batches import Batches
from penstock.ledger.intake import Intake
from penstock.ledger.listing import Listing, Record, Route
from penstock.ledger.submissions import Submission, Submissions
from penstock.ledger.watermarks import Watermarks
from penstock.resilience.classify import classify, describe
from penstock.runner.outputs import INLINE_BYTES
from penstock.runner.plan import Plan, PlannedStage
from penstock.runner.report import Observer, StageReport
from penstock.runner.session import Session
from penstock.stores.artifacts import ArtifactStore

MAX_NAME_BYTES = 1000
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
    def __init__(
        self,
        submissions: Submissions,
        batches: Batches,
        intake: Intake,
        watermarks: Watermarks,
        artifacts: ArtifactStore,
        session: Session,
    ) -> None:
        self._submissions = submissions
        self._batches = batches
        self._intake = intake
        self._watermarks = watermarks
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
        retiring: Callable[[Listing], None],
    ) -> None:
        """List the scope's submission to its end, unless it is listed or the scope has none.

        Of a sliced submission the first slice's run lists; the others have what they were cut with. A re-execution that
        comes here was asked to ingest again, so what is listed already is listed once more: what is new goes into its
        own batch. `retiring` is called when a listing has come to its end, but for one that is done once more, or that
        came up short.
        """
        leads = scope.submission is not None and (
            scope.again or self._submissions.first_batch(scope.submission) == scope.batch
        )
        if scope.submission is None or not leads:
            report.before = self._batches.today(scope.batch)
            return
        relisted = scope.again and self._submissions.relist(scope.submission)
        while (submission := self._submissions.get(scope.submission)).status in ("new", "listing"):
            listing = self._submissions.lease_listing(submission.id, self._session.runner)
            if listing is None:
                if submission.batch_size and self._batches.size(scope.batch) >= submission.batch_size:
                    break  # this slice is cut; whoever lists goes on with the next ones, side by side
                stop()
                self._session.reap()
                time.sleep(WAIT_SECONDS)
                continue
            try:
                whole = self._list(plan, planned, scope, submission, listing, relisted, report, observer, stop)
                self._submissions.listed(listing)
            except Fenced:  # held up too long, another runner goes on with it
                continue
            except BaseException:
                self._submissions.release_listing(listing)
                raise
            if whole and not relisted:
                retiring(listing)
            return
        report.before = self._batches.today(scope.batch)

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
        relisted: bool,
        report: StageReport,
        observer: Observer,
        stop: Callable[[], None],
    ) -> bool:
        """Whether all was listed that the source says it has."""
        route = self.route(plan, planned, submission.tenant, submission.source, submission.correlation_id)
        request = self._request(plan, planned, submission, report)
        context = StageContext(submission.tenant, "", submission.correlation_id, {"pipeline": submission.pipeline})
        short: list[ListingShort] = []
        payloads = _told(planned, submission.source, context, request, submission.cursor, short)
        rivals = 0
        for group in self._groups(route, payloads):
            stop()
            while group:
                target, room = (scope.batch, GROUP_RECORDS) if relisted else self._room(scope, submission)
                part, group = group[:room], group[room:]
                records, cursor = [record for record, _ in part], part[-1][1]
                taken = self._intake.take(route, target, records, listing=listing, cursor=cursor)
                report.done += taken.new + taken.changed + taken.retried
                report.reused += taken.unchanged + taken.risen
                rivals += taken.rivals
                if taken.still_dead:
                    report.note("dead letters that nothing has changed for stay dead: penstock retry tries them")
                if taken.cancelled:
                    report.note("cancelled documents stay cancelled: penstock retry --status cancelled takes them")
            observer.advanced(planned.name, report.done + report.reused, None)
        if rivals:
            said = "record states" if rivals == 1 else "records state"
            report.note(f"{rivals} {said} the identifier of an earlier one, with other contents: the later counts")
        for each in short:
            self._watermarks.came_up_short(submission.id)
            report.note(f"{each.message}; nothing is retired by it")
        return not short

    def _request(self, plan: Plan, planned: PlannedStage, submission: Submission, report: StageReport) -> Request:
        """What is asked of the source: of one that can tell, only what changed since it was last asked the same."""
        request = Request(source=submission.source, query=orjson.loads(submission.request))
        incremental = getattr(planned.implementation, "incremental", None)
        since = self._watermarks.since(submission, plan.fingerprint) if incremental and incremental(request) else 0
        if not since:
            return request
        day = time.strftime("%Y-%m-%d", time.gmtime(since / 1000))
        report.note(f"only what changed since the listing of {day} is asked for; --full lists everything")
        return request.model_copy(update={"since": since})

    def _room(self, scope: Scope, submission: Submission) -> tuple[int, int]:
        """The batch that the next records belong to, and how many it has room for."""
        if not submission.batch_size:
            return scope.batch, GROUP_RECORDS
        batch, held = self._submissions.filling(submission, scope.batch)
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
            record = self._record(route, payload)
            if group and (full or record.source_id in names):
                yield group
                group, names, size = [], set(), 0
            group.append((record, payload.cursor))
            names.add(record.source_id)
            size += len(payload.content)
            if payload.page_end:
                yield group
                group, names, size = [], set(), 0
        if group:
            yield group

    def _record(self, route: Route, payload: RawPayload) -> Record:
        head, body = encode(RawPayload, payload)
        big = len(body) > INLINE_BYTES
        digest = sha256(body)
        if big:
            self._artifacts.put(body)
        name = in_bounds(payload.source_id)
        return Record(
            doc_id=document_id(route.tenant, route.source, name),
            source_id=name,
            kind=payload.kind,
            origin=in_bounds(payload.origin.key),
            uri=payload.origin.uri,
            version=payload.origin.version,
            content=digest.digest(),
            size=len(body),
            head=head or b"",
            body=None if big else body,
        )


def in_bounds(name: str) -> str:
    """A name as it is; one that no database would index (over 1,000 bytes) as its beginning and the hash of it all."""
    encoded = name.encode(errors="surrogatepass")
    if len(encoded) <= MAX_NAME_BYTES:
        return name
    return f"{encoded[: MAX_NAME_BYTES - 80].decode(errors='ignore')}…sha256:{sha256(encoded).hexdigest()}"


def _told(
    planned: PlannedStage,
    source: str,
    context: StageContext,
    request: Request,
    cursor: str | None,
    short: list[ListingShort],
) -> Iterator[RawPayload]:
    """The listing's payloads, and into `short` what it says of an end that comes too early.

    What a source raises that is none of our errors is its bug: raises StageFailed.
    """
    try:
        yield from planned.implementation.execute(context, request, cursor)
    except ListingShort as error:
        short.append(error)
    except (PenstockError, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as cause:  # a SystemExit too: the process is not a source's to end
        known = classify(cause) if isinstance(cause, Exception) else TerminalError(describe(cause), reason="unexpected")
        if known.reason != "unexpected":
            raise known from cause
        raise StageFailed(
            f"{planned.name}: source {source!r} failed: {known.message}",
            reason="unexpected",
            next_step="mend the source; what it had listed is kept, and the same run goes on after it",
        ) from cause
