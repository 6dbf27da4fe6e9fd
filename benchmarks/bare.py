"""The bare loop that everything is measured against. Frozen: change it and no figure compares with an older one.

It reads, splits, hashes and writes the same rows with no state at all: a payload, a document, chunks and vectors as
stage outputs, then the chunks with their vectors in a table.
"""

from __future__ import annotations

import sqlite3
from hashlib import sha256
from pathlib import Path

import numpy as np
import orjson

DIMENSION = 384
CHUNK_WORDS = 200


def split(text: str) -> list[tuple[int, int]]:
    """Spans of runs of CHUNK_WORDS words parted by single blanks."""
    words = text.split(" ")
    spans = []
    position = 0
    for first in range(0, len(words), CHUNK_WORDS):
        length = len(" ".join(words[first : first + CHUNK_WORDS]))
        spans.append((position, position + length))
        position += length + 1
    return spans


def vector(text: str) -> np.ndarray:
    """A unit vector of 384 dimensions out of a hash: float32."""
    seed = np.frombuffer(sha256(text.encode()).digest() * (DIMENSION // 32), np.uint8)
    raw = seed.astype(np.float32) - 127.5
    return raw / np.linalg.norm(raw)


class PlainRows:
    """Chunks and vectors in a table of the same database."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        db.execute("CREATE TABLE chunks (id INTEGER PRIMARY KEY, doc_id TEXT, ordinal INT, text TEXT, vector BLOB)")
        db.execute("CREATE INDEX chunks_by_document ON chunks (doc_id)")

    def write(self, name: str, chunks: list[str], vectors: np.ndarray) -> None:
        self._db.executemany(
            "INSERT INTO chunks (doc_id, ordinal, text, vector) VALUES (?, ?, ?, ?)",
            [(name, n, chunk, vectors[n].tobytes()) for n, chunk in enumerate(chunks)],
        )

    def commit(self) -> None:
        return None


class IndexRows:
    """Chunks and vectors in FTS5 and vec0 tables like the search index's, in a file of their own."""

    TABLES = f"""
    CREATE TABLE documents (number INTEGER PRIMARY KEY, doc_id TEXT NOT NULL UNIQUE);
    CREATE TABLE chunks (number INTEGER PRIMARY KEY, document INTEGER NOT NULL, chunk_id TEXT NOT NULL, text TEXT);
    CREATE INDEX chunk_ids ON chunks (chunk_id);
    CREATE VIRTUAL TABLE words USING fts5 (
      text, title, tenant, content='', contentless_delete=1, tokenize='porter unicode61 remove_diacritics 2'
    );
    INSERT INTO words (words, rank) VALUES ('hashsize', 8388608);
    CREATE VIRTUAL TABLE vectors USING vec0 (
      tenant integer partition key, embedding float[{DIMENSION}] distance_metric=cosine
    );
    """

    def __init__(self, path: Path) -> None:
        import apsw
        import sqlite_vec

        self._db = apsw.Connection(str(path))
        self._db.enable_load_extension(True)
        self._db.load_extension(sqlite_vec.loadable_path())
        self._db.execute("PRAGMA page_size=16384; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL")
        self._db.execute(self.TABLES)
        self._documents = self._rows = 0

    def write(self, name: str, chunks: list[str], vectors: np.ndarray) -> None:
        if not self._db.in_transaction:
            self._db.execute("BEGIN IMMEDIATE")
        self._documents += 1
        self._db.execute("INSERT INTO documents VALUES (?, ?)", (self._documents, name))
        for n, chunk in enumerate(chunks):
            self._rows += 1
            row = self._rows
            self._db.execute("INSERT INTO chunks VALUES (?, ?, ?, ?)", (row, self._documents, f"{name}:{n}", chunk))
            self._db.execute(
                "INSERT INTO words (rowid, text, title, tenant) VALUES (?, ?, ?, 't1')", (row, chunk, name)
            )
            self._db.execute(
                "INSERT INTO vectors (rowid, tenant, embedding) VALUES (?, 1, ?)", (row, vectors[n].tobytes())
            )

    def commit(self) -> None:
        if self._db.in_transaction:
            self._db.execute("COMMIT")


def run(folder: Path, database: Path, commit_every: int, *, index: bool = False) -> int:
    """Chunks written. Commits after every `commit_every` documents; `index`: into a search index, not a table."""
    db = sqlite3.connect(database, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("CREATE TABLE outputs (id INTEGER PRIMARY KEY, document INT, hash BLOB, body BLOB)")
    rows = IndexRows(database.with_suffix(".index")) if index else PlainRows(db)
    total = 0
    for number, path in enumerate(sorted(folder.iterdir())):
        content = path.read_bytes()
        text = content.decode()
        document = orjson.dumps({"source_id": path.name, "title": path.name, "text": text})
        spans = split(text)
        chunks = [text[start:end] for start, end in spans]
        chunk_rows = orjson.dumps([{"start": s, "end": e, "text": c} for (s, e), c in zip(spans, chunks, strict=True)])
        vectors = np.stack([vector(chunk) for chunk in chunks])
        if number % commit_every == 0:
            db.execute("BEGIN IMMEDIATE")
        outputs = [content, document, chunk_rows, vectors.tobytes()]
        db.executemany(
            "INSERT INTO outputs (document, hash, body) VALUES (?, ?, ?)",
            [(number, sha256(body).digest(), body) for body in outputs],
        )
        rows.write(path.name, chunks, vectors)
        if (number + 1) % commit_every == 0:
            db.execute("COMMIT")
            rows.commit()
        total += len(chunks)
    if db.in_transaction:
        db.execute("COMMIT")
    rows.commit()
    db.close()
    return total
