"""What the ledger knows of a group of records before it takes it in."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, or_, select

from penstock.ledger.listing import KnownDocument, KnownJob, Record, Route
from penstock.ledger.schema import documents, jobs, origins

Places = dict[str, tuple[bytes, int]]
"""Origin → the content it gave last time, and the document it gave it for."""
Current = dict[int, KnownJob]
"""Document → its job of today's generation."""


def documents_of(connection: Connection, route: Route, group: Sequence[Record]) -> dict[str, KnownDocument]:
    query = select(
        documents.c.source_id,
        documents.c.id,
        documents.c.content,
        documents.c.generation,
        documents.c.fingerprint,
        documents.c.pipeline,
        documents.c.kind,
    ).where(
        documents.c.tenant == route.tenant,
        documents.c.source == route.source,
        documents.c.source_id.in_([r.source_id for r in group]),
    )
    return {row[0]: KnownDocument(*row[1:]) for row in connection.execute(query)}


def places_of(connection: Connection, route: Route, group: Sequence[Record]) -> Places:
    query = select(origins.c.key, origins.c.content, origins.c.document_id).where(
        origins.c.tenant == route.tenant,
        origins.c.source == route.source,
        origins.c.key.in_([r.origin for r in group]),
    )
    return {row[0]: (row[1], row[2]) for row in connection.execute(query)}


def jobs_of(connection: Connection, route: Route, docs: Collection[KnownDocument]) -> Current:
    """Document → its job of today's generation: this pipeline's, else one that somebody cancelled in another."""
    generations = {d.id: d.generation for d in docs}
    query = select(jobs.c.document_id, jobs.c.generation, jobs.c.id, jobs.c.status, jobs.c.pipeline).where(
        jobs.c.document_id.in_(generations),
        or_(jobs.c.pipeline == route.pipeline, jobs.c.status == "cancelled"),
    )
    found: Current = {}
    for document, generation, *job in connection.execute(query):
        if generation == generations[document] and (document not in found or job[2] == route.pipeline):
            found[document] = KnownJob(*job)
    return found


def is_cancelled(job: KnownJob | None) -> bool:
    return job is not None and job.status == "cancelled"


def is_unchanged(
    r: Record,
    route: Route,
    doc: KnownDocument | None,
    places: Places,
    current: Current,
) -> bool:
    """Whether there is nothing to do for a record: same place and bytes, and its job under way, ended or cancelled."""
    if doc is None or places.get(r.origin) != (r.content, doc.id) or r.kind != doc.kind:
        return False
    job = current.get(doc.id)
    if job is None or is_cancelled(job):
        return job is not None
    same = (doc.fingerprint, doc.pipeline) == (route.fingerprint, route.pipeline)
    return same and job.status in ("done", "pending", "waiting", "dead")
