"""Documents that are through their gate, and the batches that take them on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, func, select, update

from penstock.ledger.batches import Batch, left_behind, new_batch
from penstock.ledger.database import Database, clock
from penstock.ledger.locks import lock_jobs
from penstock.ledger.schema import batch_jobs, batches, documents, jobs
from penstock.ledger.turns import PASSING
from penstock.ledger.waiting import ready

_AT_ONCE = 512


@dataclass(frozen=True, slots=True)
class Ready:
    """`documents` are counted up to what was asked for; the first of them has been ready for `age` milliseconds."""

    documents: int
    age: int


class Resumes:
    def __init__(self, database: Database) -> None:
        self._db = database

    def ready(self, field: str, pipeline: str, most: int) -> Ready:
        """What of a pipeline could go on; found by an index, however many others wait."""
        first = select(jobs.c.updated_at).where(ready(field), jobs.c.pipeline == pipeline)
        with self._db.read() as connection:
            since = connection.execute(first.order_by(jobs.c.updated_at).limit(1)).scalar()
            if since is None:
                return Ready(0, 0)
            count = select(func.count()).select_from(first.limit(most).subquery())
            return Ready(int(connection.execute(count).scalar_one()), max(0, clock(connection) - since))

    def on_the_way(self, pipeline: str) -> Literal["gathering", "going"] | None:
        """Whether runs that the sensor launched to resume are there: one that still gathers, or only others."""
        query = select(func.count(), func.count(batches.c.gathered_at)).where(
            batches.c.status.in_(("queued", "claimed", "started")),
            batches.c.kind == "resume",
            batches.c.attempt > 0,
            batches.c.pipeline == pipeline,
        )
        with self._db.read() as connection:
            there, past_gate = connection.execute(query).one()
        return None if not there else "going" if there == past_gate else "gathering"

    def launch(self, field: str, pipeline: str, limit: int) -> Batch | None:
        """A batch of what is ready, of one tenant, for which a run is asked; None when nothing is.

        Its run gathers what becomes ready until then.
        """
        with self._db.write() as connection:
            now = clock(connection)
            oldest = (
                select(documents.c.tenant)
                .join(jobs, jobs.c.document_id == documents.c.id)
                .where(ready(field), jobs.c.pipeline == pipeline)
                .order_by(jobs.c.updated_at)
                .limit(1)
            )
            tenant = connection.execute(oldest).scalar()
            if tenant is None:
                return None
            batch = new_batch(self._db, connection, now, tenant, pipeline, "resume", "claimed", None)
            connection.execute(update(batches).where(batches.c.id == batch.id).values(attempt=1, claimed_at=now))
            self._take(connection, now, batch, field, limit)
            return Batch(batch.id, tenant, pipeline, None, "resume", "claimed", 1, None)

    def take(self, field: str, pipeline: str, tenant: str, limit: int) -> tuple[Batch, int]:
        """A batch for a run by hand of what is ready, and of what runs that broke off left behind its gate; how many.

        Perhaps none: then there is no such batch.
        """
        with self._db.write() as connection:
            now = clock(connection)
            batch = new_batch(self._db, connection, now, tenant, pipeline, "resume", "held", None)
            left = left_behind(tenant, [pipeline], unopened=True).where(jobs.c[field].is_(True)).limit(limit)
            ids = [job for job, _ in connection.execute(left)]
            if ids:
                connection.execute(batch_jobs.insert(), [{"batch_id": batch.id, "job_id": job} for job in ids])
            count = len(ids) + self._take(connection, now, batch, field, limit - len(ids))
            mine = batches.c.id == batch.id
            connection.execute(
                update(batches).where(mine).values(gathered_at=now) if count else batches.delete().where(mine)
            )
            return batch, count

    def join(self, batch: Batch, field: str, limit: int) -> int:
        """What else is ready goes along with a batch that still gathers; how many."""
        with self._db.read() as connection:  # asked often: look before locking
            query = select(jobs.c.id).where(ready(field), jobs.c.pipeline == batch.pipeline).limit(1)
            if connection.execute(query).first() is None:
                return 0
        with self._db.write() as connection:
            gathering = select(batches.c.id).where(batches.c.id == batch.id, batches.c.gathered_at.is_(None))
            if connection.execute(gathering).first() is None:
                return 0
            return self._take(connection, clock(connection), batch, field, limit)

    def gathering_for(self, batch: int) -> int | None:
        """For how many milliseconds a resume batch has gathered; None for one that doesn't (any more)."""
        query = select(batches.c.claimed_at).where(
            batches.c.id == batch, batches.c.kind == "resume", batches.c.gathered_at.is_(None)
        )
        with self._db.read() as connection:
            since = connection.execute(query).scalar()
            return None if since is None else max(0, clock(connection) - since)

    def gathered(self, batch: int) -> None:
        """It takes no more; what becomes ready from now on is another batch's."""
        with self._db.write() as connection:
            connection.execute(update(batches).where(batches.c.id == batch).values(gathered_at=clock(connection)))

    def _take(self, connection: Connection, now: int, batch: Batch, field: str, limit: int) -> int:
        query = (
            select(jobs.c.id)
            .join(documents, documents.c.id == jobs.c.document_id)
            .where(ready(field), jobs.c.pipeline == batch.pipeline, documents.c.tenant == batch.tenant)
            .order_by(jobs.c.updated_at, jobs.c.id)
            .limit(limit)
        )
        if not self._db.sqlite:
            self._db.take_turns(connection, f"resume {batch.pipeline}")
        ids = sorted(connection.execute(query).scalars())
        for first in range(0, len(ids), _AT_ONCE):
            some = ids[first : first + _AT_ONCE]
            lock_jobs(connection, jobs.c.id.in_(some))
            here = update(jobs).where(jobs.c.id.in_(some), jobs.c.status == "waiting")
            taken = connection.execute(here.values(**PASSING, status="pending", updated_at=now).returning(jobs.c.id))
            connection.execute(
                self._db.insert(batch_jobs).on_conflict_do_nothing(),
                [{"batch_id": batch.id, "job_id": job} for job in taken.scalars()],
            )
        return len(ids)
