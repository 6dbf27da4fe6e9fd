"""Submissions, batches and runs: what was asked for, how it was cut, and which run is about what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid4

from sqlalchemy import Connection, Select, and_, func, or_, select, update

from penstock.errors import Fenced, NotFound, UsageError
from penstock.ledger.database import Database, clock
from penstock.ledger.intake import Listing
from penstock.ledger.rounds import new_round
from penstock.ledger.schema import batch_jobs, batches, documents, jobs, runners, stage_states, submissions


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


@dataclass(frozen=True, slots=True)
class Batch:
    id: int
    tenant: str
    pipeline: str
    submission_id: int | None
    kind: str
    status: str
    attempt: int
    runner_id: int | None


_SUBMISSION = (
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
_BATCH = (
    batches.c.id,
    batches.c.tenant,
    batches.c.pipeline,
    batches.c.submission_id,
    batches.c.kind,
    batches.c.status,
    batches.c.attempt,
    batches.c.runner_id,
)


class Batches:
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
    ) -> tuple[Submission, Batch, bool]:
        """A submission and its first batch; the third value is False when the idempotency key was seen before.

        `queued`: the sensor may launch it; otherwise whoever calls runs it. Raises UsageError when the key was used
        for another request.
        """
        with self._db.write() as connection:
            if idempotency_key is not None:
                self._db.take_turns(connection, f"submit {tenant} {idempotency_key}")
                known = connection.execute(
                    select(*_SUBMISSION).where(
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
                        select(*_BATCH).where(batches.c.submission_id == before.id).order_by(batches.c.id).limit(1)
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
            kind, status = ("slice", "queued") if queued else ("whole", "held")
            batch = self._new(connection, now, tenant, pipeline, kind, status, number)
            submission = connection.execute(select(*_SUBMISSION).where(submissions.c.id == number)).one()
            return Submission(*submission), batch, True

    def submission(self, number: int) -> Submission:
        with self._db.read() as connection:
            row = connection.execute(select(*_SUBMISSION).where(submissions.c.id == number)).first()
        if row is None:
            raise NotFound(f"no submission {number}")
        return Submission(*row)

    def batch(self, number: int) -> Batch:
        with self._db.read() as connection:
            row = connection.execute(select(*_BATCH).where(batches.c.id == number)).first()
        if row is None:
            raise NotFound(f"no batch {number}", next_step="penstock jobs --batches lists them")
        return Batch(*row)

    def size(self, number: int) -> int:
        with self._db.read() as connection:
            query = select(func.count()).select_from(batch_jobs).where(batch_jobs.c.batch_id == number)
            return int(connection.execute(query).scalar_one())

    def lease_listing(self, submission: int, runner: int) -> Listing | None:
        """The right to list, from the cursor on; None when it is listed whole or somebody else is at it."""
        ended = select(runners.c.id).where(runners.c.id == submissions.c.runner_id, runners.c.ended_at.is_not(None))
        with self._db.write() as connection:
            row = connection.execute(
                update(submissions)
                .where(
                    submissions.c.id == submission,
                    submissions.c.status.in_(("new", "listing")),
                    or_(
                        submissions.c.runner_id.is_(None),
                        submissions.c.runner_id == runner,
                        ended.exists(),
                    ),
                )
                .values(status="listing", runner_id=runner, token=submissions.c.token + 1)
                .returning(submissions.c.token)
            ).first()
        return None if row is None else Listing(submission, row.token)

    def listed(self, listing: Listing) -> None:
        """The listing is whole; batches that were being cut may be launched. Raises Fenced when it was lost."""
        with self._db.write() as connection:
            now = clock(connection)
            ours = and_(submissions.c.id == listing.submission, submissions.c.token == listing.token)
            whole = update(submissions).where(ours).values(status="listed", runner_id=None, listed_at=now)
            if connection.execute(whole).rowcount != 1:
                raise Fenced("another runner has taken this listing over")
            filling = and_(batches.c.submission_id == listing.submission, batches.c.status == "filling")
            connection.execute(update(batches).where(filling).values(status="queued"))

    def relist(self, submission: int) -> None:
        """Let a submission that was listed whole be listed once more, from the start."""
        with self._db.write() as connection:
            connection.execute(
                update(submissions)
                .where(submissions.c.id == submission, submissions.c.status == "listed")
                .values(status="listing", cursor=None, records=0)
            )

    def release_listing(self, listing: Listing) -> None:
        with self._db.write() as connection:
            ours = and_(submissions.c.id == listing.submission, submissions.c.token == listing.token)
            connection.execute(update(submissions).where(ours).values(runner_id=None))

    def filling(self, submission: Submission) -> tuple[Batch, int]:
        """The batch a sliced listing is filling now and how many documents it holds; a new one if the last is full."""
        with self._db.write() as connection:
            row = connection.execute(
                select(*_BATCH).where(batches.c.submission_id == submission.id).order_by(batches.c.id.desc()).limit(1)
            ).one()
            last = Batch(*row)
            held = int(
                connection.execute(
                    select(func.count()).select_from(batch_jobs).where(batch_jobs.c.batch_id == last.id)
                ).scalar_one()
            )
            if held < submission.batch_size:
                return last, held
            if last.status == "filling":
                connection.execute(update(batches).where(batches.c.id == last.id).values(status="queued"))
            now = clock(connection)
            return self._new(connection, now, last.tenant, last.pipeline, "slice", "filling", submission.id), 0

    def of_jobs(self, *, tenant: str, pipeline: str, kind: str, status: str, ids: Sequence[int]) -> Batch:
        """A batch of jobs that exist: a resume or a retry."""
        with self._db.write() as connection:
            now = clock(connection)
            batch = self._new(connection, now, tenant, pipeline, kind, status, None)
            for first in range(0, len(ids), 512):
                rows = [{"batch_id": batch.id, "job_id": job} for job in ids[first : first + 512]]
                connection.execute(self._db.insert(batch_jobs).on_conflict_do_nothing(), rows)
            return batch

    def retry(
        self,
        *,
        tenant: str,
        queued: bool,
        pipeline: str | None = None,
        reason: str | None = None,
        status: str | None = None,
        doc_ids: Sequence[str] = (),
    ) -> list[tuple[Batch, int]]:
        """Start a new round for failed and dead jobs that match, or for those of `status`, if today's generation.

        A batch and its size for each pipeline. Unless narrowed down to a reason, status or documents, it also takes
        those that never had their turn because their run gave up.
        """
        wanted = (status,) if status else ("failed", "dead")
        query = (
            select(jobs.c.id, jobs.c.pipeline)
            .join(documents, documents.c.id == jobs.c.document_id)
            .where(
                documents.c.tenant == tenant,
                jobs.c.status.in_(wanted),
                jobs.c.generation == documents.c.generation,
            )
        )
        if pipeline:
            query = query.where(jobs.c.pipeline == pipeline)
        if reason:
            failed_for = select(stage_states.c.job_id).where(
                stage_states.c.job_id == jobs.c.id,
                stage_states.c.status.in_(("failed", "dead")),
                stage_states.c.reason == reason,
            )
            query = query.where(failed_for.exists())
        queries = [query]
        if doc_ids:
            parts = (doc_ids[first : first + 512] for first in range(0, len(doc_ids), 512))
            queries = [query.where(or_(documents.c.doc_id.in_(p), documents.c.source_id.in_(p))) for p in parts]
        with self._db.write() as connection:
            pipelines = {job: name for q in queries for job, name in connection.execute(q)}
            now = clock(connection)
            by_pipeline: dict[str, list[int]] = {}
            if not (reason or status or doc_ids):
                for job, name in connection.execute(_left_behind(tenant, pipeline)):
                    by_pipeline.setdefault(name, []).append(job)
            for job in new_round(connection, now, sorted(pipelines), wanted):
                by_pipeline.setdefault(pipelines[job], []).append(job)
            made = []
            for name, ids in by_pipeline.items():
                state = "queued" if queued else "held"
                batch = self._new(connection, now, tenant, name, "retry", state, None)
                connection.execute(batch_jobs.insert(), [{"batch_id": batch.id, "job_id": job} for job in ids])
                made.append((batch, len(ids)))
        return made

    def new_round(self, batch: int) -> int:
        """Let the failed and dead documents of a batch be tried again (a re-execution asks for it); how many."""
        query = (
            select(jobs.c.id)
            .join(batch_jobs, batch_jobs.c.job_id == jobs.c.id)
            .where(batch_jobs.c.batch_id == batch, jobs.c.status.in_(("failed", "dead")))
        )
        with self._db.write() as connection:
            ids = list(connection.execute(query).scalars())
            return len(new_round(connection, clock(connection), ids))

    def claim_queued(self, limit: int, pipelines: Sequence[str]) -> list[Batch]:
        """Take queued batches for launching: each is answered once for each attempt."""
        waiting = (
            select(batches.c.id)
            .where(batches.c.status == "queued", batches.c.pipeline.in_(pipelines))
            .order_by(batches.c.id)
            .limit(limit)
        )
        with self._db.read() as connection:
            if connection.execute(waiting).first() is None:  # a sensor asks often: look before locking
                return []
        with self._db.write() as connection:
            now = clock(connection)
            rows = connection.execute(
                update(batches)
                .where(batches.c.id.in_(waiting), batches.c.status == "queued")
                .values(status="claimed", claimed_at=now, attempt=batches.c.attempt + 1)
                .returning(*_BATCH)
            ).all()
        return sorted((Batch(*row) for row in rows), key=lambda b: b.id)

    def claimed(self) -> list[Batch]:
        """Batches a run was asked for that has not begun: to be asked for again under the same key."""
        with self._db.read() as connection:
            rows = connection.execute(select(*_BATCH).where(batches.c.status == "claimed").order_by(batches.c.id))
            return [Batch(*row) for row in rows]

    def queued_elsewhere(self, pipelines: Sequence[str]) -> tuple[str, int] | None:
        """A pipeline that is not among these and has batches queued, and how many."""
        query = (
            select(batches.c.pipeline, func.count())
            .where(batches.c.status == "queued", batches.c.pipeline.not_in(pipelines))
            .group_by(batches.c.pipeline)
            .limit(1)
        )
        with self._db.read() as connection:
            row = connection.execute(query).first()
        return None if row is None else (row[0], row[1])

    def requeue(self, batch: int, *, note: str, attempts: int) -> bool:
        """Queue a batch whose run died once more, unless it has had its attempts: then it is failed, and False."""
        with self._db.write() as connection:
            again = connection.execute(
                update(batches)
                .where(
                    batches.c.id == batch,
                    batches.c.status.in_(("claimed", "started")),
                    batches.c.attempt < attempts,
                )
                .values(status="queued", run_id=None, runner_id=None, note=note)
            )
            if again.rowcount:
                return True
            connection.execute(
                update(batches)
                .where(batches.c.id == batch, batches.c.status.in_(("claimed", "started")))
                .values(status="failed", finished_at=clock(connection), note=note)
            )
            return False

    def started_runs(self) -> list[tuple[Batch, str]]:
        """Batches the sensor launched that are under way, and the run that is at each."""
        with self._db.read() as connection:
            rows = connection.execute(
                select(*_BATCH, batches.c.run_id).where(
                    batches.c.status == "started",
                    batches.c.kind != "whole",
                    batches.c.attempt > 0,  # launched by a claim; a person's are their own business
                    batches.c.run_id.is_not(None),
                )
            )
            return [(Batch(*row[:-1]), row[-1]) for row in rows]

    def close(self, batch: int, outcome: str, note: str = "") -> None:
        with self._db.write() as connection:
            now = clock(connection)
            connection.execute(
                update(batches)
                .where(batches.c.id == batch)
                .values(status=outcome, finished_at=now, note=note or None, runner_id=None)
            )

    def _new(
        self,
        connection: Connection,
        now: int,
        tenant: str,
        pipeline: str,
        kind: str,
        status: str,
        submission: int | None,
    ) -> Batch:
        (number,) = self._db.allocate(connection, batches.c.id, 1)
        connection.execute(
            batches.insert().values(
                id=number,
                tenant=tenant,
                pipeline=pipeline,
                submission_id=submission,
                kind=kind,
                status=status,
                created_at=now,
            )
        )
        return Batch(number, tenant, pipeline, submission, kind, status, 0, None)


def _left_behind(tenant: str, pipeline: str | None) -> Select[int, str]:
    """Jobs under way that nobody takes further: their run is over."""
    over = (
        select(batch_jobs.c.job_id)
        .join(batches, batches.c.id == batch_jobs.c.batch_id)
        .outerjoin(runners, runners.c.id == batches.c.runner_id)
        .where(
            batch_jobs.c.job_id == jobs.c.id,
            or_(
                batches.c.status.in_(("failed", "partial")),
                and_(
                    batches.c.kind == "whole",
                    batches.c.status == "started",
                    or_(batches.c.runner_id.is_(None), runners.c.ended_at.is_not(None)),
                ),
            ),
        )
    )
    query = (
        select(jobs.c.id, jobs.c.pipeline)
        .join(documents, documents.c.id == jobs.c.document_id)
        .where(documents.c.tenant == tenant, jobs.c.status == "pending", over.exists())
        .order_by(jobs.c.id)
    )
    return query if pipeline is None else query.where(jobs.c.pipeline == pipeline)
