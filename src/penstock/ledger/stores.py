"""Stores that were replaced: whose documents have to be written once more."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import and_, func, select

from penstock.ledger.database import Database
from penstock.ledger.schema import batch_jobs, documents, jobs, stage_states, stores


class Stores:
    def __init__(self, database: Database) -> None:
        self._db = database

    def forsaken(self, *, tenant: str, pipeline: str, written: Mapping[str, str]) -> list[str]:
        """The stages that once wrote to a store which none of this pipeline's sinks (stage → uuid) writes to now."""
        gone = and_(
            stores.c.tenant == tenant,
            stores.c.pipeline == pipeline,
            stores.c.stage.not_in(written),
            stores.c.uuid.not_in(written.values()),
        )
        with self._db.read() as connection:
            return list(connection.execute(select(stores.c.stage).distinct().where(gone)).scalars())

    def join_lost(self, batch: int, *, tenant: str, pipeline: str, stage: str, uuid: str) -> int:
        """Add to a batch the documents that are done but whose sink `stage` wrote to another store than this one.

        How many. One look at a small table says that there are none, as long as the store was never replaced.
        """
        here = and_(stores.c.tenant == tenant, stores.c.pipeline == pipeline, stores.c.stage == stage)
        with self._db.read() as connection:
            known = set(connection.execute(select(stores.c.uuid).where(here)).scalars())
        if known == {uuid}:
            return 0
        lost = (
            select(jobs.c.id)
            .join(documents, documents.c.id == jobs.c.document_id)
            .join(stage_states, and_(stage_states.c.job_id == jobs.c.id, stage_states.c.stage == stage))
            .where(
                documents.c.tenant == tenant,
                jobs.c.pipeline == pipeline,
                jobs.c.status == "done",
                jobs.c.generation == documents.c.generation,
                stage_states.c.status == "done",
                func.coalesce(stage_states.c.store, "") != uuid,
            )
        )
        with self._db.write() as connection:
            mine = {"tenant": tenant, "pipeline": pipeline, "stage": stage, "uuid": uuid}
            connection.execute(self._db.insert(stores).on_conflict_do_nothing(), [mine])
            if not known - {uuid}:
                return 0
            ids = list(connection.execute(lost).scalars())
            for first in range(0, len(ids), 512):
                rows = [{"batch_id": batch, "job_id": job} for job in ids[first : first + 512]]
                connection.execute(self._db.insert(batch_jobs).on_conflict_do_nothing(), rows)
            if not ids:
                connection.execute(stores.delete().where(here, stores.c.uuid != uuid))
        return len(ids)
