"""What the ledger knows about one document, row by row. Reads only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Select, and_, func, select

from penstock.ledger.database import Database, clock
from penstock.ledger.graph_schema import graph_documents
from penstock.ledger.leases import at_work
from penstock.ledger.names import documents_called
from penstock.ledger.schema import (
    RUNNING,
    artifacts,
    batch_jobs,
    batches,
    chunks,
    dead_letters,
    definitions,
    documents,
    jobs,
    origins,
    runners,
    stage_states,
    submissions,
)


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """`content` is the sha256 of the payload that `generation` is about. Times are epoch milliseconds."""

    row: int
    doc_id: str
    tenant: str
    source: str
    source_id: str
    kind: str
    title: str | None
    content: bytes
    generation: int
    pipeline: str
    created_at: int
    updated_at: int


@dataclass(frozen=True, slots=True)
class PlaceRow:
    """A place that gave this document's bytes (`content`, their sha256) when it was last listed."""

    uri: str
    key: str
    version: str
    content: bytes
    seen_at: int


@dataclass(frozen=True, slots=True)
class JobState:
    id: int
    pipeline: str
    generation: int
    round: int
    status: str
    current_stage: str | None
    waiting_for: str | None
    waiting_since: int | None
    created_at: int
    updated_at: int


@dataclass(frozen=True, slots=True)
class StageRow:
    """`contract` to `options` (JSON) say what the stage was when it last ran; None where it was never defined."""

    job_id: int
    stage: str
    status: str
    attempts: int
    lost: int
    started_at: int
    finished_at: int | None
    reused: bool
    store: str | None
    error_type: str | None
    reason: str | None
    message: str | None
    next_step: str | None
    contract: str | None
    implementation: str | None
    version: str | None
    model: str | None
    options: str | None


@dataclass(frozen=True, slots=True)
class DeadLetterRow:
    job_id: int
    stage: str
    round: int
    error_type: str
    reason: str
    message: str
    next_step: str
    detail: str | None
    created_at: int


@dataclass(frozen=True, slots=True)
class BatchOfJob:
    job_id: int
    batch: int
    kind: str
    status: str
    submission: int | None
    request: str | None


@dataclass(frozen=True, slots=True)
class Artifact:
    """`body` None: it rests in the artifact store under `hash`."""

    kind: str
    hash: bytes
    size: int
    head: bytes | None
    body: bytes | None

    def content(self, get: Callable[[str], bytes]) -> bytes:
        """Its body; `get` fetches one from the artifact store by name (sha256, hex)."""
        return self.body if self.body is not None else get(self.hash.hex())


class ExplainReader:
    def __init__(self, database: Database) -> None:
        self._db = database

    def documents(self, tenant: str, names: Sequence[str]) -> list[DocumentRow]:
        """Documents that answer to any of the names (see `ledger.names`)."""
        d = documents.c
        columns: tuple[Any, ...] = (
            d.id, d.doc_id, d.tenant, d.source, d.source_id, d.kind, d.title, d.content, d.generation, d.pipeline,
            d.created_at, d.updated_at,
        )  # fmt: skip
        with self._db.read() as connection:
            called = documents_called(connection, tenant, names)
            parts = [called[first : first + 512] for first in range(0, len(called), 512)]
            found = [select(*columns).where(d.id.in_(part)).order_by(d.id) for part in parts]
            return [DocumentRow(*row) for query in found for row in connection.execute(query)]

    def places(self, document: int) -> list[PlaceRow]:
        """The latest first."""
        o = origins.c
        query: Select[Any] = select(o.uri, o.key, o.version, o.content, o.seen_at).where(o.document_id == document)
        with self._db.read() as connection:
            rows = connection.execute(query.order_by(o.seen_at.desc(), o.key))
            return [PlaceRow(*row) for row in rows]

    def jobs(self, document: int) -> list[JobState]:
        """The newest generation first."""
        j = jobs.c
        query: Select[Any] = select(
            j.id, j.pipeline, j.generation, j.round, j.status, j.current_stage, j.waiting_for, j.waiting_since,
            j.created_at, j.updated_at,
        ).where(j.document_id == document)  # fmt: skip
        with self._db.read() as connection:
            return [JobState(*row) for row in connection.execute(query.order_by(j.generation.desc(), j.id.desc()))]

    def stages(self, job_ids: Sequence[int]) -> list[StageRow]:
        """In the order in which they were begun. What somebody runs who is not there any more is pending."""
        s, d, r = stage_states.c, definitions.c, runners.c
        query: Select[Any] = (
            select(
                s.job_id, s.stage, s.status, s.attempts, s.lost, s.started_at, s.finished_at, s.reused, s.store,
                s.error_type, s.reason, s.message, s.next_step,
                d.contract, d.implementation, d.version, d.model, d.options,
                r.owner, r.expires_at, r.ended_at,
            )
            .outerjoin(definitions, d.id == s.definition_id)
            .outerjoin(runners, and_(r.id == s.runner_id, RUNNING))
            .where(s.job_id.in_(job_ids))
            .order_by(s.started_at, s.finished_at, s.stage)
        )  # fmt: skip
        with self._db.read() as connection:
            now = clock(connection)
            return [_stage_row(row, now) for row in connection.execute(query)]

    def dead_letters(self, job_ids: Sequence[int]) -> list[DeadLetterRow]:
        """In the order in which they were written."""
        d = dead_letters.c
        query: Select[Any] = select(
            d.job_id, d.stage, d.round, d.error_type, d.reason, d.message, d.next_step, d.detail, d.created_at
        ).where(d.job_id.in_(job_ids))
        with self._db.read() as connection:
            return [DeadLetterRow(*row) for row in connection.execute(query.order_by(d.id))]

    def batches(self, job_ids: Sequence[int]) -> list[BatchOfJob]:
        """The latest first."""
        b, s = batches.c, submissions.c
        query: Select[Any] = (
            select(batch_jobs.c.job_id, b.id, b.kind, b.status, b.submission_id, s.request)
            .join(batches, b.id == batch_jobs.c.batch_id)
            .outerjoin(submissions, s.id == b.submission_id)
            .where(batch_jobs.c.job_id.in_(job_ids))
            .order_by(b.id.desc())
        )
        with self._db.read() as connection:
            return [BatchOfJob(*row) for row in connection.execute(query)]

    def payload(self, document: int, digest: bytes) -> Artifact | None:
        """The payload of this sha256 as the document came with it."""
        a = artifacts.c
        query: Select[Any] = select(a.kind, a.hash, a.size, a.head, a.body).where(
            a.document_id == document, a.key == digest
        )
        with self._db.read() as connection:
            row = connection.execute(query).first()
        return None if row is None else Artifact(*row)

    def outputs(self, job: int, kind: str) -> list[Artifact]:
        """What the job's finished stages gave of this kind."""
        a, s = artifacts.c, stage_states.c
        query: Select[Any] = (
            select(a.kind, a.hash, a.size, a.head, a.body)
            .join(jobs, jobs.c.document_id == a.document_id)
            .join(stage_states, and_(s.job_id == jobs.c.id, s.output == a.key, s.status == "done"))
            .where(jobs.c.id == job, a.kind == kind)
            .order_by(s.stage)
        )
        with self._db.read() as connection:
            return [Artifact(*row) for row in connection.execute(query)]

    def gate_outputs(self, tenant: str, doc_ids: Sequence[str], kind: str) -> dict[tuple[str, int], Artifact]:
        """(document, generation) → what a worker at a gate gave of this kind, of those that went through one."""
        a, s, j, d = artifacts.c, stage_states.c, jobs.c, documents.c
        query: Select[Any] = (
            select(d.doc_id, j.generation, a.kind, a.hash, a.size, a.head, a.body)
            .join(jobs, j.document_id == d.id)
            .join(stage_states, and_(s.job_id == j.id, s.status == "done"))
            .join(artifacts, and_(a.document_id == d.id, a.key == s.output, a.kind == kind))
            .where(d.tenant == tenant, d.doc_id.in_(doc_ids), j.pdf_ir_ready)
        )
        with self._db.read() as connection:
            return {(row[0], row[1]): Artifact(*row[2:]) for row in connection.execute(query)}

    def chunk_jobs(self, tenant: str, chunk_id: str) -> list[tuple[int, int, str]]:
        """(job, generation, doc id) of the jobs that made a chunk of this id, the newest generation first."""
        query: Select[Any] = (
            select(jobs.c.id, jobs.c.generation, documents.c.doc_id)
            .join(chunks, chunks.c.job_id == jobs.c.id)
            .join(documents, documents.c.id == jobs.c.document_id)
            .where(documents.c.tenant == tenant, chunks.c.chunk_id == chunk_id)
            .order_by(jobs.c.generation.desc(), jobs.c.id.desc())
        )
        doc_id = chunk_id.rpartition(":")[0]
        with self._db.read() as connection:
            rows = connection.execute(query.where(documents.c.doc_id == doc_id)).all()
            rows = rows or connection.execute(query).all()
        return [(row[0], row[1], row[2]) for row in rows]

    def chunk_count(self, document: int, generation: int) -> int:
        """How many chunks a generation of a document has."""
        query: Select[Any] = (
            select(func.count())
            .select_from(chunks)
            .join(jobs, jobs.c.id == chunks.c.job_id)
            .where(jobs.c.document_id == document, jobs.c.generation == generation)
            .group_by(jobs.c.id)
            .order_by(jobs.c.id.desc())
        )
        with self._db.read() as connection:
            return int(connection.execute(query).scalar() or 0)

    def graph_generation(self, tenant: str, doc_id: str) -> int | None:
        """The generation that the graph holds of a document."""
        g = graph_documents.c
        query: Select[Any] = select(g.generation).where(g.tenant == tenant, g.doc_id == doc_id)
        with self._db.read() as connection:
            found = connection.execute(query).scalar()
        return None if found is None else int(found)


def _stage_row(row: Sequence[Any], now: int) -> StageRow:
    *stage, owner, expires_at, ended_at = row
    found = StageRow(*stage)
    gone = found.status == "running" and not at_work(owner, expires_at, ended_at, now)
    return replace(found, status="pending") if gone else found
