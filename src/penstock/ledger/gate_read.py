"""How the documents at gates stand, for people: who waits, who is being worked on, who is ready. Reads only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, and_, func, select

from penstock.ledger.database import Database, clock
from penstock.ledger.leases import at_work
from penstock.ledger.schema import documents, jobs, runners, stage_states
from penstock.ledger.waiting import ready, unready


@dataclass(frozen=True, slots=True)
class AtGate:
    """A document that waits for `field`, since `since`. `ready`: it has it, and a run takes it on next; else
    `worked_on`: since when a worker is at it, None when nobody is, `lost`: how many came to a bad end over it, and
    `until`: when it fails if nobody is at it then, None where it may wait for ever. Times are epoch milliseconds."""

    field: str
    since: int
    ready: bool
    worked_on: int | None
    lost: int
    until: int | None


@dataclass(frozen=True, slots=True)
class Queue:
    """A tenant's documents at a pipeline's gates for one field: those that wait for it, and those that have it."""

    tenant: str
    pipeline: str
    field: str
    waiting: int
    ready: int


class GateReader:
    def __init__(self, database: Database) -> None:
        self._db = database

    def now(self) -> int:
        """By the ledger's clock."""
        with self._db.read() as connection:
            return clock(connection)

    def standing(self, job_ids: Sequence[int]) -> dict[int, AtGate]:
        """Those of the jobs that wait at a gate."""
        at = and_(stage_states.c.job_id == jobs.c.id, stage_states.c.stage == jobs.c.current_stage)
        query: Select[Any] = (
            select(
                jobs,
                stage_states.c.status.label("state"),
                stage_states.c.started_at,
                stage_states.c.lost,
                runners.c.owner,
                runners.c.expires_at,
                runners.c.ended_at,
            )
            .outerjoin(stage_states, at)
            .outerjoin(runners, runners.c.id == stage_states.c.runner_id)
            .where(jobs.c.id.in_(job_ids), jobs.c.status == "waiting")
        )
        with self._db.read() as connection:
            now = clock(connection)
            return {row.id: _at_gate(row, now) for row in connection.execute(query)}

    def queues(self, tenant: str | None = None, pipeline: str | None = None) -> list[Queue]:
        """What waits at gates, by default of all tenants; nothing where nothing does."""
        query = (
            select(documents.c.tenant, jobs.c.pipeline, func.count())
            .join(documents, documents.c.id == jobs.c.document_id)
            .group_by(documents.c.tenant, jobs.c.pipeline)
        )
        if tenant is not None:
            query = query.where(documents.c.tenant == tenant)
        if pipeline is not None:
            query = query.where(jobs.c.pipeline == pipeline)
        found: dict[tuple[str, str, str], list[int]] = {}
        with self._db.read() as connection:
            fields = connection.execute(select(jobs.c.waiting_for).distinct().where(jobs.c.status == "waiting"))
            for field in fields.scalars().all():
                for place, condition in enumerate((unready(field), ready(field))):
                    for whose, name, count in connection.execute(query.where(condition, jobs.c.waiting_for == field)):
                        found.setdefault((whose, name, field), [0, 0])[place] = count
        return [Queue(*at, *counts) for at, counts in sorted(found.items())]

    def any_ready(self, field: str, tenant: str, pipeline: str) -> bool:
        """Found by an index, however many others wait."""
        return self._any(ready(field), jobs.c.pipeline == pipeline, documents.c.tenant == tenant)

    def any_waiting(self, tenant: str, pipeline: str) -> bool:
        return self._any(jobs.c.status == "waiting", jobs.c.pipeline == pipeline, documents.c.tenant == tenant)

    def _any(self, *conditions: Any) -> bool:
        query = select(jobs.c.id).join(documents, documents.c.id == jobs.c.document_id).where(*conditions).limit(1)
        with self._db.read() as connection:
            return connection.execute(query).first() is not None


def _at_gate(row: Any, now: int) -> AtGate:
    ready = bool(getattr(row, row.waiting_for))
    worked_on = row.state == "running" and at_work(row.owner, row.expires_at, row.ended_at, now)
    return AtGate(
        row.waiting_for,
        row.waiting_since,
        ready,
        row.started_at if worked_on else None,
        row.lost or 0,
        None if ready else row.waiting_until,
    )
