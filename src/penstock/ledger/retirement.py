"""Documents that a complete listing no longer gives: taken out of the stores, kept in the ledger, welcome back.

A document leaves in three steps, each of which may be the last one a process makes: it is marked (nobody works on it
any more, and whoever does is fenced off), its sinks let go of it, it is retired.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, exists, func, literal, select, update

from penstock.ledger.database import Database, clock
from penstock.ledger.locks import lock_jobs
from penstock.ledger.schema import documents, jobs, outbox, scope_documents, stage_states

PAGE = 256
_HERE = ("done", "pending", "waiting", "failed", "dead")


@dataclass(frozen=True, slots=True)
class Leaving:
    """A job whose document is to leave the stores. `order` is above that of every claim of it so far."""

    job_id: int
    tenant: str
    doc_id: str
    generation: int
    correlation_id: str
    order: int


class Retirement:
    def __init__(self, database: Database) -> None:
        self._db = database

    def missing(self, scope: int, submission: int) -> tuple[int, int]:
        """How many documents this scope alone has that its newest listing did not give, and how many it has."""
        with self._db.read() as connection:
            held = select(func.count()).select_from(scope_documents).where(scope_documents.c.scope_id == scope)
            gone = select(func.count()).select_from(scope_documents).where(_gone(scope, submission))
            return int(connection.execute(gone).scalar_one()), int(connection.execute(held).scalar_one())

    def damaged(self, scope: int, submission: int, kinds: Collection[str]) -> int:
        """How many of the documents that a listing gave are of these kinds: who knows what they held before."""
        query = (
            select(func.count())
            .select_from(scope_documents)
            .join(documents, documents.c.id == scope_documents.c.document_id)
            .where(
                scope_documents.c.scope_id == scope,
                scope_documents.c.seen >= submission,
                documents.c.kind.in_(kinds),
            )
        )
        with self._db.read() as connection:
            return int(connection.execute(query).scalar_one())

    def mark(self, tenant: str, scope: int, submission: int, sinks: Sequence[str]) -> int:
        """Take those documents off their way; how many. From now on they are not of the scope."""
        marked = 0
        page = select(scope_documents.c.document_id).where(_gone(scope, submission)).limit(PAGE)
        while True:
            with self._db.write() as connection:
                self._db.take_turns(connection, f"intake {tenant}")  # what is listed meanwhile is not gone
                ids = list(connection.execute(page).scalars())
                if not ids:
                    break
                now = clock(connection)
                theirs = and_(jobs.c.document_id.in_(ids), jobs.c.status.in_(_HERE))
                lock_jobs(connection, theirs)
                leaving = list(connection.execute(select(jobs.c.id).where(theirs)).scalars())
                states = stage_states.c.job_id.in_(leaving)
                connection.execute(
                    update(stage_states)
                    .where(states, stage_states.c.status == "running")
                    .values(status="pending", runner_id=None, token=stage_states.c.token + 1)
                )
                connection.execute(
                    update(stage_states).where(states, stage_states.c.stage.in_(sinks)).values(status="pending")
                )
                said = select(
                    literal(now), literal("retired"), jobs.c.id, literal("ingest"), jobs.c.round, literal(0)
                ).where(jobs.c.id.in_(leaving))
                columns = ["at", "type", "job_id", "stage", "round", "token"]
                connection.execute(outbox.insert().from_select(columns, said.order_by(jobs.c.id)))
                connection.execute(
                    update(jobs)
                    .where(jobs.c.id.in_(leaving))
                    .values(status="retiring", waiting_for=None, waiting_since=None, updated_at=now)
                )
                connection.execute(
                    scope_documents.delete().where(
                        scope_documents.c.scope_id == scope, scope_documents.c.document_id.in_(ids)
                    )
                )
                marked += len(ids)
        self._leave_shared(scope, submission)
        return marked

    def forget_failures(self, tenant: str, scope: int, submission: int, sinks: Sequence[str]) -> int:
        """Retire what failed, was in no store ever, and is gone from its source; how many.

        A torn file that was deleted, say, or a folder that could not be read, and now can.
        """
        everywhere = jobs.alias()
        stored = exists().where(
            everywhere.c.document_id == jobs.c.document_id,
            stage_states.c.job_id == everywhere.c.id,
            stage_states.c.stage.in_(sinks),
            stage_states.c.status == "done",
        )
        unseen = select(scope_documents.c.document_id).where(_gone(scope, submission))
        theirs = and_(jobs.c.document_id.in_(unseen), jobs.c.status.in_(("failed", "dead")), ~stored)
        with self._db.read() as connection:
            if connection.execute(select(jobs.c.id).where(theirs).limit(1)).first() is None:
                return 0
        with self._db.write() as connection:
            self._db.take_turns(connection, f"intake {tenant}")
            lock_jobs(connection, theirs)
            retired = update(jobs).where(theirs).values(status="retired", updated_at=clock(connection))
            gone = connection.execute(retired.returning(jobs.c.document_id)).scalars().all()
            theirs_here = and_(scope_documents.c.scope_id == scope, scope_documents.c.document_id.in_(gone))
            connection.execute(scope_documents.delete().where(theirs_here))
            return len(set(gone))

    def leaving(self, tenant: str, pipeline: str) -> list[Leaving]:
        """The next documents of a pipeline that its sinks have to let go of."""
        query = (
            select(jobs.c.id, documents.c.tenant, documents.c.doc_id, jobs.c.generation, jobs.c.correlation_id)
            .join(documents, documents.c.id == jobs.c.document_id)
            .where(jobs.c.status == "retiring", documents.c.tenant == tenant, jobs.c.pipeline == pipeline)
            .order_by(jobs.c.id)
            .limit(PAGE)
        )
        with self._db.read() as connection:
            order = int(connection.execute(select(func.coalesce(func.max(outbox.c.id), 0))).scalar_one())
            return [Leaving(*row, order) for row in connection.execute(query)]

    def left(self, gone: Sequence[Leaving]) -> None:
        """The sinks have let go of these."""
        with self._db.write() as connection:
            mine = and_(jobs.c.id.in_([leaving.job_id for leaving in gone]), jobs.c.status == "retiring")
            lock_jobs(connection, mine)
            connection.execute(update(jobs).where(mine).values(status="retired", updated_at=clock(connection)))

    def _leave_shared(self, scope: int, submission: int) -> None:
        """What other scopes still have is theirs alone from now on."""
        with self._db.write() as connection:
            connection.execute(
                scope_documents.delete().where(scope_documents.c.scope_id == scope, scope_documents.c.seen < submission)
            )


def _gone(scope: int, submission: int) -> ColumnElement[bool]:
    other = scope_documents.alias()
    shared = exists().where(
        other.c.document_id == scope_documents.c.document_id, other.c.scope_id != scope_documents.c.scope_id
    )
    return and_(scope_documents.c.scope_id == scope, scope_documents.c.seen < submission, ~shared)
