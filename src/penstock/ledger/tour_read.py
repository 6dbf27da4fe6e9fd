"""What a tour of a ledger points at: what is in it, by kind, and what its graph says most about. Reads only."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, or_, select

from penstock.ledger.database import Database
from penstock.ledger.graph_schema import graph_claims, graph_entities
from penstock.ledger.schema import chunks, documents, jobs


@dataclass(frozen=True, slots=True)
class KindRow:
    """How many documents and chunks there are of a kind; `title` is one of the documents'."""

    kind: str
    documents: int
    chunks: int
    title: str | None


class TourReader:
    def __init__(self, database: Database) -> None:
        self._db = database

    def kinds(self, tenant: str) -> list[KindRow]:
        """Of what stands done, most first."""
        cut = select(func.count()).where(chunks.c.job_id == jobs.c.id).scalar_subquery()
        query = (
            select(documents.c.kind, func.count(), func.sum(cut), func.min(documents.c.title))
            .join(jobs, (jobs.c.document_id == documents.c.id) & (jobs.c.generation == documents.c.generation))
            .where(documents.c.tenant == tenant, jobs.c.pipeline == documents.c.pipeline, jobs.c.status == "done")
            .group_by(documents.c.kind)
            .order_by(func.count().desc(), documents.c.kind)
        )
        with self._db.read() as connection:
            return [KindRow(row[0], row[1], int(row[2] or 0), row[3]) for row in connection.execute(query)]

    def busiest(self, tenant: str, type: str | None = None) -> str | None:
        """The key of the entity that most claims are about; None where there is none of this type."""
        e, c = graph_entities.c, graph_claims.c
        query = (
            select(e.key)
            .join(graph_claims, or_(c.subject_id == e.id, c.object_id == e.id))
            .where(e.tenant == tenant, *([e.type == type] if type else []))
            .group_by(e.id, e.key)
            .order_by(func.count().desc(), e.key)
            .limit(1)
        )
        with self._db.read() as connection:
            found = connection.execute(query).scalar()
        return None if found is None else str(found)
