"""Documents at gates. A worker outside commits the gate's output and sets the field; this sorts, marks, and counts how
long they have waited."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, false, func, null, or_, select, text, update

from penstock.errors import GateTimeout
from penstock.ledger.database import Database, clock
from penstock.ledger.events import record
from penstock.ledger.leases import kept
from penstock.ledger.locks import lock_jobs
from penstock.ledger.schema import PASSING, batch_jobs, documents, jobs, stage_states

OVERDUE = text("jobs.status = 'waiting' AND jobs.waiting_until IS NOT NULL")
LOST = text("jobs.status IN ('failed', 'dead')")
"""In the words of the partial indexes, or no database would use them."""
AT_ONCE = 500
"""Documents that are changed in one transaction where there may be a great many, so that nobody waits long for it."""
_AT_GATE = and_(stage_states.c.job_id == jobs.c.id, stage_states.c.stage == jobs.c.current_stage)


@dataclass(frozen=True, slots=True)
class Sorted:
    ready: int
    waiting: int


@dataclass(frozen=True, slots=True)
class LostAtGate:
    """A document that did not get through its gate in this round, `at` that time (epoch milliseconds)."""

    job_id: int
    round: int
    at: int
    pipeline: str
    gate: str
    source_id: str
    doc_id: str
    status: str
    reason: str
    message: str
    next_step: str

    @property
    def key(self) -> str:
        """Names this failure: a document fails once a round."""
        return f"{self.job_id}:{self.round}"


class Gates:
    def __init__(self, database: Database) -> None:
        self._db = database

    def sort(
        self,
        batch: int,
        gate: str,
        parents: Sequence[str],
        field: str,
        equals: bool,
        timeout_seconds: float | None = None,
    ) -> Sorted:
        """Of a batch's documents that have come to the gate: mark those that wait, count those that may pass.

        A document may pass when its field has the wanted value and the gate's output is there (one transaction of the
        worker's sets both).
        """
        state = stage_states.alias()
        passed = (
            select(state.c.job_id)
            .where(state.c.job_id == jobs.c.id, state.c.stage == gate, state.c.status == "done")
            .exists()
        )
        ready = and_(jobs.c[field].is_(equals), passed)
        here: list[ColumnElement[bool]] = [
            jobs.c.id.in_(select(batch_jobs.c.job_id).where(batch_jobs.c.batch_id == batch))
        ]
        for parent in parents:
            upper = stage_states.alias()
            here.append(
                select(upper.c.job_id)
                .where(upper.c.job_id == jobs.c.id, upper.c.stage == parent, upper.c.status == "done")
                .exists()
            )
        open_jobs = jobs.c.status.in_(("pending", "waiting"))
        with self._db.write() as connection:
            lock_jobs(connection, *here)
            now = clock(connection)
            until = None if timeout_seconds is None else now + int(timeout_seconds * 1000)
            connection.execute(
                update(jobs)
                .where(*here, jobs.c.status == "pending", ~ready)
                .values(
                    status="waiting",
                    waiting_for=field,
                    waiting_since=now,
                    waiting_until=until,
                    current_stage=gate,
                    updated_at=now,
                    **{field: False},  # without the gate's output it has to be given again
                )
            )
            connection.execute(
                update(jobs)
                .where(*here, jobs.c.status == "waiting", ready)
                .values(**PASSING, status="pending", updated_at=now)
            )
            connection.execute(  # the gate's timeout is what it is today
                update(jobs)
                .where(*here, jobs.c.status == "waiting")
                .values(waiting_until=None if timeout_seconds is None else jobs.c.waiting_since + until - now)
            )
            counts = connection.execute(
                select(
                    func.count().filter(ready),
                    func.count().filter(and_(open_jobs, ~ready)),
                ).where(*here)
            ).one()
        return Sorted(counts[0], counts[1])

    def retime(self, pipeline: str, timeouts: Mapping[str, float | None]) -> int:
        """Let what waits already wait until its gate says today (gate → seconds, None: for ever); for how many that is
        another time. At a gate that is no more it waits for ever. Reads all that waits: for once, where a pipeline was
        just loaded."""
        changed = 0
        gone: tuple[ColumnElement[bool], float | None] = (jobs.c.current_stage.not_in(list(timeouts)), None)
        for there, seconds in (*((jobs.c.current_stage == gate, s) for gate, s in timeouts.items()), gone):
            until = null() if seconds is None else jobs.c.waiting_since + int(seconds * 1000)
            changes = jobs.c.waiting_until.is_distinct_from(until)
            here = and_(jobs.c.status == "waiting", jobs.c.pipeline == pipeline, there, changes)
            while ids := self._some(here):
                with self._db.write() as connection:
                    lock_jobs(connection, jobs.c.id.in_(ids))
                    mine = update(jobs).where(jobs.c.id.in_(ids), here)
                    changed += connection.execute(mine.values(waiting_until=until)).rowcount
        return changed

    def _some(self, which: ColumnElement[bool]) -> list[int]:
        with self._db.read() as connection:
            return list(connection.execute(select(jobs.c.id).where(which).order_by(jobs.c.id).limit(AT_ONCE)).scalars())

    def expire(self) -> int:
        """Documents that have waited for longer than their gate allows have failed; how many, AT_ONCE at most.

        Those that a worker is at are left to it.
        """
        with self._db.read() as connection:
            ids = list(connection.execute(_overdue(clock(connection)).limit(AT_ONCE)).scalars())
        if not ids:
            return 0
        with self._db.write() as connection:
            lock_jobs(connection, jobs.c.id.in_(ids))
            now = clock(connection)
            found = connection.execute(_overdue(now).where(jobs.c.id.in_(ids))).all()
            for job, stage, field, since in found:
                waited = _duration((now - since) // 1000)
                error = GateTimeout(f"it has waited {waited} for {field}, longer than the gate {stage} allows")
                state = {"status": "failed", "finished_at": now, **kept(error)}
                insert = self._db.insert(stage_states).values(job_id=job, stage=stage, token=1, started_at=now, **state)
                connection.execute(insert.on_conflict_do_update(index_elements=["job_id", "stage"], set_=state))
                connection.execute(
                    update(jobs).where(jobs.c.id == job).values(**PASSING, status="failed", updated_at=now)
                )
                record(connection, now, "failed", stage, [job], error.reason)
            return len(found)

    def lost(
        self, gates: Collection[tuple[str, str]], since: int, limit: int, tenant: str | None = None
    ) -> list[LostAtGate]:
        """Documents, by default of all tenants, that failed or died at one of these gates (pipeline, stage) from then
        on and stand so, in the order in which that happened."""
        query: Select[Any] = (
            select(
                jobs.c.id,
                jobs.c.round,
                jobs.c.updated_at,
                jobs.c.pipeline,
                jobs.c.current_stage,
                documents.c.source_id,
                documents.c.doc_id,
                jobs.c.status,
                stage_states.c.reason,
                stage_states.c.message,
                stage_states.c.next_step,
            )
            .join(documents, documents.c.id == jobs.c.document_id)
            .join(stage_states, _AT_GATE)
            .where(
                LOST,
                jobs.c.updated_at >= since,
                stage_states.c.status.in_(("failed", "dead")),
                or_(false(), *(and_(jobs.c.pipeline == name, jobs.c.current_stage == gate) for name, gate in gates)),
            )
            .order_by(jobs.c.updated_at, jobs.c.id)
            .limit(limit)
        )
        if tenant is not None:
            query = query.where(documents.c.tenant == tenant)
        with self._db.read() as connection:
            return [LostAtGate(*row) for row in connection.execute(query)]


def _overdue(now: int) -> Select[int, str, str, int]:
    return (
        select(jobs.c.id, jobs.c.current_stage, jobs.c.waiting_for, jobs.c.waiting_since)
        .outerjoin(stage_states, _AT_GATE)
        .where(
            OVERDUE,
            jobs.c.waiting_until <= now,
            or_(stage_states.c.status.is_(None), stage_states.c.status == "pending"),
        )
    )


def _duration(seconds: int) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
