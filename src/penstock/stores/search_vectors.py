"""The dense leg: exact cosine, by sqlite-vec from disk or, for who searches again, by numpy in memory.

sqlite-vec reads every vector from the file for each search: 10 ms for 20,000 of 384 dimensions, 48 ms for 100,000.
The same rows as one matrix take 1 and 10 ms, and 1.5 KB of memory each. So the first search of a state of the index
goes to the file, and what is asked of the same state again is answered from memory.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import apsw
import numpy as np
from numpy.typing import NDArray

from penstock.errors import UsageError
from penstock.stores.search_rows import LegHit, Space
from penstock.stores.search_write import state

MAX_NEIGHBOURS = 4096
"""sqlite-vec's limit for k."""
MAX_RESIDENT = 512_000_000
"""Bytes of vectors kept in memory; what does not fit is read from the file each time."""

_NEAREST = "SELECT rowid, distance FROM vectors WHERE embedding MATCH ? AND k = ? AND tenant = ?"
_NEAREST_AMONG = f"{_NEAREST} AND rowid IN (SELECT value FROM carray(?))"  # noqa: S608 — words of this program
_BLOCKS = """
SELECT c.rowids, c.validity, v.vectors
FROM vectors_chunks c JOIN vectors_vector_chunks00 v ON v.rowid = c.chunk_id WHERE c.partition00 = ?
"""  # where sqlite-vec keeps them, 1,024 a row: reading them one by one takes six times as long

Floats = NDArray[np.float32]
Numbers = NDArray[np.int64]


@dataclass(slots=True)
class _Tenant:
    """What was seen of a tenant at a state of the index: nothing yet, or its rows and their vectors of length 1."""

    state: str
    numbers: Numbers | None = None
    matrix: Floats | None = None


class VectorSearch:
    """Nearest neighbours of one index. Threads may share it; what it keeps in memory they share too."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tenants: dict[int, _Tenant] = {}

    def nearest(
        self, db: apsw.Connection, space: Space, tenant: int, vector: Floats, k: int, rows: Numbers | None = None
    ) -> list[LegHit]:
        """The `k` (at most MAX_NEIGHBOURS) chunks nearest to `vector`, among `rows` where given, nearest first.

        Raises UsageError when the vector's dimension isn't the space's.
        """
        asked = np.ascontiguousarray(vector, np.float32)
        if asked.shape != (space.dimension,) or not np.isfinite(asked).all() or not asked.any():
            raise UsageError(
                f"a query vector of shape {asked.shape}, finite and not zero expected: the index holds"
                f" {space.dimension} dimensions of {space.model}",
                reason="other-vectors",
            )
        k = min(k, MAX_NEIGHBOURS)
        seen = self._resident(db, space, tenant)
        if seen is None:
            return _from_file(db, tenant, asked, k, rows)
        numbers, matrix = seen
        # not `@`: on a machine with other work BLAS waits for its threads longer than it computes
        scores = np.einsum("ij,j->i", matrix, asked / np.linalg.norm(asked))
        if rows is not None:
            wanted = np.isin(numbers, rows)
            numbers, scores = numbers[wanted], scores[wanted]
        best = np.argpartition(scores, -k)[-k:] if k < len(scores) else np.arange(len(scores))
        return _ranked([LegHit(int(numbers[at]), float(scores[at])) for at in best])

    def _resident(self, db: apsw.Connection, space: Space, tenant: int) -> tuple[Numbers, Floats] | None:
        """The tenant's vectors in memory; None when this state of the index is asked for the first time."""
        now = state(db)
        with self._lock:
            seen = self._tenants.get(tenant)
            if now is None or seen is None or seen.state != now:
                self._tenants[tenant] = _Tenant(now or "")
                return None
            if seen.numbers is None or seen.matrix is None:
                if not self._make_room(db, space, tenant):
                    return None
                seen.numbers, seen.matrix = _load(db, space, tenant)
            return seen.numbers, seen.matrix

    def _make_room(self, db: apsw.Connection, space: Space, tenant: int) -> bool:
        size = 4 * space.dimension * _held(db, tenant)
        if size > MAX_RESIDENT:
            return False
        if (
            size + sum(0 if seen.matrix is None else seen.matrix.nbytes for seen in self._tenants.values())
            > MAX_RESIDENT
        ):
            self._tenants = {tenant: self._tenants[tenant]}
        return True


def _from_file(db: apsw.Connection, tenant: int, asked: Floats, k: int, rows: Numbers | None) -> list[LegHit]:
    if rows is None:
        found = db.execute(_NEAREST, (asked.tobytes(), k, tenant))
    else:
        found = db.execute(_NEAREST_AMONG, (asked.tobytes(), k, tenant, apsw.carray(rows)))
    return _ranked([LegHit(row, 1.0 - distance) for row, distance in found])


def _load(db: apsw.Connection, space: Space, tenant: int) -> tuple[Numbers, Floats]:
    count = _held(db, tenant)
    numbers, matrix = np.empty(count, np.int64), np.empty((count, space.dimension), np.float32)
    at = 0
    for rowids, validity, vectors in db.execute(_BLOCKS, (tenant,)):
        valid = np.unpackbits(np.frombuffer(validity, np.uint8), bitorder="little").astype(bool)
        block = np.frombuffer(vectors, np.float32).reshape(-1, space.dimension)[valid]
        part = slice(at, at := at + len(block))
        numbers[part] = np.frombuffer(rowids, np.int64)[valid]
        np.divide(block, np.sqrt(np.einsum("ij,ij->i", block, block))[:, np.newaxis], out=matrix[part])
    assert at == count, (at, count)
    return numbers, matrix


def _held(db: apsw.Connection, tenant: int) -> int:
    return int(str(db.execute("SELECT coalesce(sum(vectors), 0) FROM documents WHERE tenant = ?", (tenant,)).get))


def _ranked(hits: list[LegHit]) -> list[LegHit]:
    """Best first, equals in the order they were written."""
    return sorted(hits, key=lambda hit: (-hit.score, hit.number))
