"""Documents that are through their gate, and the batches that take them on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from sqlalchemy import Connection, Select, and_, func, select, update

from penstock.ledger.batches import Batch, left_behind, new_batch
from penstock.ledger.database import Database, clock
from penstock.ledger.locks import lock_jobs
from penstock.ledger.schema import PASSING, batch_jobs, batches, documents, jobs, stage_states
from penstock.ledger.turns import done_with
from penstock.ledger.waiting import ready

_AT_ONCE = 512
_LAUNCHED = and_(
    batches.c.status.in_(("queued", "claimed", "started")), batches.c.kind == "resume", batches.c.attempt > 0
)
"""Batches that the sensor asked runs for, which are to come or under way: it takes them up again if they die."""


@dataclass(frozen=True, slots=True)
class Ready:
    """What of a tenant's could go on; the first of these documents has been ready for `age` milliseconds."""

    tenant: str
    documents: int
    age: int


OnTheWay = Literal["coming", "gathering", "going"]
"""A run that is asked for and takes along all that is ready when it comes to its gate; one that is up and still does;
one that takes no more."""


class Resumes:
    def __init__(self, database: Database) -> None:
        self._db = database

    def ready(self, field: str, pipeline: str, most: int) -> list[Ready]:
        """Tenants of which something could go on, among the `most` documents of a pipeline that have been ready for
        longest; found by an index, however many others wait."""
        first = (
            select(jobs.c.document_id, jobs.c.updated_at)
            .where(ready(field), jobs.c.pipeline == pipeline)
            .order_by(jobs.c.updated_at)
            .limit(most)
            .subquery()
        )
        since = func.min(first.c.updated_at)
        query = (
            select(documents.c.tenant, func.count(), since)
            .join(first, first.c.document_id == documents.c.id)
            .group_by(documents.c.tenant)
            .order_by(since, documents.c.tenant)
        )
        with self._db.read() as connection:
            rows = connection.execute(query).all()
            now = clock(connection) if rows else 0
        return [Ready(tenant, count, max(0, now - then)) for tenant, count, then in rows]

    def on_the_way(self, pipeline: str) -> dict[str, OnTheWay]:
        """Tenant → the most promising of the runs that the sensor launched to resume; those without any are not in
        it."""
        query = select(batches.c.tenant, batches.c.status, batches.c.gathered_at).where(
            _LAUNCHED, batches.c.pipeline == pipeline
        )
        found: dict[str, OnTheWay] = {}
        with self._db.read() as connection:
            for tenant, status, gathered in connection.execute(query):
                state: OnTheWay = "going" if gathered else "gathering" if status == "started" else "coming"
                found[tenant] = min(found.get(tenant, state), state, key=get_args(OnTheWay).index)
        return found

    def launch(self, field: str, pipeline: str, tenant: str, limit: int) -> Batch | None:
        """A batch of what is ready of a tenant, for which a run is asked; None when nothing is.

        Unless it is full, its run gathers what becomes ready until it comes to its gate.
        """
        with self._db.write() as connection:
            batch, now = self._begin(connection, tenant, pipeline, "claimed")
            count = self._take(connection, now, batch, _ready_of(batch, field), limit)
            full = now if count >= limit else None
            self._settle(connection, batch, count, attempt=1, claimed_at=now, gathered_at=full)
        return replace(batch, attempt=1) if count else None

    def take(self, field: str, pipeline: str, tenant: str, limit: int) -> tuple[Batch, int]:
        """A batch for a run by hand of what is ready, and of what runs that broke off left behind its gate; how many.

        Perhaps none: then there is no such batch.
        """
        with self._db.write() as connection:
            batch, now = self._begin(connection, tenant, pipeline, "held")
            left = left_behind(tenant, [pipeline], unopened=True).where(jobs.c[field].is_(True), ~_taken_on().exists())
            ids = [job for job, _ in connection.execute(left.limit(limit))]
            if ids:
                connection.execute(batch_jobs.insert(), [{"batch_id": batch.id, "job_id": job} for job in ids])
            count = len(ids) + self._take(connection, now, batch, _ready_of(batch, field), limit - len(ids))
            self._settle(connection, batch, count, gathered_at=now)
            return batch, count

    def stranded(self, pipeline: str, tenant: str, gates: Sequence[str]) -> Batch | None:
        """A batch, for a run by hand, of what waits at other gates than these, which are all that the pipeline has
        today, and of what such a run took and left behind when it broke off; None where nothing does. What a worker is
        at is left to it."""
        elsewhere = (
            select(jobs.c.id)
            .join(documents, documents.c.id == jobs.c.document_id)
            .outerjoin(
                stage_states, and_(stage_states.c.job_id == jobs.c.id, stage_states.c.stage == jobs.c.current_stage)
            )
            .where(
                jobs.c.status == "waiting",
                jobs.c.pipeline == pipeline,
                jobs.c.current_stage.not_in(gates),
                documents.c.tenant == tenant,
                func.coalesce(stage_states.c.status, "pending") != "running",
            )
            .order_by(jobs.c.id)
        )
        resumed = select(batch_jobs.c.job_id).join(batches, batches.c.id == batch_jobs.c.batch_id)
        resumed = resumed.where(batch_jobs.c.job_id == jobs.c.id, batches.c.kind == "resume")
        left = left_behind(tenant, [pipeline], unopened=True).where(resumed.exists(), ~_taken_on().exists())
        with self._db.read() as connection:  # asked often: look before locking
            if all(connection.execute(query.limit(1)).first() is None for query in (elsewhere, left)):
                return None
        with self._db.write() as connection:
            batch, now = self._begin(connection, tenant, pipeline, "held")
            waiting = list(connection.execute(elsewhere).scalars())
            ids = [*waiting, *(job for job, _ in connection.execute(left))]
            for first in range(0, len(waiting), _AT_ONCE):
                some = waiting[first : first + _AT_ONCE]
                lock_jobs(connection, jobs.c.id.in_(some))
                here = update(jobs).where(jobs.c.id.in_(some), jobs.c.status == "waiting")
                connection.execute(here.values(**PASSING, status="pending", updated_at=now))
            if ids:
                connection.execute(batch_jobs.insert(), [{"batch_id": batch.id, "job_id": job} for job in ids])
            self._settle(connection, batch, len(ids), gathered_at=now)
        return batch if ids else None

    def join(self, batch: Batch, field: str, limit: int, fingerprint: str, stages: Sequence[str]) -> int:
        """What else is ready goes along with a batch that still gathers; how many.

        Only jobs of the run's `fingerprint` that have all of `stages`, to which it comes no more, behind them: what the
        pipeline brought to the gate before it was changed is left to a run that begins with it.
        """
        mine = _ready_of(batch, field).where(jobs.c.fingerprint == fingerprint, done_with(stages))
        with self._db.read() as connection:  # asked often: look before locking
            if connection.execute(mine.order_by(jobs.c.updated_at).limit(1)).first() is None:
                return 0
        with self._db.write() as connection:
            self._db.take_turns(connection, _turns(batch.pipeline))
            gathering = select(batches.c.id).where(batches.c.id == batch.id, batches.c.gathered_at.is_(None))
            if connection.execute(gathering).first() is None:
                return 0
            return self._take(connection, clock(connection), batch, mine, limit)

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

    def _begin(self, connection: Connection, tenant: str, pipeline: str, status: str) -> tuple[Batch, int]:
        """A batch without documents, and the time."""
        self._db.take_turns(connection, _turns(pipeline))
        now = clock(connection)
        return new_batch(self._db, connection, now, tenant, pipeline, "resume", status, None), now

    def _settle(self, connection: Connection, batch: Batch, count: int, **values: int | None) -> None:
        """A batch that nothing came into is none."""
        mine = batches.c.id == batch.id
        connection.execute(update(batches).where(mine).values(values) if count else batches.delete().where(mine))

    def _take(self, connection: Connection, now: int, batch: Batch, which: Select[int], limit: int) -> int:
        """Put these of what is ready into a batch, the oldest first; how many."""
        query = which.order_by(jobs.c.updated_at, jobs.c.id).limit(limit)
        ids, count = sorted(connection.execute(query).scalars()), 0
        for first in range(0, len(ids), _AT_ONCE):
            some = ids[first : first + _AT_ONCE]
            lock_jobs(connection, jobs.c.id.in_(some))
            here = update(jobs).where(jobs.c.id.in_(some), jobs.c.status == "waiting")
            passing = here.values(**PASSING, status="pending", updated_at=now).returning(jobs.c.id)
            taken = [{"batch_id": batch.id, "job_id": job} for job in connection.execute(passing).scalars()]
            if taken:
                connection.execute(self._db.insert(batch_jobs).on_conflict_do_nothing(), taken)
            count += len(taken)
        return count


def _taken_on() -> Select[int]:
    """The jobs at hand, if the sensor has launched a run for them."""
    return (
        select(batch_jobs.c.job_id)
        .join(batches, batches.c.id == batch_jobs.c.batch_id)
        .where(batch_jobs.c.job_id == jobs.c.id, _LAUNCHED)
    )


def _turns(pipeline: str) -> str:
    return f"resume {pipeline}"


def _ready_of(batch: Batch, field: str) -> Select[int]:
    """The jobs that are ready and could come into a batch."""
    return (
        select(jobs.c.id)
        .join(documents, documents.c.id == jobs.c.document_id)
        .where(ready(field), jobs.c.pipeline == batch.pipeline, documents.c.tenant == batch.tenant)
    )
