"""Batches: the documents one run takes; who launches them, and what their runs left behind."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select, true, update

from penstock.errors import NotFound
from penstock.ledger.database import Database, clock
from penstock.ledger.reports import PAST
from penstock.ledger.rounds import new_round
from penstock.ledger.schema import batch_jobs, batches, documents, jobs, runners, stage_states


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


BATCH_COLUMNS = (
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

    def batch(self, number: int) -> Batch:
        with self._db.read() as connection:
            row = connection.execute(select(*BATCH_COLUMNS).where(batches.c.id == number)).first()
        if row is None:
            raise NotFound(f"no batch {number}", next_step="penstock jobs --batches lists them")
        return Batch(*row)

    def size(self, number: int) -> int:
        """How many documents it has ever taken."""
        return self._count(select(batch_jobs.c.job_id).where(batch_jobs.c.batch_id == number))

    def today(self, number: int) -> int:
        """How many of its documents count: not those that were replaced, cancelled or retired since."""
        among = select(batch_jobs.c.job_id).where(batch_jobs.c.batch_id == number)
        return self._count(select(jobs.c.id).where(jobs.c.id.in_(among), jobs.c.status.not_in(PAST)))

    def _count(self, rows: Select[int]) -> int:
        with self._db.read() as connection:
            return int(connection.execute(select(func.count()).select_from(rows.subquery())).scalar_one())

    def retry(
        self,
        *,
        tenant: str,
        queued: bool,
        pipelines: Collection[str] | None = None,
        reason: str | None = None,
        status: str | None = None,
        doc_ids: Sequence[str] = (),
    ) -> list[tuple[Batch, int]]:
        """Start a new round for failed and dead jobs of these pipelines (None: all) that match, or those of `status`.

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
                _of(pipelines),
            )
        )
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
            found = {job: name for q in queries for job, name in connection.execute(q)}
            now = clock(connection)
            by_pipeline: dict[str, list[int]] = {}
            if not (reason or status or doc_ids):
                for job, name in connection.execute(left_behind(tenant, pipelines)):
                    by_pipeline.setdefault(name, []).append(job)
            for job in new_round(connection, now, sorted(found), wanted):
                by_pipeline.setdefault(found[job], []).append(job)
            made = []
            for name, ids in by_pipeline.items():
                state = "queued" if queued else "held"
                batch = new_batch(self._db, connection, now, tenant, name, "retry", state, None)
                connection.execute(batch_jobs.insert(), [{"batch_id": batch.id, "job_id": job} for job in ids])
                made.append((batch, len(ids)))
        return made

    def left(self, tenant: str, pipeline: str) -> Batch:
        """A batch of what the pipeline's runs left behind or failed at, perhaps nothing.

        Its run takes along what the pipeline's sinks lost.
        """
        failed = (
            select(jobs.c.id)
            .join(documents, documents.c.id == jobs.c.document_id)
            .where(
                documents.c.tenant == tenant,
                jobs.c.pipeline == pipeline,
                jobs.c.status == "failed",
                jobs.c.generation == documents.c.generation,
            )
        )
        with self._db.write() as connection:
            now = clock(connection)
            ids = [job for job, _ in connection.execute(left_behind(tenant, [pipeline], unopened=True))]
            ids += new_round(connection, now, list(connection.execute(failed).scalars()), ("failed",))
            batch = new_batch(self._db, connection, now, tenant, pipeline, "retry", "held", None)
            if ids:
                connection.execute(batch_jobs.insert(), [{"batch_id": batch.id, "job_id": job} for job in ids])
        return batch

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

    def claim_queued(self, limit: int, pipelines: Collection[str], resuming: Collection[str] = ()) -> list[Batch]:
        """Take queued batches for launching: each is answered once for each attempt.

        Those that resume are taken of the pipelines in `resuming`, all others of those in `pipelines`.
        """
        resumes = batches.c.kind == "resume"
        mine = or_(
            and_(~resumes, batches.c.pipeline.in_(pipelines)),
            and_(resumes, batches.c.pipeline.in_(resuming)),
        )
        waiting = select(batches.c.id).where(batches.c.status == "queued", mine).order_by(batches.c.id).limit(limit)
        with self._db.read() as connection:
            if connection.execute(waiting).first() is None:  # a sensor asks often: look before locking
                return []
        with self._db.write() as connection:
            now = clock(connection)
            rows = connection.execute(
                update(batches)
                .where(batches.c.id.in_(waiting), batches.c.status == "queued")
                .values(status="claimed", claimed_at=now, attempt=batches.c.attempt + 1)
                .returning(*BATCH_COLUMNS)
            ).all()
        return sorted((Batch(*row) for row in rows), key=lambda b: b.id)

    def claimed(self) -> list[Batch]:
        """Batches a run was asked for that has not begun: to be asked for again under the same key."""
        with self._db.read() as connection:
            rows = connection.execute(
                select(*BATCH_COLUMNS).where(batches.c.status == "claimed").order_by(batches.c.id)
            )
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
            _let_go(connection, batch)
            return False

    def started_runs(self) -> list[tuple[Batch, str]]:
        """Batches the sensor launched that are under way, and the run that is at each."""
        with self._db.read() as connection:
            rows = connection.execute(
                select(*BATCH_COLUMNS, batches.c.run_id).where(
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
            if outcome in ("failed", "cancelled"):
                _let_go(connection, batch)


def new_batch(
    db: Database,
    connection: Connection,
    now: int,
    tenant: str,
    pipeline: str,
    kind: str,
    status: str,
    submission: int | None,
) -> Batch:
    """A batch without documents, as part of a transaction."""
    (number,) = db.allocate(connection, batches.c.id, 1)
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


def _let_go(connection: Connection, batch: int) -> None:
    """If a batch was the one whose run lists, nobody fills its last slice any more: that may be worked on."""
    its = select(batches.c.submission_id).where(batches.c.id == batch)
    submission = connection.execute(its).scalar()
    first = select(func.min(batches.c.id)).where(batches.c.submission_id == submission)
    if submission is not None and connection.execute(first).scalar() == batch:
        launch(connection, submission)


def launch(connection: Connection, submission: int) -> None:
    """Nobody fills it any further: what a submission's last slice holds may be worked on."""
    filling = and_(batches.c.submission_id == submission, batches.c.status == "filling")
    connection.execute(update(batches).where(filling).values(status="queued"))


def _of(pipelines: Collection[str] | None) -> ColumnElement[bool]:
    return true() if pipelines is None else jobs.c.pipeline.in_(pipelines)


def left_behind(tenant: str, pipelines: Collection[str] | None, *, unopened: bool = False) -> Select[int, str]:
    """Jobs under way that nobody takes further: their run is over. `unopened`: or has not begun, and may never."""
    over = (
        select(batch_jobs.c.job_id)
        .join(batches, batches.c.id == batch_jobs.c.batch_id)
        .outerjoin(runners, runners.c.id == batches.c.runner_id)
        .where(
            batch_jobs.c.job_id == jobs.c.id,
            or_(
                batches.c.status.in_(("failed", "partial")),
                and_(
                    or_(batches.c.kind == "whole", batches.c.attempt == 0),  # nobody launches it again
                    batches.c.status.in_(("held", "started") if unopened else ("started",)),
                    or_(batches.c.runner_id.is_(None), runners.c.ended_at.is_not(None)),
                ),
            ),
        )
    )
    query = (
        select(jobs.c.id, jobs.c.pipeline)
        .join(documents, documents.c.id == jobs.c.document_id)
        .where(documents.c.tenant == tenant, jobs.c.status == "pending", over.exists(), _of(pipelines))
        .order_by(jobs.c.id)
    )
    return query
