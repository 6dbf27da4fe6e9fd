"""Submissions: what was asked for, who is listing it, and the slices it is cut into."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Row, and_, func, or_, select, update

from penstock.errors import Fenced, NotFound, UsageError
from penstock.ledger.batches import BATCH_COLUMNS, Batch, launch, new_batch
from penstock.ledger.database import Database, clock
from penstock.ledger.listing import Listing
from penstock.ledger.schema import batch_jobs, batches, runners, scopes, submissions, watermarks


@dataclass(frozen=True, slots=True)
class Submission:
    id: int
    tenant: str
    pipeline: str
    source: str
    request: str
    correlation_id: str
    batch_size: int
    status: str
    cursor: str | None


_COLUMNS = (
    submissions.c.id,
    submissions.c.tenant,
    submissions.c.pipeline,
    submissions.c.source,
    submissions.c.request,
    submissions.c.correlation_id,
    submissions.c.batch_size,
    submissions.c.status,
    submissions.c.cursor,
)
_ASKED = tuple(submissions.c[name] for name in ("token", "created_at", "tenant", "source", "request"))

_ENDED = select(runners.c.id).where(runners.c.id == submissions.c.runner_id, runners.c.ended_at.is_not(None))
_FREE = or_(submissions.c.runner_id.is_(None), _ENDED.exists())
"""Nobody is listing it."""


class Submissions:
    def __init__(self, database: Database) -> None:
        self._db = database

    def submit(
        self,
        *,
        tenant: str,
        pipeline: str,
        source: str,
        request: str,
        batch_size: int = 0,
        idempotency_key: str | None = None,
        queued: bool = False,
        full: bool = False,
    ) -> tuple[Submission, Batch, bool]:
        """A submission and its first batch; the third value is False when the idempotency key was seen before.

        `queued`: the sensor may launch it; otherwise whoever calls runs it. `full`: everything is listed, also
        by a source that could tell what changed. Raises UsageError when the key was used for another request.
        """
        with self._db.write() as connection:
            if idempotency_key is not None:
                self._db.take_turns(connection, f"submit {tenant} {idempotency_key}")
                known = connection.execute(
                    select(*_COLUMNS).where(
                        submissions.c.tenant == tenant, submissions.c.idempotency_key == idempotency_key
                    )
                ).first()
                if known is not None:
                    before = Submission(*known)
                    if (before.pipeline, before.source, before.request) != (pipeline, source, request):
                        raise UsageError(
                            f"idempotency key {idempotency_key!r} was used for another request (submission {before.id})"
                        )
                    first = connection.execute(
                        select(*BATCH_COLUMNS)
                        .where(batches.c.submission_id == before.id)
                        .order_by(batches.c.id)
                        .limit(1)
                    ).one()
                    return before, Batch(*first), False
            now = clock(connection)
            (number,) = self._db.allocate(connection, submissions.c.id, 1)
            connection.execute(
                submissions.insert().values(
                    id=number,
                    tenant=tenant,
                    pipeline=pipeline,
                    source=source,
                    request=request,
                    correlation_id=uuid4().hex,
                    idempotency_key=idempotency_key,
                    batch_size=batch_size,
                    status="new",
                    created_at=now,
                )
            )
            if full:
                connection.execute(watermarks.insert().values(submission_id=number, since=0, fingerprint=""))
            kind, status = ("slice", "queued") if queued else ("whole", "held")
            batch = new_batch(self._db, connection, now, tenant, pipeline, kind, status, number)
            submission = connection.execute(select(*_COLUMNS).where(submissions.c.id == number)).one()
            return Submission(*submission), batch, True

    def get(self, number: int) -> Submission:
        with self._db.read() as connection:
            row = connection.execute(select(*_COLUMNS).where(submissions.c.id == number)).first()
        if row is None:
            raise NotFound(f"no submission {number}")
        return Submission(*row)

    def unfinished(self, *, tenant: str, pipeline: str, source: str, request: str) -> Batch | None:
        """The batch of the newest run that was asked for just this and whose listing nobody is at: to go on with it."""
        query = (
            select(*BATCH_COLUMNS)
            .join(submissions, submissions.c.id == batches.c.submission_id)
            .where(
                submissions.c.tenant == tenant,
                submissions.c.pipeline == pipeline,
                submissions.c.source == source,
                submissions.c.request == request,
                submissions.c.batch_size == 0,
                submissions.c.status == "listing",
                _FREE,
            )
            .order_by(batches.c.id.desc())
            .limit(1)
        )
        with self._db.read() as connection:
            row = connection.execute(query).first()
        return None if row is None else Batch(*row)

    def broken_off(self, tenant: str, pipelines: Collection[str]) -> list[Batch]:
        """The batches whose runs were listing when they ended, and that nobody goes on with."""
        one = batches.alias()
        first = select(func.min(one.c.id)).where(one.c.submission_id == submissions.c.id).scalar_subquery()
        query = (
            select(*BATCH_COLUMNS)
            .join(submissions, submissions.c.id == batches.c.submission_id)
            .where(
                submissions.c.tenant == tenant,
                submissions.c.pipeline.in_(pipelines),
                submissions.c.status == "listing",
                _FREE,
                batches.c.id == first,
                batches.c.status.in_(("failed", "partial", "complete", "started")),
                or_(batches.c.attempt == 0, batches.c.status != "started"),
            )
            .order_by(batches.c.id)
        )
        with self._db.read() as connection:
            return [Batch(*row) for row in connection.execute(query)]

    def lease_listing(self, submission: int, runner: int) -> Listing | None:
        """The right to list, from the cursor on; None when it is listed whole or somebody else is at it."""
        with self._db.write() as connection:
            row = connection.execute(
                update(submissions)
                .where(
                    submissions.c.id == submission,
                    submissions.c.status.in_(("new", "listing")),
                    or_(submissions.c.runner_id == runner, _FREE),
                )
                .values(status="listing", runner_id=runner, token=submissions.c.token + 1)
                .returning(*_ASKED)
            ).first()
            return None if row is None else Listing(submission, row.token, row.created_at, self._scope(connection, row))

    def _scope(self, connection: Connection, row: Row[Any]) -> int:
        """The number of what a submission asks for: equal requests to a source are one scope."""
        mine = {"tenant": row.tenant, "source": row.source, "digest": sha256(row.request.encode()).hexdigest()}
        scope = select(scopes.c.id).where(*(scopes.c[name] == value for name, value in mine.items()))
        known = connection.execute(scope).scalar()
        if known is None:
            rows = [{**mine, "request": row.request}]
            connection.execute(self._db.insert(scopes).on_conflict_do_nothing(), rows)
            known = connection.execute(scope).scalar_one()
        return int(known)

    def listed(self, listing: Listing) -> None:
        """The listing is whole; batches that were being cut may be launched. Raises Fenced when it was lost."""
        with self._db.write() as connection:
            now = clock(connection)
            ours = and_(submissions.c.id == listing.submission, submissions.c.token == listing.token)
            whole = update(submissions).where(ours).values(status="listed", runner_id=None, listed_at=now)
            if connection.execute(whole).rowcount != 1:
                raise Fenced("another runner has taken this listing over")
            launch(connection, listing.submission)

    def relist(self, submission: int) -> bool:
        """Let a submission be listed once more, from the start. False when it has not been listed whole."""
        with self._db.write() as connection:
            again = connection.execute(
                update(submissions)
                .where(submissions.c.id == submission, submissions.c.status == "listed")
                .values(status="listing", cursor=None, records=0)
            )
            return bool(again.rowcount)

    def release_listing(self, listing: Listing) -> None:
        """Leave a listing unfinished. The slice it was filling need not wait for the rest."""
        with self._db.write() as connection:
            ours = and_(submissions.c.id == listing.submission, submissions.c.token == listing.token)
            if connection.execute(update(submissions).where(ours).values(runner_id=None)).rowcount:
                launch(connection, listing.submission)

    def first_batch(self, submission: int) -> int:
        """The batch whose run lists the submission."""
        query = select(func.min(batches.c.id)).where(batches.c.submission_id == submission)
        with self._db.read() as connection:
            return int(connection.execute(query).scalar_one())

    def filling(self, submission: Submission, own: int) -> tuple[Batch, int]:
        """The slice a listing fills now, and how many documents it holds: the lister's own, then one after another.

        Only the lister's own slice may be filled while a run is at it; any other is launched when it is full, since
        what came into it later would be nobody's. One that waits for its run is taken back.
        """
        of_it = batches.c.submission_id == submission.id
        newest_last = select(*BATCH_COLUMNS).where(of_it).order_by(batches.c.id.desc()).limit(1)
        with self._db.write() as connection:
            mine = Batch(*connection.execute(select(*BATCH_COLUMNS).where(batches.c.id == own)).one())
            if (held := _size(connection, own)) < submission.batch_size:
                return mine, held
            last = Batch(*connection.execute(newest_last).one())
            held = _size(connection, last.id)
            open_still = and_(batches.c.id == last.id, batches.c.status.in_(("filling", "queued")))
            if last.id != own and held < submission.batch_size:
                if connection.execute(update(batches).where(open_still).values(status="filling")).rowcount:
                    return replace(last, status="filling"), held
            else:
                connection.execute(update(batches).where(open_still).values(status="queued"))
            now = clock(connection)
            args = (now, mine.tenant, mine.pipeline, "slice", "filling", submission.id)
            return new_batch(self._db, connection, *args), 0


def _size(connection: Connection, batch: int) -> int:
    query = select(func.count()).select_from(batch_jobs).where(batch_jobs.c.batch_id == batch)
    return int(connection.execute(query).scalar_one())
