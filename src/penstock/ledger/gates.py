"""Documents at a gate. A worker outside commits the gate's output and sets the field; this only sorts and marks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, func, select, update

from penstock.ledger.database import Database, clock
from penstock.ledger.locks import lock_jobs
from penstock.ledger.schema import batch_jobs, jobs, stage_states


@dataclass(frozen=True, slots=True)
class Sorted:
    ready: int
    waiting: int


class Gates:
    def __init__(self, database: Database) -> None:
        self._db = database

    def sort(self, batch: int, gate: str, parents: Sequence[str], field: str, equals: bool) -> Sorted:
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
            connection.execute(
                update(jobs)
                .where(*here, jobs.c.status == "pending", ~ready)
                .values(status="waiting", waiting_for=field, waiting_since=now, current_stage=gate, updated_at=now)
            )
            connection.execute(
                update(jobs)
                .where(*here, jobs.c.status == "waiting", ready)
                .values(status="pending", waiting_for=None, waiting_since=None, updated_at=now)
            )
            counts = connection.execute(
                select(
                    func.count().filter(ready),
                    func.count().filter(and_(open_jobs, ~ready)),
                ).where(*here)
            ).one()
        return Sorted(counts[0], counts[1])
