# ruff: noqa: S608 — only words of this program become SQL; what comes from outside is bound
"""The embedded search index: BM25 by SQLite FTS5, exact cosine by sqlite-vec, in a file of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import apsw
import numpy as np
import orjson
from numpy.typing import NDArray

from penstock.ir import IndexReceipt
from penstock.stores import search_query
from penstock.stores.search_check import digest, problems
from penstock.stores.search_file import SearchFile
from penstock.stores.search_filters import Filters
from penstock.stores.search_query import Query, Tokenize
from penstock.stores.search_rows import (
    STORED_CHUNK,
    Counts,
    IndexedDocument,
    LegHit,
    Space,
    StoredChunk,
    parts,
    prepare,
    stored_chunks,
)
from penstock.stores.search_vectors import VectorSearch
from penstock.stores.search_words import by_words
from penstock.stores.search_write import remove, settle, space, tenant_number, write

TRANSACTION_BYTES = 8_000_000
NO_FILTERS = Filters()


class SqliteSearchIndex:
    """Documents' chunks, found by words and by vectors, never across tenants.

    Safe for many processes and threads on one local disk (not NFS). The file is made when first used; one that was
    deleted meanwhile is made anew, with another `store_id`. Every method may raise StoreBusy (locked too long),
    StorageFull, and UsageError (not an index, damaged, another schema version) with what to do.

    `building`: what is written goes to the generation that is being built, if one is; see `search_generations`.
    """

    def __init__(self, path: Path | str, *, busy_seconds: float = 30.0, building: bool = False) -> None:
        self._file = SearchFile(Path(path), busy_seconds=busy_seconds, building=building)
        self._searched = SqliteSearchIndex(path, busy_seconds=busy_seconds) if building else None
        self._vectors = VectorSearch()

    @property
    def path(self) -> Path:
        """The file that is used now: another generation's than before once that has taken its place."""
        return self._file.path

    @property
    def exists(self) -> bool:
        """Whether there is a file already; asking doesn't make one."""
        path = self.path
        return path.is_file() and path.stat().st_size > 0

    def close(self) -> None:
        """Close this thread's connection; the next call opens another."""
        self._file.close()
        if self._searched is not None:
            self._searched.close()

    def snapshot(self) -> AbstractContextManager[apsw.Connection]:
        """Reads inside see one state of the index, and row numbers hold."""
        return self._file.reading()

    def store_id(self) -> str:
        with self._file.reading() as db:
            return str(db.execute("SELECT value FROM meta WHERE key = 'uuid'").get)

    # Writing

    def replace(self, rows: Sequence[IndexedDocument], *, absent_only: bool = False) -> list[IndexReceipt]:
        """Put each document in whole, in place of what the index had of it; one receipt each, in order.

        One transaction, or several of at most TRANSACTION_BYTES. A document that the index holds at a higher
        (generation, token), or with `absent_only` holds at all, is left as it is, and its receipt says
        `accepted=False`.
        Raises InvalidOutput for vectors that don't fit their chunks, UsageError for vectors of another model or
        dimension than the index holds; nothing was written of the transaction it happened in.
        """
        receipts: list[IndexReceipt] = []
        for part in parts([prepare(row) for row in rows], TRANSACTION_BYTES):
            with self._file.writing() as db:
                receipts += write(db, part, self.path, absent_only=absent_only)
        return receipts

    def remove(self, tenant: str, doc_ids: Iterable[str]) -> int:
        """Take documents out; how many were there. Their (generation, token) stays, to fence off late writers."""
        with self._file.writing() as db:
            return sum(remove(db, tenant, doc_id) for doc_id in doc_ids)

    def retire(self, documents: Iterable[tuple[str, str, int, int]]) -> int:
        """Take (tenant, doc id, generation, token)s out, unless newer ones are held; how many were there.

        While another generation is being built, out of the one that is searched too: what is retired is found no more.
        """
        documents = list(documents)
        if self._searched is not None and self._searched.path != self.path:
            self._searched.retire(documents)
        with self._file.writing() as db:
            return sum(
                remove(db, tenant, doc_id, order=(generation, token)) for tenant, doc_id, generation, token in documents
            )

    def pin(self, given: Space) -> Space:
        """Decide for model and dimension before there are vectors; what is held then, if others decided first."""
        with self._file.writing() as db:
            return settle(db, given)

    # Finding

    def tokenizer(self) -> Tokenize:
        """The words of a text as the index sees them: stemmed, folded, with their places."""
        with self._file.reading() as db:
            return search_query.tokenizer(db)

    def query(self, text: str) -> Query:
        """What a person typed, ready for `bm25`. Raises UsageError when it is too long."""
        return search_query.parse(text, self.tokenizer())

    def bm25(self, tenant: str, query: Query | str, k: int, filters: Filters = NO_FILTERS) -> list[LegHit]:
        """The `k` best chunks by words, best first. A query without words finds nothing."""
        query = self.query(query) if isinstance(query, str) else query
        with self._file.reading() as db:
            number = tenant_number(db, tenant)
            if number is None or not query.expression or k < 1:
                return []
            rows = filters.rows(db, number)
            if rows is not None and not len(rows):
                return []
            return by_words(db, number, query, k, rows)

    def dense(self, tenant: str, vector: NDArray[np.float32], k: int, filters: Filters = NO_FILTERS) -> list[LegHit]:
        """The `k` (at most MAX_NEIGHBOURS) chunks nearest to `vector`, shape (dimension,), exactly, nearest first.

        Raises UsageError when the vector's dimension isn't the index's.
        """
        with self._file.reading() as db:
            held, number = space(db), tenant_number(db, tenant)
            if held is None or number is None or k < 1:
                return []
            rows = filters.rows(db, number)
            if rows is not None and not len(rows):
                return []
            return self._vectors.nearest(db, held, number, vector, k, rows)

    def chunks(self, numbers: Iterable[int]) -> dict[int, StoredChunk]:
        """Chunks by the row numbers that a leg gave, in the same snapshot."""
        with self._file.reading() as db:
            wanted = orjson.dumps(list(numbers)).decode()
            return dict(
                stored_chunks(
                    db.execute(f"{STORED_CHUNK} WHERE c.number IN (SELECT value FROM json_each(?))", (wanted,))
                )
            )

    def owners(self, numbers: Iterable[int]) -> dict[int, int]:
        """The document (as a number, of the same snapshot) that each row belongs to."""
        with self._file.reading() as db:
            wanted = orjson.dumps(list(numbers)).decode()
            rows = db.execute(
                "SELECT number, document FROM chunks WHERE number IN (SELECT value FROM json_each(?))", (wanted,)
            )
            return dict(rows)

    # Looking up

    @property
    def space(self) -> Space | None:
        """Model and dimension of the vectors held; None before the first came."""
        with self._file.reading() as db:
            return space(db)

    def generation_of(self, tenant: str, doc_id: str) -> int | None:
        """The generation that is searchable now; None when the document isn't there."""
        with self._file.reading() as db:
            found = db.execute(
                "SELECT generation FROM documents WHERE tenant = (SELECT number FROM tenants WHERE name = ?)"
                " AND doc_id = ? AND live",
                (tenant, doc_id),
            ).get
            return None if found is None else int(str(found))

    def chunk(self, tenant: str, chunk_id: str) -> StoredChunk | None:
        """One chunk with what is known of its document."""
        return next(iter(self.select(tenant, Filters(chunk_ids=(chunk_id,)))), None)

    def select(self, tenant: str, filters: Filters = NO_FILTERS) -> list[StoredChunk]:
        """All chunks that pass the filters, as they were written."""
        conditions, bindings = filters.sql()
        with self._file.reading() as db:
            rows = db.execute(f"{STORED_CHUNK} WHERE t.name = ?{conditions} ORDER BY c.number", (tenant, *bindings))
            return [chunk for _, chunk in stored_chunks(rows)]

    def vectors(self, tenant: str, chunk_ids: Iterable[str]) -> dict[str, NDArray[np.float32]]:
        """The vectors of chunks that have one."""
        with self._file.reading() as db:
            if space(db) is None:
                return {}
            rows = db.execute(
                "SELECT c.chunk_id, v.embedding FROM json_each(?) w JOIN chunks c ON c.chunk_id = w.value"
                " JOIN documents d ON d.number = c.document JOIN tenants t ON t.number = d.tenant"
                " JOIN vectors v ON v.rowid = c.number WHERE t.name = ?",
                (orjson.dumps(list(chunk_ids)).decode(), tenant),
            )
            return {chunk_id: np.frombuffer(blob, np.float32) for chunk_id, blob in rows}

    def origins(self, tenant: str) -> list[tuple[str, str]]:
        """The (source, kind) pairs that the tenant's documents have, sorted."""
        with self._file.reading() as db:
            rows = db.execute(
                "SELECT DISTINCT source, kind FROM documents WHERE live"
                " AND tenant = (SELECT number FROM tenants WHERE name = ?) ORDER BY source, kind",
                (tenant,),
            )
            return [(source, kind) for source, kind in rows]

    def fields(self, tenant: str) -> list[str]:
        """The names of the metadata that the tenant's documents have, sorted."""
        with self._file.reading() as db:
            rows = db.execute(
                "SELECT DISTINCT m.key FROM documents d, json_each(d.metadata) m"
                " WHERE d.tenant = (SELECT number FROM tenants WHERE name = ?) ORDER BY m.key",
                (tenant,),
            )
            return [name for (name,) in rows]

    def values(self, tenant: str, field: str) -> list[str | int | float | bool]:
        """What the tenant's documents have under a name of their metadata, each once, sorted; lists' members singly."""
        with self._file.reading() as db:
            rows = db.execute(
                "SELECT DISTINCT m.value, m.type FROM documents d, json_each(d.metadata, ?) m"
                " WHERE d.tenant = (SELECT number FROM tenants WHERE name = ?) AND m.atom IS NOT NULL ORDER BY m.value",
                (f'$."{field}"', tenant),
            )
            return [bool(value) if kind in ("true", "false") else value for value, kind in rows]

    # Proving

    def count(self, tenant: str | None = None) -> Counts:
        """How much the index holds, of one tenant or of all."""
        with self._file.reading() as db:
            row = db.execute(
                "SELECT coalesce(sum(live), 0), coalesce(sum(chunks), 0), coalesce(sum(vectors), 0) FROM documents"
                " WHERE ?1 IS NULL OR tenant = (SELECT number FROM tenants WHERE name = ?1)",
                (tenant,),
            ).get
            return Counts(*row)

    def documents(self) -> set[tuple[str, str]]:
        """Each document that is searchable, as (tenant, doc id)."""
        with self._file.reading() as db:
            rows = db.execute(
                "SELECT t.name, d.doc_id FROM documents d JOIN tenants t ON t.number = d.tenant WHERE live"
            )
            return {(tenant, doc_id) for tenant, doc_id in rows}

    def chunk_ids(self, tenant: str) -> set[str]:
        with self._file.reading() as db:
            rows = db.execute(
                "SELECT c.chunk_id FROM chunks c JOIN documents d ON d.number = c.document"
                " WHERE d.tenant = (SELECT number FROM tenants WHERE name = ?)",
                (tenant,),
            )
            return {chunk_id for (chunk_id,) in rows}

    def digest(self) -> str:
        """sha256 (hex) of all content in canonical order; row numbers, generations and tokens left out."""
        with self._file.reading() as db:
            return digest(db)

    def problems(self) -> list[str]:
        """What is wrong inside: damaged pages, rows that belong to nothing. Empty when all is well."""
        with self._file.reading() as db:
            return problems(db)
