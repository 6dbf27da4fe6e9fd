"""Outputs of stages: found by what they were made from, read, and given up when their bytes are lost."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import and_, bindparam, select, update

from penstock.ledger.database import Database
from penstock.ledger.locks import lock_jobs
from penstock.ledger.schema import artifacts, documents, jobs, stage_states
from penstock.ledger.turns import Claim, Done, Stored

_STORED = (
    artifacts.c.id,
    artifacts.c.document_id,
    artifacts.c.key,
    artifacts.c.hash,
    artifacts.c.kind,
    artifacts.c.size,
)


class Outputs:
    def __init__(self, database: Database) -> None:
        self._db = database

    def inputs(self, stages: Sequence[str], claims: Sequence[Claim]) -> dict[tuple[int, str], Stored]:
        """(job, stage) → the artifact that this stage gave, without its bytes."""
        query = (
            select(
                stage_states.c.job_id,
                stage_states.c.stage,
                *_STORED,
            )
            .join(jobs, jobs.c.id == stage_states.c.job_id)
            .join(
                artifacts,
                and_(artifacts.c.document_id == jobs.c.document_id, artifacts.c.key == stage_states.c.output),
            )
            .where(
                stage_states.c.job_id.in_([c.job_id for c in claims]),
                stage_states.c.stage.in_(stages),
                stage_states.c.status == "done",
            )
        )
        with self._db.read() as connection:
            return {(row[0], row[1]): Stored(*row[2:]) for row in connection.execute(query)}

    def contents(self, claims: Sequence[Claim]) -> dict[int, bytes]:
        """Document → the key of its payload."""
        query = select(documents.c.id, documents.c.content).where(documents.c.id.in_([c.document_id for c in claims]))
        with self._db.read() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def existing(self, kind: str, keys: Collection[tuple[int, bytes]]) -> dict[tuple[int, bytes], Stored]:
        """Which of these (document, key) have an artifact of this kind already."""
        query = select(*_STORED).where(
            artifacts.c.document_id.in_([document for document, _ in keys]), artifacts.c.kind == kind
        )  # by document, then sifted here: a row-value IN would scan the table on SQLite
        wanted = set(keys)
        with self._db.read() as connection:
            return {(row[1], row[2]): Stored(*row) for row in connection.execute(query) if (row[1], row[2]) in wanted}

    def bodies(self, stored: Iterable[Stored]) -> dict[int, tuple[bytes | None, bytes | None]]:
        """Artifact id → (head, body); body None where it rests in the artifact store."""
        query = select(artifacts.c.id, artifacts.c.head, artifacts.c.body).where(
            artifacts.c.id.in_({s.id for s in stored})
        )
        with self._db.read() as connection:
            return {row[0]: (row[1], row[2]) for row in connection.execute(query)}

    def keep(self, done: Done) -> None:
        """An output that is no stage's, to be found by its key again (see `existing`)."""
        with self._db.write(durable=False) as connection:
            values = {
                "document_id": done.stored.document_id,
                "key": done.stored.key,
                "hash": done.stored.hash,
                "kind": done.stored.kind,
                "size": done.stored.size,
                "head": done.head,
                "body": done.body,
            }
            insert = self._db.insert(artifacts).values(**values)
            connection.execute(insert.on_conflict_do_update(index_elements=["document_id", "key"], set_=values))

    def newest(self, kind: str, tenant: str, doc_id: str) -> tuple[bytes | None, bytes] | None:
        """The head and body of a document's newest artifact of a kind, where there is one that is kept inline."""
        query = (
            select(artifacts.c.head, artifacts.c.body)
            .join(documents, documents.c.id == artifacts.c.document_id)
            .where(documents.c.tenant == tenant, documents.c.doc_id == doc_id)
            .where(artifacts.c.kind == kind, artifacts.c.body.is_not(None))
            .order_by(artifacts.c.id.desc())
            .limit(1)
        )
        with self._db.read() as connection:
            row = connection.execute(query).first()
            return (row[0], row[1]) if row else None

    def redo(self, due: Collection[tuple[int, str]], lost: Collection[Stored]) -> None:
        """Forget artifacts whose bytes are lost, and let (job, stage) that are done be made again, in a new round."""
        if not due and not lost:
            return
        affected = jobs.c.id.in_({job for job, _ in due})
        with self._db.write() as connection:
            lock_jobs(connection, affected)
            if lost:
                connection.execute(artifacts.delete().where(artifacts.c.id.in_({stored.id for stored in lost})))
            if due:
                statement = (
                    update(stage_states)
                    .where(
                        stage_states.c.job_id == bindparam("b_job"),
                        stage_states.c.stage == bindparam("b_stage"),
                        stage_states.c.status == "done",
                    )
                    .values(status="pending", output=None)
                )
                connection.execute(statement, [{"b_job": job, "b_stage": stage} for job, stage in due])
                connection.execute(update(jobs).where(affected).values(round=jobs.c.round + 1))
