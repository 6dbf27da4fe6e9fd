"""What waits for a worker outside: documents at gates, and what each has to be worked on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import nsmallest

from sqlalchemy import TextClause, and_, func, select, text, update

from penstock.ledger.database import Database
from penstock.ledger.locks import lock_jobs
from penstock.ledger.schema import artifacts, documents, jobs, stage_states
from penstock.ledger.turns import Claim, StageKey, Stored

_PAGE = 64


@dataclass(frozen=True, slots=True)
class Waiter:
    """A document at a gate. `content` is the key of its payload's artifact."""

    claim: Claim
    source: str
    pipeline: str
    gate: str
    content: bytes

    def key(self, field: str, definition_id: int) -> StageKey:
        """The gate as the stage that a worker does."""
        return StageKey(self.gate, (), definition_id, sets=field)


class Waiting:
    def __init__(self, database: Database) -> None:
        self._db = database

    def documents(self, field: str, limit: int) -> list[Waiter]:
        """Documents that wait for `field` and that nobody is at, oldest first; those that have come to a bad end
        before (see `Work.release`) when there are no others, so that what brings workers down holds nobody up."""
        lost: list[Waiter] = []
        after: int | None = 0
        while after is not None:
            free, after = self._page(field, after, max(limit, _PAGE))
            if fresh := [waiter for waiter in free if not waiter.claim.lost]:
                return fresh[:limit]
            lost = nsmallest(limit, lost + free, key=lambda waiter: (waiter.claim.lost, waiter.claim.job_id))
        return lost

    def _page(self, field: str, after: int, size: int) -> tuple[list[Waiter], int | None]:
        """Of the next documents that wait those that nobody is at, and where to go on."""
        first = (
            select(jobs)
            .where(unready(field), jobs.c.waiting_for == field, jobs.c.id > after)
            .order_by(jobs.c.id)
            .limit(size)
            .subquery()
        )  # for itself: joined at once PostgreSQL reads all there is, since it expects hardly any of them to be free
        query = (
            select(
                first.c.id,
                first.c.document_id,
                documents.c.doc_id,
                documents.c.source_id,
                documents.c.tenant,
                first.c.correlation_id,
                first.c.generation,
                first.c.round,
                first.c.status,
                func.coalesce(stage_states.c.token, 0),
                func.coalesce(stage_states.c.lost, 0),
                func.coalesce(stage_states.c.attempts, 0),
                documents.c.source,
                first.c.pipeline,
                first.c.current_stage,
                documents.c.content,
                func.coalesce(stage_states.c.status, "pending"),
            )
            .select_from(first)
            .join(documents, documents.c.id == first.c.document_id)
            .outerjoin(
                stage_states, and_(stage_states.c.job_id == first.c.id, stage_states.c.stage == first.c.current_stage)
            )
            .order_by(first.c.id)
        )
        with self._db.read() as connection:
            rows = connection.execute(query).all()
        free = [_waiter(row[:-1]) for row in rows if row[-1] == "pending"]
        return free, rows[-1][0] if len(rows) == size else None

    def input(self, waiter: Waiter, kind: str) -> Stored | None:
        """The newest artifact of this kind that the document's stages gave."""
        query = (
            select(
                artifacts.c.id,
                artifacts.c.document_id,
                artifacts.c.key,
                artifacts.c.hash,
                artifacts.c.kind,
                artifacts.c.size,
            )
            .join(stage_states, stage_states.c.output == artifacts.c.key)
            .where(
                stage_states.c.job_id == waiter.claim.job_id,
                stage_states.c.status == "done",
                artifacts.c.document_id == waiter.claim.document_id,
                artifacts.c.kind == kind,
            )
            .order_by(stage_states.c.finished_at.desc())
            .limit(1)
        )
        with self._db.read() as connection:
            row = connection.execute(query).first()
        return None if row is None else Stored(*row)

    def ask_again(self, waiter: Waiter, kind: str) -> None:
        """Forget the artifact that `input` found, since its bytes are lost: the stage that gave it is due again."""
        stored = self.input(waiter, kind)
        if stored is None:
            return
        gave = and_(stage_states.c.job_id == waiter.claim.job_id, stage_states.c.output == stored.key)
        with self._db.write() as connection:
            lock_jobs(connection, jobs.c.id == waiter.claim.job_id)
            connection.execute(artifacts.delete().where(artifacts.c.id == stored.id))
            connection.execute(update(stage_states).where(gave).values(status="pending", output=None))

    def some(self, field: str, most: int) -> int:
        """How many wait for `field`, counted up to `most`: so many are found by an index and the others not read."""
        first = select(jobs.c.id).where(unready(field), jobs.c.waiting_for == field).order_by(jobs.c.id).limit(most)
        with self._db.read() as connection:
            return int(connection.execute(select(func.count()).select_from(first.subquery())).scalar_one())


def unready(field: str) -> TextClause:
    """In the words of the partial index `jobs_unparsed`, or no database would use it."""
    return text(f"jobs.status = 'waiting' AND NOT jobs.{jobs.c[field].name}")


def ready(field: str) -> TextClause:
    """In the words of `jobs_parsed`."""
    return text(f"jobs.status = 'waiting' AND jobs.{jobs.c[field].name}")


def _waiter(row: Sequence[object]) -> Waiter:
    *claim, source, pipeline, gate, content = row
    return Waiter(Claim(*claim), source, pipeline, gate, content)  # type: ignore[arg-type]
