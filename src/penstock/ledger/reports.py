"""What the ledger tells people: counts, tables, failures. Reads only."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, and_, func, or_, select

from penstock.ledger.database import Database
from penstock.ledger.schema import batch_jobs, dead_letters, documents, jobs, stage_states


@dataclass(frozen=True, slots=True)
class StageCounts:
    stage: str
    done: int = 0
    reused: int = 0
    running: int = 0
    pending: int = 0
    failed: int = 0
    dead: int = 0


@dataclass(frozen=True, slots=True)
class FailedDocument:
    source_id: str
    doc_id: str
    pipeline: str
    stage: str
    status: str
    reason: str
    error_type: str
    message: str
    next_step: str
    attempts: int


PAST = ("superseded", "cancelled", "retiring", "retired")
"""Jobs that no run is about any more."""


class Reports:
    def __init__(self, database: Database) -> None:
        self._db = database

    def statuses(self, batch: int) -> dict[str, int]:
        """Job status → number of documents of a batch."""
        query = (
            select(jobs.c.status, func.count())
            .join(batch_jobs, batch_jobs.c.job_id == jobs.c.id)
            .where(batch_jobs.c.batch_id == batch)
            .group_by(jobs.c.status)
        )
        with self._db.read() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def stages(self, batch: int) -> dict[str, StageCounts]:
        """Stage → how its documents of a batch stand; what is past is left out."""
        query = (
            select(stage_states.c.stage, stage_states.c.status, stage_states.c.reused, func.count())
            .join(batch_jobs, batch_jobs.c.job_id == stage_states.c.job_id)
            .join(jobs, jobs.c.id == stage_states.c.job_id)
            .where(batch_jobs.c.batch_id == batch, jobs.c.status.not_in(PAST))
            .group_by(stage_states.c.stage, stage_states.c.status, stage_states.c.reused)
        )
        found: dict[str, dict[str, int]] = {}
        with self._db.read() as connection:
            for stage, status, reused, count in connection.execute(query):
                slot = "reused" if status == "done" and reused else status
                counts = found.setdefault(stage, {})
                counts[slot] = counts.get(slot, 0) + count
        return {stage: StageCounts(stage, **counts) for stage, counts in found.items()}

    def passed(self, batch: int, stage: str, store: str | None = None) -> int:
        """How many documents of a batch have this stage behind them; of a sink, in this store."""
        query = (
            select(func.count())
            .select_from(batch_jobs)
            .join(stage_states, stage_states.c.job_id == batch_jobs.c.job_id)
            .join(jobs, jobs.c.id == batch_jobs.c.job_id)
            .where(
                batch_jobs.c.batch_id == batch,
                stage_states.c.stage == stage,
                stage_states.c.status == "done",
                jobs.c.status.not_in(PAST),
            )
        )
        if store is not None:
            query = query.where(stage_states.c.store == store)
        with self._db.read() as connection:
            return int(connection.execute(query).scalar_one())

    def failures(
        self,
        batch: int | None = None,
        *,
        tenant: str | None = None,
        pipeline: str | None = None,
        stage: str | None = None,
        since: int | None = None,
        besides: Collection[str] = (),
        limit: int = 200,
    ) -> list[FailedDocument]:
        """Documents that stand failed or dead, with the reason, oldest first. `since`: only those that have stood so
        since then or later (epoch milliseconds); `besides`: not those that do at one of these stages."""
        query: Select[Any] = (
            select(
                documents.c.source_id,
                documents.c.doc_id,
                jobs.c.pipeline,
                stage_states.c.stage,
                stage_states.c.status,
                stage_states.c.reason,
                stage_states.c.error_type,
                stage_states.c.message,
                stage_states.c.next_step,
                stage_states.c.attempts,
            )
            .select_from(jobs)
            .join(documents, documents.c.id == jobs.c.document_id)
            .join(
                stage_states,
                and_(stage_states.c.job_id == jobs.c.id, stage_states.c.status.in_(("failed", "dead"))),
            )
            .where(jobs.c.status.in_(("failed", "dead")), stage_states.c.stage.not_in(besides))
            .order_by(jobs.c.id)
            .limit(limit)
        )
        if batch is not None:
            query = query.join(batch_jobs, batch_jobs.c.job_id == jobs.c.id).where(batch_jobs.c.batch_id == batch)
        if tenant is not None:
            query = query.where(documents.c.tenant == tenant)
        if pipeline is not None:
            query = query.where(jobs.c.pipeline == pipeline)
        if stage is not None:
            query = query.where(stage_states.c.stage == stage)
        if since is not None:
            query = query.where(jobs.c.updated_at >= since)
        with self._db.read() as connection:
            return [FailedDocument(*row) for row in connection.execute(query)]

    def lost_documents(self, batch: int) -> Sequence[tuple[str, str, int, bytes]]:
        """(source, doc id, document row, payload key) of a batch's dead and failed documents, and of those that were
        dead-lettered and shall be tried again: to fetch them anew."""
        buried = select(dead_letters.c.id).where(dead_letters.c.job_id == jobs.c.id)
        query = (
            select(documents.c.source, documents.c.doc_id, documents.c.id, documents.c.content)
            .select_from(batch_jobs)
            .join(jobs, jobs.c.id == batch_jobs.c.job_id)
            .join(documents, documents.c.id == jobs.c.document_id)
            .where(
                batch_jobs.c.batch_id == batch,
                or_(jobs.c.status.in_(("failed", "dead")), and_(jobs.c.status == "pending", buried.exists())),
            )
            .order_by(jobs.c.id)
        )
        with self._db.read() as connection:
            return [(row[0], row[1], row[2], row[3]) for row in connection.execute(query)]
