"""Workload P: 2,000 documents of 2,000 words, 20,000 chunks, five stages.

The implementations registered here do the same work as the frozen bare loop (bare.py), so that the ratio is what the
ledger and the runner cost.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from benchmarks.bare import DIMENSION, split, vector
from penstock.ir import (
    Block,
    Chunk,
    Document,
    IndexReceipt,
    Locator,
    Origin,
    Provenance,
    RawPayload,
    Request,
    StageContext,
    Vectors,
)
from penstock.stages.contracts import Indexable

WORDS = [f"{a}{b}{c}" for a in "bdfglmnprst" for b in "aeiou" for c in ("n", "r", "st", "lo", "mi", "ta")]


def make_corpus(folder: Path, documents: int, words: int = 2000) -> None:
    """Files of `words` words each, the same for the same number."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(7)
    for number in range(documents):
        text = " ".join(rng.choices(WORDS, k=words - 1))
        (folder / f"{number:06}.txt").write_text(f"d{number} {text}")


class _Options(BaseModel):
    pass


class Listing:
    name, version, contract, needs, Options = "bench", "1", "IngestStage", (), _Options

    def __init__(self, options: Any) -> None: ...

    def execute(self, ctx: StageContext, request: Request, cursor: str | None) -> Iterator[RawPayload]:
        for path in sorted(Path(str(request.query["folder"])).iterdir()):
            content = path.read_bytes()
            origin = Origin(uri=str(path), key=path.name)
            yield RawPayload(
                source="bench", source_id=path.name, kind="text", origin=origin, content=content, cursor=path.name
            )


class Parser:
    name, version, contract, needs, Options = "bench", "1", "ParseStage", (), _Options

    def __init__(self, options: Any) -> None: ...

    def execute(self, ctx: StageContext, payload: RawPayload) -> Document:
        text = payload.content.decode()
        sha = payload.sha256
        return Document(
            doc_id=ctx.doc_id,
            source="bench",
            source_id=payload.source_id,
            kind="text",
            title=payload.source_id,
            text=text,
            blocks=(Block(kind="paragraph", start=0, end=len(text), locator=Locator(payload=sha)),),
            provenance=Provenance(parser="bench", version="1", payload=sha),
        )


class Splitter:
    name, version, contract, needs, Options = "bench", "1", "ChunkStage", (), _Options

    def __init__(self, options: Any) -> None: ...

    def execute(self, ctx: StageContext, document: Document) -> list[Chunk]:
        return [
            Chunk(chunk_id=f"{ctx.doc_id}:{n}", ordinal=n, start=start, end=end, text=document.text[start:end])
            for n, (start, end) in enumerate(split(document.text))
        ]


class HashEmbedder:
    name, version, contract, needs, Options = "bench", "1", "EmbedStage", (), _Options
    model = "hash-384"

    def __init__(self, options: Any) -> None: ...

    def execute(self, items: Sequence[tuple[StageContext, list[Chunk]]]) -> list[Vectors]:
        return [
            Vectors(
                self.model,
                np.stack([vector(c.text) for c in chunks]) if chunks else np.zeros((0, DIMENSION), np.float32),
            )
            for _, chunks in items
        ]


class PlainTable:
    """A sink that replaces a document's rows in a plain SQLite table, comparing (generation, token)."""

    name, version, contract, needs, Options = "bench", "1", "IndexStage", (), _Options
    path: Path

    def __init__(self, options: Any) -> None:
        import sqlite3

        self._db = sqlite3.connect(self.path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS documents (doc_id TEXT PRIMARY KEY, generation INT, token INT) WITHOUT ROWID"
        )
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS chunks "
            "(id INTEGER PRIMARY KEY, doc_id TEXT, ordinal INT, text TEXT, vector BLOB)"
        )
        self._db.execute("CREATE INDEX IF NOT EXISTS chunks_by_document ON chunks (doc_id)")

    def store_id(self) -> str:
        return "plain"

    def execute(self, items: Sequence[tuple[StageContext, Indexable]]) -> list[IndexReceipt]:
        rows = [
            (ctx.doc_id, c.ordinal, c.text, item.vectors.rows[n].tobytes() if item.vectors else b"")
            for ctx, item in items
            for n, c in enumerate(item.chunks)
        ]
        self._db.execute("BEGIN IMMEDIATE")
        known: Mapping[str, tuple[int, int]] = {
            doc: (generation, token)
            for ctx, _ in items
            for doc, generation, token in self._db.execute("SELECT * FROM documents WHERE doc_id = ?", (ctx.doc_id,))
        }
        assert all((ctx.generation, ctx.token) >= known.get(ctx.doc_id, (0, 0)) for ctx, _ in items)
        self._db.executemany("DELETE FROM chunks WHERE doc_id = ?", [(doc,) for doc in known])
        self._db.executemany(
            "INSERT OR REPLACE INTO documents VALUES (?, ?, ?)",
            [(ctx.doc_id, ctx.generation, ctx.token) for ctx, _ in items],
        )
        self._db.executemany("INSERT INTO chunks (doc_id, ordinal, text, vector) VALUES (?, ?, ?, ?)", rows)
        self._db.execute("COMMIT")
        return [
            IndexReceipt(
                store="plain", generation=ctx.generation, token=ctx.token, chunks=len(i.chunks), vectors=len(i.chunks)
            )
            for ctx, i in items
        ]
