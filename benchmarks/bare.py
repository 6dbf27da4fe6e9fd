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


def run(folder: Path, database: Path, commit_every: int) -> int:
    """Chunks written. Commits after every `commit_every` documents."""
    db = sqlite3.connect(database, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("CREATE TABLE outputs (id INTEGER PRIMARY KEY, document INT, hash BLOB, body BLOB)")
    db.execute("CREATE TABLE chunks (id INTEGER PRIMARY KEY, doc_id TEXT, ordinal INT, text TEXT, vector BLOB)")
    db.execute("CREATE INDEX chunks_by_document ON chunks (doc_id)")
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
        db.executemany(
            "INSERT INTO chunks (doc_id, ordinal, text, vector) VALUES (?, ?, ?, ?)",
            [(path.name, n, chunk, vectors[n].tobytes()) for n, chunk in enumerate(chunks)],
        )
        if (number + 1) % commit_every == 0:
            db.execute("COMMIT")
        total += len(chunks)
    if db.in_transaction:
        db.execute("COMMIT")
    db.close()
    return total
