# ruff: noqa: S608 — only words of this program become SQL; what comes from outside is bound
"""Replacing and removing documents' rows, inside a transaction that somebody else holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import apsw

from penstock.errors import UsageError
from penstock.ir import IndexReceipt
from penstock.stores import search_schema
from penstock.stores.search_rows import Prepared, Space


class _Held(NamedTuple):
    """What the index has of a document."""

    number: int
    generation: int
    token: int
    first: int
    chunks: int
    vectors: int
    live: int

    @property
    def last(self) -> int:
        return self.first + self.chunks - 1


def write(db: apsw.Connection, part: Sequence[Prepared], path: Path, *, absent_only: bool) -> list[IndexReceipt]:
    """Replace each document that isn't older than what is held. No document may occur twice in `part`."""
    store = str(db.execute("SELECT value FROM meta WHERE key = 'uuid'").get)
    next_document = _next(db, "documents")
    accepted: list[tuple[int, int, Prepared]] = []
    outdated: list[_Held] = []
    receipts: list[IndexReceipt] = []
    for item in part:
        document = item.document
        tenant = _tenant(db, document.tenant)
        held = _held(db, tenant, document.doc_id)
        fresh = held is None or (document.generation, document.token) >= (held.generation, held.token)
        if absent_only and held is not None and held.live:
            fresh = False
        if fresh:
            number = held.number if held else next_document
            next_document += held is None
            if held:
                outdated.append(held)
            accepted.append((number, tenant, item))
        receipts.append(
            IndexReceipt(
                store=store,
                generation=document.generation,
                token=document.token,
                chunks=len(document.chunks),
                vectors=len(item.vectors),
                accepted=fresh,
            )
        )
    _agree_on_space(db, [item for _, _, item in accepted], path)
    _put(db, accepted, outdated)
    if accepted:
        _changed(db)
    return receipts


def remove(db: apsw.Connection, tenant: str, doc_id: str, *, order: tuple[int, int] | None = None) -> bool:
    """Empty a document's row and delete its chunks; whether it was there.

    With an `order` (generation, token), which the row then keeps, only if what is held isn't newer.
    """
    number = tenant_number(db, tenant)
    held = _held(db, number, doc_id) if number is not None else None
    if held is None or (order is not None and order < (held.generation, held.token)):
        return False
    if order is not None:
        db.execute("UPDATE documents SET generation = ?, token = ? WHERE number = ?", (*order, held.number))
    db.execute("DELETE FROM chunks WHERE number BETWEEN ? AND ?", (held.first, held.last))
    _delete_found_by(db, [held])
    db.execute(
        "UPDATE documents SET live = 0, source = '', source_id = '', kind = '', title = '', date = NULL,"
        " metadata = '{}', first = 0, chunks = 0, vectors = 0 WHERE number = ? AND live",
        (held.number,),
    )
    gone = db.changes() > 0
    _changed(db)
    return gone


def tenant_number(db: apsw.Connection, name: str) -> int | None:
    number = db.execute("SELECT number FROM tenants WHERE name = ?", (name,)).get
    return number if isinstance(number, int) else None


def state(db: apsw.Connection) -> str | None:
    """A word that is another after each write; None in a file that no newer Penstock has written to."""
    found = db.execute("SELECT value FROM meta WHERE key = 'state'").get
    return found if isinstance(found, str) else None


def space(db: apsw.Connection) -> Space | None:
    found = dict(db.execute("SELECT key, value FROM meta WHERE key IN ('model', 'dimension')"))
    return Space(str(found["model"]), int(str(found["dimension"]))) if found else None


def _put(db: apsw.Connection, accepted: Sequence[tuple[int, int, Prepared]], outdated: Sequence[_Held]) -> None:
    """Ordinary tables first: a statement on one of them between those on `words` makes FTS5 flush what it gathered."""
    first = _next(db, "chunks")
    documents: list[tuple[object, ...]] = []
    chunks: list[tuple[object, ...]] = []
    words: list[tuple[object, ...]] = []
    vectors: list[tuple[object, ...]] = []
    for number, tenant, item in accepted:
        d = item.document
        about = (d.source, d.source_id, d.kind, d.title, d.date, item.metadata)
        rows = (first, len(d.chunks), len(item.vectors))
        documents.append((number, tenant, d.doc_id, d.generation, d.token, *about, *rows))
        vectors += [(first + row, tenant, vector) for row, vector in enumerate(item.vectors)]
        for chunk, heading in zip(d.chunks, item.headings, strict=True):
            chunks.append((first, number, chunk.chunk_id, chunk.ordinal, chunk.start, chunk.end, heading, chunk.text))
            words.append((first, chunk.text, " ".join((d.title, *chunk.heading)), f"t{tenant}"))
            first += 1
    db.executemany("DELETE FROM chunks WHERE number BETWEEN ? AND ?", [(d.first, d.last) for d in outdated])
    db.executemany("REPLACE INTO documents VALUES (?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?)", documents)
    db.executemany("INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?, ?, ?)", chunks)
    _delete_found_by(db, outdated)
    db.executemany("INSERT INTO words (rowid, text, title, tenant) VALUES (?, ?, ?, ?)", words)
    if vectors:
        db.executemany("INSERT INTO vectors (rowid, tenant, embedding) VALUES (?, ?, ?)", vectors)


def _delete_found_by(db: apsw.Connection, documents: Sequence[_Held]) -> None:
    """Row by row: both virtual tables walk through all they hold for a range of rows (FTS5: 60 times slower)."""
    rows = [(row,) for d in documents for row in range(d.first, d.last + 1)]
    db.executemany("DELETE FROM words WHERE rowid = ?", rows)
    rows = [(row,) for d in documents if d.vectors for row in range(d.first, d.last + 1)]
    if rows:
        db.executemany("DELETE FROM vectors WHERE rowid = ?", rows)


def settle(db: apsw.Connection, given: Space) -> Space:
    """The index's space; where it has none yet, `given` from now on."""
    held = space(db)
    if held is None:
        search_schema.create_vectors(db, given.dimension)
        db.executemany("INSERT INTO meta VALUES (?, ?)", [("model", given.model), ("dimension", str(given[1]))])
    return held or given


def _agree_on_space(db: apsw.Connection, part: Sequence[Prepared], path: Path) -> None:
    """The first vectors decide model and dimension; others must match."""
    for item in part:
        if not item.vectors:
            continue
        given = Space(item.document.model, item.dimension)
        if (held := settle(db, given)) != given:
            raise UsageError(
                f"{path} holds vectors of {held.model} ({held.dimension} dimensions); vectors of {given.model}"
                f" ({given.dimension}) can't be mixed with them",
                reason="other-vectors",
                next_step=f"go back to {held.model}; {search_schema.OTHER_MODEL}",
            )


def _changed(db: apsw.Connection) -> None:
    db.execute("REPLACE INTO meta VALUES ('state', hex(randomblob(8)))")


def _held(db: apsw.Connection, tenant: int, doc_id: str) -> _Held | None:
    row = db.execute(
        "SELECT number, generation, token, first, chunks, vectors, live FROM documents WHERE tenant = ? AND doc_id = ?",
        (tenant, doc_id),
    ).get
    return _Held(*row) if isinstance(row, tuple) else None


def _tenant(db: apsw.Connection, name: str) -> int:
    number = tenant_number(db, name)
    if number is None:
        number = int(str(db.execute("INSERT INTO tenants (name) VALUES (?) RETURNING number", (name,)).get))
    return number


def _next(db: apsw.Connection, table: str) -> int:
    return int(str(db.execute(f"SELECT coalesce(max(number), 0) + 1 FROM {table}").get))
