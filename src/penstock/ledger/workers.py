"""Workers at gates, as they tell of themselves: which engine, what they are on, how fast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, and_, select, update

from penstock.ledger.database import Database, clock
from penstock.ledger.leases import at_work
from penstock.ledger.schema import RUNNING, documents, jobs, runners, stage_states, workers


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """`owner` is host|boot|pid namespace|pid|start time. Times are milliseconds; `beat` is how long ago it was last
    heard of, and what it is `on` are (document, since how long)."""

    runner_id: int
    owner: str
    field: str
    engine: str
    slots: int
    documents: int
    failures: int
    pages: int
    busy_ms: int
    up: int
    beat: int
    alive: bool
    on: tuple[tuple[str, int], ...]

    @property
    def pages_per_second(self) -> float:
        """While it had something to do, all its slots together."""
        return self.pages * self.slots * 1000 / self.busy_ms if self.busy_ms else 0.0


class Workers:
    def __init__(self, database: Database) -> None:
        self._db = database

    def register(self, runner: int, field: str, engine: str, slots: int, *, before: int | None = None) -> None:
        """Also again. `before`: which runner it was until it lost its lease; it stays one worker, with what it did."""
        with self._db.write(durable=False) as connection:
            if before is not None:
                was = update(workers).where(workers.c.runner_id == before)
                connection.execute(was.values(runner_id=runner))
            row = {"runner_id": runner, "field": field, "engine": engine, "slots": slots}
            connection.execute(self._db.insert(workers).values(**row).on_conflict_do_nothing())

    def did(self, runner: int, *, documents: int = 0, failures: int = 0, pages: int = 0, busy_ms: int = 0) -> None:
        """Add to what it has done."""
        with self._db.write(durable=False) as connection:
            connection.execute(
                update(workers)
                .where(workers.c.runner_id == runner)
                .values(
                    documents=workers.c.documents + documents,
                    failures=workers.c.failures + failures,
                    pages=workers.c.pages + pages,
                    busy_ms=workers.c.busy_ms + busy_ms,
                )
            )

    def status(self, *, ended: bool = False, limit: int = 50) -> list[WorkerRow]:
        """The workers there are, newest first; `ended`: also those that are gone."""
        query: Select[Any] = (
            select(
                workers,
                runners.c.owner,
                runners.c.started_at,
                runners.c.expires_at,
                runners.c.lease_ms,
                runners.c.ended_at,
            )
            .join(runners, runners.c.id == workers.c.runner_id)
            .order_by(workers.c.runner_id.desc())
            .limit(limit)
        )
        if not ended:
            query = query.where(runners.c.ended_at.is_(None))
        with self._db.read() as connection:
            now = clock(connection)
            return [
                WorkerRow(
                    row.runner_id,
                    row.owner,
                    row.field,
                    row.engine,
                    row.slots,
                    row.documents,
                    row.failures,
                    row.pages,
                    row.busy_ms,
                    up=(row.ended_at or now) - row.started_at,
                    beat=max(0, now - (row.expires_at - row.lease_ms)),
                    alive=at_work(row.owner, row.expires_at, row.ended_at, now),
                    on=tuple((name, max(0, now - since)) for name, since in connection.execute(_at(row.runner_id))),
                )
                for row in connection.execute(query).all()
            ]

    def waiting_on(self, field: str) -> int:
        """How many workers are there for a field."""
        query = (
            select(runners.c.owner, runners.c.expires_at, runners.c.ended_at)
            .join(workers, workers.c.runner_id == runners.c.id)
            .where(workers.c.field == field, runners.c.ended_at.is_(None))
        )
        with self._db.read() as connection:
            now = clock(connection)
            return sum(at_work(*row, now) for row in connection.execute(query))


def _at(runner: int) -> Select[str, int]:
    return (
        select(documents.c.source_id, stage_states.c.started_at)
        .join(jobs, jobs.c.id == stage_states.c.job_id)
        .join(documents, documents.c.id == jobs.c.document_id)
        .where(and_(stage_states.c.runner_id == runner, RUNNING))
        .order_by(stage_states.c.started_at)
    )
