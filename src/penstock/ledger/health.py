"""What of a tenant's got stuck, and which outputs should be elsewhere: for `penstock doctor`. Reads only."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, func, select

from penstock.ledger.batches import left_behind
from penstock.ledger.database import Database
from penstock.ledger.schema import artifacts, documents, jobs


class Health:
    def __init__(self, database: Database, tenant: str) -> None:
        self._db, self._tenant = database, tenant

    def stuck(self) -> dict[str, int]:
        """How many documents stand dead, and how many failed; only what there is."""
        query: Select[Any] = (
            select(jobs.c.status, func.count())
            .join(documents, documents.c.id == jobs.c.document_id)
            .where(documents.c.tenant == self._tenant, jobs.c.status.in_(("dead", "failed")))
            .group_by(jobs.c.status)
            .order_by(jobs.c.status)
        )
        with self._db.read() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def left_behind(self) -> int:
        """How many documents are on their way with nobody to take them further: those that a retry takes too."""
        query = select(func.count()).select_from(left_behind(self._tenant, None).subquery())
        with self._db.read() as connection:
            return int(connection.execute(query).scalar_one())

    def on_the_way(self, most: int) -> list[tuple[str, int]]:
        """Document ids and generations of the latest that are pending."""
        query: Select[Any] = (
            select(documents.c.doc_id, jobs.c.generation)
            .join(documents, documents.c.id == jobs.c.document_id)
            .where(documents.c.tenant == self._tenant, jobs.c.status == "pending")
            .order_by(jobs.c.id.desc())
            .limit(most)
        )
        with self._db.read() as connection:
            return [(row[0], row[1]) for row in connection.execute(query)]

    def stored(self, most: int) -> list[str]:
        """Hashes (hex) of the latest outputs whose bytes are not in the ledger but in the artifact store."""
        query: Select[Any] = (
            select(artifacts.c.hash)
            .join(documents, documents.c.id == artifacts.c.document_id)
            .where(documents.c.tenant == self._tenant, artifacts.c.body.is_(None))
            .order_by(artifacts.c.id.desc())
            .limit(most)
        )
        with self._db.read() as connection:
            return [bytes(digest).hex() for digest in connection.execute(query).scalars()]
