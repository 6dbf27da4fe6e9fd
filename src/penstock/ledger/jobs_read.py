"""Documents on their way, as lists: jobs, batches, and the names one may filter them by. Reads only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from sqlalchemy import Select, func, select

from penstock.errors import NotFound
from penstock.ledger.database import Database
from penstock.ledger.names import documents_called
from penstock.ledger.schema import batch_jobs, batches, documents, jobs, stage_states

JOB_STATUSES = ("pending", "waiting", "done", "failed", "dead", "cancelled", "superseded", "retired")
BATCH_STATUSES = ("held", "filling", "queued", "claimed", "started", "complete", "partial", "failed", "cancelled")
_PAST = ("superseded", "retired")
_MOST_SHOWN = 8
_MOST_NAMES = 20_000
"""Names compared with one that no document has."""


@dataclass(frozen=True, slots=True)
class JobRow:
    """Times are epoch milliseconds. `reason`, `message` and `next_step` of what stands failed or dead; `waiting_for`
    a gate's ledger field."""

    job_id: int
    doc_id: str
    source: str
    source_id: str
    title: str | None
    pipeline: str
    status: str
    current_stage: str | None
    generation: int
    round: int
    waiting_for: str | None
    waiting_since: int | None
    updated_at: int
    reason: str | None
    message: str | None
    next_step: str | None


@dataclass(frozen=True, slots=True)
class BatchRow:
    id: int
    pipeline: str
    kind: str
    status: str
    submission_id: int | None
    attempt: int
    documents: int
    created_at: int
    finished_at: int | None
    note: str | None


class JobsReader:
    """Everything is asked for one tenant."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def jobs(
        self,
        tenant: str,
        *,
        status: str | None = None,
        pipeline: str | None = None,
        batch: int | None = None,
        limit: int = 50,
    ) -> tuple[list[JobRow], int]:
        """The latest jobs first, and how many match in all; without a status those that are not of the past."""
        query: Select[Any] = select(jobs.c.id).join(documents, documents.c.id == jobs.c.document_id)
        query = query.where(documents.c.tenant == tenant)
        query = query.where(jobs.c.status == status if status else jobs.c.status.not_in(_PAST))
        if pipeline is not None:
            query = query.where(jobs.c.pipeline == pipeline)
        if batch is not None:
            query = query.join(batch_jobs, batch_jobs.c.job_id == jobs.c.id).where(batch_jobs.c.batch_id == batch)
        chosen = query.order_by(jobs.c.updated_at.desc(), jobs.c.id.desc()).limit(limit).subquery()
        why = (
            select(column)
            .where(stage_states.c.job_id == jobs.c.id, stage_states.c.status.in_(("failed", "dead")))
            .order_by(stage_states.c.stage)
            .limit(1)
            .scalar_subquery()
            for column in (stage_states.c.reason, stage_states.c.message, stage_states.c.next_step)
        )
        rows: Select[Any] = (
            select(
                jobs.c.id,
                documents.c.doc_id,
                documents.c.source,
                documents.c.source_id,
                documents.c.title,
                jobs.c.pipeline,
                jobs.c.status,
                jobs.c.current_stage,
                jobs.c.generation,
                jobs.c.round,
                jobs.c.waiting_for,
                jobs.c.waiting_since,
                jobs.c.updated_at,
                *why,
            )
            .join(chosen, chosen.c.id == jobs.c.id)
            .join(documents, documents.c.id == jobs.c.document_id)
            .order_by(jobs.c.updated_at.desc(), jobs.c.id.desc())
        )
        with self._db.read() as connection:
            total = connection.execute(select(func.count()).select_from(query.subquery())).scalar_one()
            return [JobRow(*row) for row in connection.execute(rows)], int(total)

    def batches(
        self, tenant: str, *, status: str | None = None, pipeline: str | None = None, limit: int = 50
    ) -> tuple[list[BatchRow], int]:
        """The latest batches first, and how many match in all; documents that are of the past are not counted."""
        size = (
            select(func.count())
            .select_from(batch_jobs)
            .join(jobs, jobs.c.id == batch_jobs.c.job_id)
            .where(batch_jobs.c.batch_id == batches.c.id, jobs.c.status.not_in(_PAST))
            .scalar_subquery()
        )
        query: Select[Any] = select(
            batches.c.id,
            batches.c.pipeline,
            batches.c.kind,
            batches.c.status,
            batches.c.submission_id,
            batches.c.attempt,
            size,
            batches.c.created_at,
            batches.c.finished_at,
            batches.c.note,
        ).where(batches.c.tenant == tenant)
        if status is not None:
            query = query.where(batches.c.status == status)
        if pipeline is not None:
            query = query.where(batches.c.pipeline == pipeline)
        with self._db.read() as connection:
            total = connection.execute(select(func.count()).select_from(query.subquery())).scalar_one()
            found = connection.execute(query.order_by(batches.c.id.desc()).limit(limit))
            return [BatchRow(*row) for row in found], int(total)

    def pipelines(self, tenant: str, statuses: Sequence[str] = JOB_STATUSES) -> list[str]:
        """The pipelines that have jobs of these statuses."""
        query: Select[Any] = (
            select(jobs.c.pipeline)
            .distinct()
            .join(documents, documents.c.id == jobs.c.document_id)
            .where(documents.c.tenant == tenant, jobs.c.status.in_(statuses))
        )
        with self._db.read() as connection:
            return sorted(connection.execute(query).scalars())

    def reasons(self, tenant: str) -> list[str]:
        """Why documents stand failed or dead: each reason there is."""
        query: Select[Any] = (
            select(stage_states.c.reason)
            .distinct()
            .join(jobs, jobs.c.id == stage_states.c.job_id)
            .join(documents, documents.c.id == jobs.c.document_id)
            .where(
                documents.c.tenant == tenant,
                jobs.c.status.in_(("failed", "dead")),
                stage_states.c.status.in_(("failed", "dead")),
                stage_states.c.reason.is_not(None),
            )
        )
        with self._db.read() as connection:
            return sorted(connection.execute(query).scalars())

    def doc_ids(self, tenant: str, names: Iterable[str]) -> list[str]:
        """The documents that are called so (see `ledger.names`).

        Raises NotFound, with the nearest names for one that no document has, and for one that several answer to.
        """
        found: list[str] = []
        for name in names:
            with self._db.read() as connection:
                called = documents_called(connection, tenant, [name])
                query: Select[Any] = select(documents.c.doc_id, documents.c.source_id)
                rows = connection.execute(query.where(documents.c.id.in_(called[:_MOST_SHOWN]))).all()
            if not rows:
                near = self.near(tenant, name)
                raise NotFound(
                    f"no document is called {name!r}",
                    next_step=f"near it: {', '.join(near)}" if near else "penstock jobs lists the documents",
                )
            if len(called) > 1:
                some = ", ".join(f"{source_id} ({doc_id})" for doc_id, source_id in sorted(rows))
                more = ", …" if len(called) > len(rows) else ""
                raise NotFound(
                    f"{len(called)} documents answer to {name!r}: {some}{more}", next_step="name one by its document id"
                )
            found.append(rows[0].doc_id)
        return found

    def near(self, tenant: str, name: str, count: int = 5) -> list[str]:
        """Source ids that contain a name, then those spelled alike (of a path, its last part)."""
        of_tenant = select(documents.c.source_id).where(documents.c.tenant == tenant).order_by(documents.c.id)
        with self._db.read() as connection:
            within = of_tenant.where(documents.c.source_id.icontains(name, autoescape=True)).limit(count)
            found = list(connection.execute(within).scalars()) if name else []
            if len(found) < count:
                known = list(connection.execute(of_tenant.limit(_MOST_NAMES)).scalars())
                lower = {other.rpartition("/")[2].lower(): other for other in known}
                wanted = name.rpartition("/")[2].lower()
                found += [lower[close] for close in get_close_matches(wanted, lower, count, 0.6)]
        return list(dict.fromkeys(found))[:count]
