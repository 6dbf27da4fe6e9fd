"""Which documents a person means by a name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, or_, select

from penstock.ledger.schema import documents, origins


def documents_called(connection: Connection, tenant: str, names: Sequence[str]) -> list[int]:
    """The rows of documents with such a document id or source id, in order.

    Where there are none, those that came from such a place; else those of which that is the end of either, after a
    slash: `notes/a.md` for what is below any folder.
    """
    d, o = documents.c, origins.c
    named = select(d.id).where(d.tenant == tenant, or_(d.doc_id.in_(names), d.source_id.in_(names)))
    placed = select(o.document_id).where(o.tenant == tenant, or_(o.uri.in_(names), o.key.in_(names)))
    for query in (named, placed):
        if found := set(connection.execute(query).scalars()):
            return sorted(found)
    ends = tuple(f"/{name}" for name in names)
    rows = connection.execute(
        select(d.id, d.source_id, o.uri)
        .join(origins, o.document_id == d.id)
        .where(d.tenant == tenant, or_(_ends(d.source_id, ends), _ends(o.uri, ends)))
    )
    # Once more here, since SQLite's LIKE takes a letter for its capital.
    return sorted({row for row, name, uri in rows if name.endswith(ends) or uri.endswith(ends)})


def _ends(column: Any, ends: Sequence[str]) -> ColumnElement[bool]:
    return or_(*(column.endswith(end, autoescape=True) for end in ends))
