"""Stores that were replaced: whose documents have to be written once more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Select, and_, exists, func, or_, select, true, update

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

    def writers(self) -> list[tuple[str, str]]:
        """The (tenant, pipeline)s that have written to a store, sorted."""
        with self._db.read() as connection:
            query = select(stores.c.tenant, stores.c.pipeline).distinct().order_by(stores.c.tenant, stores.c.pipeline)
            return [(tenant, pipeline) for tenant, pipeline in connection.execute(query)]

    def let_go(self, tenant: str, doc_ids: Sequence[str]) -> set[str]:
        """Those of these documents that no store has to have: dead, cancelled, on their way out or retired."""
        found: set[str] = set()
        over = ("dead", "cancelled", "retiring", "retired")
        with self._db.read() as connection:
            for first in range(0, len(doc_ids), 512):
                query = (
                    select(documents.c.doc_id)
                    .join(jobs, and_(jobs.c.document_id == documents.c.id, jobs.c.generation == documents.c.generation))
                    .where(
                        documents.c.tenant == tenant,
                        documents.c.doc_id.in_(doc_ids[first : first + 512]),
                        jobs.c.pipeline == documents.c.pipeline,
                        jobs.c.status.in_(over),
                    )
                )
                found.update(connection.execute(query).scalars())
        return found

    def join_lost(
        self, batch: int, *, tenant: str, pipeline: str, stage: str, uuid: str, fingerprint: str | None = None
    ) -> int:
        """Add to a batch the documents whose sink `stage` wrote, or was about to write, to another store than this one.

        How many. One look at a small table says that there are none, as long as the store was never replaced. Of a
        document whose newest generation has not got there, the newest one that had comes back: what the old store
        held until then is held again, unless another pipeline than that of `fingerprint` made it: other vectors, say,
        would not fit in.
        """
        here = and_(stores.c.tenant == tenant, stores.c.pipeline == pipeline, stores.c.stage == stage)
        with self._db.read() as connection:
            known = set(connection.execute(select(stores.c.uuid).where(here)).scalars())
        if known == {uuid}:
            return 0
        with self._db.write() as connection:
            mine = {"tenant": tenant, "pipeline": pipeline, "stage": stage, "uuid": uuid}
            connection.execute(self._db.insert(stores).on_conflict_do_nothing(), [mine])
            if not known - {uuid}:
                return 0
            ids = list(connection.execute(_begun_elsewhere(tenant, pipeline, stage, uuid)).scalars())
            older = list(connection.execute(_older_elsewhere(tenant, pipeline, stage, uuid, fingerprint)).scalars())
            again = and_(jobs.c.id.in_(older), jobs.c.status == "superseded")
            connection.execute(update(jobs).where(again).values(status="done"))
            for first in range(0, len(ids + older), 512):
                rows = [{"batch_id": batch, "job_id": job} for job in (ids + older)[first : first + 512]]
                connection.execute(self._db.insert(batch_jobs).on_conflict_do_nothing(), rows)
            if not ids and not older:
                connection.execute(stores.delete().where(here, stores.c.uuid != uuid))
        return len(ids) + len(older)


def _begun_elsewhere(tenant: str, pipeline: str, stage: str, uuid: str) -> Select[int]:
    """Jobs of today's generation that have come to the sink, but not in this store."""
    return (
        select(jobs.c.id)
        .join(documents, documents.c.id == jobs.c.document_id)
        .join(stage_states, and_(stage_states.c.job_id == jobs.c.id, stage_states.c.stage == stage))
        .where(
            documents.c.tenant == tenant,
            jobs.c.pipeline == pipeline,
            jobs.c.status.in_(("done", "pending")),
            jobs.c.generation == documents.c.generation,
            stage_states.c.status.in_(("done", "pending", "running")),
            or_(stage_states.c.status != "done", func.coalesce(stage_states.c.store, "") != uuid),
        )
    )


def _older_elsewhere(tenant: str, pipeline: str, stage: str, uuid: str, fingerprint: str | None) -> Select[int]:
    """The newest generation that was in an older store, where a newer one has failed on its way there."""
    later, its_state = jobs.alias(), stage_states.alias()
    overtaken = exists().where(
        later.c.document_id == jobs.c.document_id,
        later.c.generation > jobs.c.generation,
        its_state.c.job_id == later.c.id,
        its_state.c.stage == stage,
        its_state.c.status == "done",
    )
    newest = jobs.alias()
    failed = exists().where(
        newest.c.document_id == jobs.c.document_id,
        newest.c.generation == documents.c.generation,
        newest.c.status.in_(("failed", "dead")),
    )
    return (
        select(jobs.c.id)
        .join(documents, documents.c.id == jobs.c.document_id)
        .join(stage_states, and_(stage_states.c.job_id == jobs.c.id, stage_states.c.stage == stage))
        .where(
            documents.c.tenant == tenant,
            jobs.c.pipeline == pipeline,
            jobs.c.generation < documents.c.generation,
            true() if fingerprint is None else jobs.c.fingerprint == fingerprint,
            or_(  # or brought back by a run that was killed
                and_(jobs.c.status == "superseded", stage_states.c.status == "done"),
                jobs.c.status.in_(("done", "pending")),
            ),
            or_(stage_states.c.status != "done", func.coalesce(stage_states.c.store, "") != uuid),
            ~overtaken,
            failed,
        )
    )
