"""What goes into the search index and what comes out of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from penstock.errors import InvalidOutput
from penstock.ir import Chunk


@dataclass(frozen=True, slots=True, eq=False)
class IndexedDocument:
    """All that the index holds of one document.

    `date` is ISO 8601 as precise as known (2024, 2024-03, 2024-03-09). `metadata` is JSON that filters can ask for.
    `vectors`: float32, shape (chunks, dimension), in the space that `model` names; or None, then only words are found.
    """

    tenant: str
    doc_id: str
    generation: int
    token: int
    source: str
    source_id: str
    kind: str
    title: str
    chunks: Sequence[Chunk]
    date: str | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)
    vectors: NDArray[np.float32] | None = None
    model: str = ""


class Counts(NamedTuple):
    documents: int
    chunks: int
    vectors: int


class Space(NamedTuple):
    """The vector space of an index."""

    model: str
    dimension: int


class LegHit(NamedTuple):
    """`number` is the chunk's row, true only within one snapshot. `score`: greater is better (BM25, or cosine)."""

    number: int
    score: float


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """A chunk with what the index knows of its document."""

    tenant: str
    doc_id: str
    generation: int
    token: int
    source: str
    source_id: str
    kind: str
    title: str
    date: str | None
    metadata: dict[str, object]
    chunk_id: str
    ordinal: int
    start: int
    end: int
    heading: tuple[str, ...]
    text: str


STORED_CHUNK = """
SELECT c.number, t.name, d.doc_id, d.generation, d.token, d.source, d.source_id, d.kind, d.title, d.date, d.metadata,
       c.chunk_id, c.ordinal, c.start, c."end", c.heading, c.text
FROM chunks c JOIN documents d ON d.number = c.document JOIN tenants t ON t.number = d.tenant
"""


def stored_chunks(rows: Iterable[tuple[object, ...]]) -> Iterator[tuple[int, StoredChunk]]:
    """Rows of a STORED_CHUNK query as `(row number, chunk)`."""
    for number, *columns in rows:
        columns[9] = orjson.loads(str(columns[9]))
        columns[14] = tuple(orjson.loads(str(columns[14])))
        yield int(str(number)), StoredChunk(*columns)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A document as bound values, all serialising done: nothing of that belongs inside a transaction."""

    document: IndexedDocument
    metadata: str
    headings: list[str]
    vectors: list[bytes]
    dimension: int
    size: int
    """About how many bytes it adds to a transaction."""


def prepare(document: IndexedDocument) -> Prepared:
    """Raises InvalidOutput for vectors that are not one finite, non-zero row a chunk, and for repeated chunk ids."""
    if len({chunk.chunk_id for chunk in document.chunks}) != len(document.chunks):
        raise InvalidOutput(f"document {document.doc_id} has two chunks of one id")
    metadata = orjson.dumps(document.metadata, option=orjson.OPT_SORT_KEYS).decode()
    headings = [orjson.dumps(chunk.heading).decode() for chunk in document.chunks]
    vectors, dimension = _vector_rows(document)
    size = len(metadata) + sum(len(chunk.text) + 200 for chunk in document.chunks) + 4 * dimension * len(vectors)
    return Prepared(document, metadata, headings, vectors, dimension, size)


def _vector_rows(document: IndexedDocument) -> tuple[list[bytes], int]:
    if document.vectors is None or not document.chunks:
        return [], 0
    rows = np.ascontiguousarray(document.vectors, np.float32)
    if rows.ndim != 2 or len(rows) != len(document.chunks) or not rows.shape[1]:
        raise InvalidOutput(
            f"document {document.doc_id}: vectors of shape {rows.shape} for {len(document.chunks)} chunks"
        )
    if not np.isfinite(rows).all():
        raise InvalidOutput(f"document {document.doc_id}: a vector holds NaN or infinity")
    if not rows.any(axis=1).all():
        raise InvalidOutput(f"document {document.doc_id}: a vector is all zeros and has no direction")
    width = 4 * rows.shape[1]
    data = rows.tobytes()
    return [data[at : at + width] for at in range(0, len(data), width)], rows.shape[1]


def parts(documents: Iterable[Prepared], limit: int) -> Iterator[list[Prepared]]:
    """Cut into transactions of at most `limit` bytes, no document twice in one; a larger document stands alone."""
    part: list[Prepared] = []
    size = 0
    seen: set[tuple[str, str]] = set()
    for item in documents:
        key = item.document.tenant, item.document.doc_id
        if part and (size + item.size > limit or key in seen):
            yield part
            part, size, seen = [], 0, set()
        part.append(item)
        size += item.size
        seen.add(key)
    if part:
        yield part
