"""What people look documents and chunks up by: columns beside the artifacts."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, update

from penstock.ledger.schema import chunks, documents
from penstock.ledger.turns import Done


def copy_out(connection: Connection, done: Sequence[Done]) -> None:
    """What people look documents and chunks up by, copied out of the outputs into columns."""
    titles = [{"b_id": d.claim.document_id, "b_title": d.title} for d in done if d.title is not None]
    if titles:
        connection.execute(
            update(documents).where(documents.c.id == bindparam("b_id")).values(title=bindparam("b_title")), titles
        )
    chunked = [d for d in done if d.chunk_rows]
    if chunked:
        earlier = chunks.c.job_id.in_([d.claim.job_id for d in chunked])  # of this stage, or of another that chunks
        connection.execute(chunks.delete().where(earlier))
        connection.execute(
            chunks.insert(),
            [
                {"job_id": d.claim.job_id, "ordinal": n, "chunk_id": chunk_id, "start": start, "end": end}
                for d in chunked
                for n, (chunk_id, start, end) in enumerate(d.chunk_rows)
            ],
        )
