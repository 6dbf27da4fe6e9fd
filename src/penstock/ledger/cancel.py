"""A document taken off its way for good: its state stays, nobody goes on with it, whoever is at it is fenced off."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import and_, select, update

from penstock.ledger.database import Database, clock
from penstock.ledger.locks import lock_jobs
from penstock.ledger.schema import documents, jobs, stage_states

CANCELLABLE = ("pending", "waiting", "failed", "dead")


def cancel(database: Database, tenant: str, doc_ids: Sequence[str]) -> list[str]:
    """Cancel what these documents have under way; the ids of those that had something.

    A running stage's token rises, so that what it still commits is refused. Only `penstock retry --status cancelled`,
    or other bytes under the same name, set a cancelled document going again.
    """
    cancelled: set[str] = set()
    with database.write() as connection:
        now = clock(connection)
        for first in range(0, len(doc_ids), 512):
            named = select(documents.c.id).where(
                documents.c.tenant == tenant, documents.c.doc_id.in_(doc_ids[first : first + 512])
            )
            open_jobs = and_(jobs.c.document_id.in_(named), jobs.c.status.in_(CANCELLABLE))
            lock_jobs(connection, open_jobs)
            found = connection.execute(
                select(jobs.c.id, documents.c.doc_id)
                .join(documents, documents.c.id == jobs.c.document_id)
                .where(open_jobs)
            ).all()
            ids = [row.id for row in found]
            connection.execute(
                update(stage_states)
                .where(stage_states.c.job_id.in_(ids), stage_states.c.status == "running")
                .values(status="pending", runner_id=None, token=stage_states.c.token + 1)
            )
            connection.execute(
                update(jobs)
                .where(jobs.c.id.in_(ids))
                .values(status="cancelled", waiting_for=None, waiting_since=None, updated_at=now)
            )
            cancelled.update(row.doc_id for row in found)
    return [doc_id for doc_id in doc_ids if doc_id in cancelled]
