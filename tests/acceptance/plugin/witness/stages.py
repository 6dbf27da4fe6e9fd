"""Penstock's own stages, each of which first writes down whom it is about to work on.

One line `stage doc_id generation` a document and `call stage count` a call goes to the file that WITNESS names. It is
opened with O_APPEND and written by one call, so that several processes may share it and a killed one has said all it
did. This, not the ledger's word, is what tells whether something was done twice.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from penstock.errors import ServiceUnavailable
from penstock.ir import Chunk, Document, GraphWriteReceipt, IndexReceipt, Knowledge, RawPayload, StageContext, Vectors
from penstock.stages.chunk import SentenceChunker
from penstock.stages.contracts import Extractable, Indexable
from penstock.stages.extract import StructuredExtractor
from penstock.stages.index import SqliteIndexer
from penstock.stages.kg import LedgerGraph
from penstock.stages.parse import AutoParser

POISON = "hemlock"
"""A document with this word in it is what FAULT is about."""
DIMENSION = 8


def witness(stage: str, contexts: Sequence[StageContext]) -> None:
    lines = [f"{stage} {c.doc_id} {c.generation}\n" for c in contexts]
    file = os.open(os.environ["WITNESS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, "".join([*lines, f"call {stage} {len(lines)}\n"]).encode())
    finally:
        os.close(file)


class Parser(AutoParser):
    name = "witness"

    def execute(self, ctx: StageContext, payload: RawPayload) -> Document:
        witness("parse", [ctx])
        return super().execute(ctx, payload)


class Chunker(SentenceChunker):
    name = "witness"

    def execute(self, ctx: StageContext, document: Document) -> list[Chunk]:
        witness("chunk", [ctx])
        return super().execute(ctx, document)


class Embedder:
    """Vectors out of a hash. The file that MOOD names may say what goes wrong instead: `poison` (a bug that documents
    with the word POISON meet), `unavailable` (the service refuses these documents) or `outage` (it refuses all)."""

    name = "witness"
    version = "1"
    contract = "EmbedStage"
    needs: tuple[str, ...] = ()
    model = "hash"

    class Options(BaseModel):
        model_config = ConfigDict(frozen=True, extra="forbid")

    def __init__(self, options: Options) -> None:
        self._mood = Path(os.environ["MOOD"])

    def execute(self, items: Sequence[tuple[StageContext, list[Chunk]]]) -> list[Vectors]:
        witness("embed", [ctx for ctx, _ in items])
        mood = self._mood.read_text() if self._mood.exists() else ""
        poisoned = any(POISON in chunk.text for _, chunks in items for chunk in chunks)
        if mood == "outage" or (mood == "unavailable" and poisoned):
            raise ServiceUnavailable("the embedding service answers 503")
        if mood == "poison" and poisoned:
            raise ValueError("a number was expected")
        return [Vectors(self.model, np.array([_vector(c.text) for c in chunks], "<f4")) for _, chunks in items]


class Indexer(SqliteIndexer):
    name = "witness"

    def execute(self, items: Sequence[tuple[StageContext, Indexable]]) -> list[IndexReceipt]:
        witness("index", [ctx for ctx, _ in items])
        return super().execute(items)


class Extractor(StructuredExtractor):
    name = "witness"

    def execute(self, ctx: StageContext, item: Extractable) -> Knowledge:
        witness("extract", [ctx])
        return super().execute(ctx, item)


class Graph(LedgerGraph):
    name = "witness"

    def execute(self, items: Sequence[tuple[StageContext, Knowledge]]) -> Sequence[GraphWriteReceipt]:
        witness("kg", [ctx for ctx, _ in items])
        return super().execute(items)


def _vector(text: str) -> list[float]:
    return [byte / 255 + 0.01 for byte in sha256(text.encode()).digest()[:DIMENSION]]
