"""The contracts: what each kind of stage takes and gives, as Protocols for people and specs for the type-check.

An implementation is a class that declares `name`, `version`, `contract`, an `Options` model and, where it needs any,
`needs`; it is constructed as `cls(options, **services)` and its `execute` has the shape of its Protocol here.
A raised TerminalError dead-letters the document, a TransientError is the service's fault; anything else counts as a
bug of the implementation and dead-letters the document with the reason "unexpected".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from penstock.ir import (
    Chunk,
    Document,
    GraphWriteReceipt,
    IndexReceipt,
    Knowledge,
    PDFFile,
    RawPayload,
    Request,
    StageContext,
    Vectors,
)
from penstock.pipelines.catalogue import Contract, LedgerField, Take


@dataclass(frozen=True, slots=True)
class Indexable:
    """What an index is given of a document. `vectors` None: the pipeline embeds nothing before this stage."""

    document: Document
    chunks: list[Chunk]
    vectors: Vectors | None = None


@dataclass(frozen=True, slots=True)
class Extractable:
    """What an extractor is given of a document. `knowledge` is what the extractor before it gave, where there is one:
    it adds to that, and all of it stays."""

    document: Document
    chunks: list[Chunk]
    knowledge: Knowledge | None = None


@runtime_checkable
class IngestStage(Protocol):
    def execute(self, ctx: StageContext, request: Request, cursor: str | None) -> Iterator[RawPayload]:
        """List what the request asks for, after `cursor` if there is one, in an order that a rerun repeats."""
        ...


@runtime_checkable
class DownloadStage(Protocol):
    def execute(self, ctx: StageContext, payload: RawPayload) -> PDFFile: ...


@runtime_checkable
class ParseStage(Protocol):
    def execute(self, ctx: StageContext, payload: RawPayload) -> Document: ...


@runtime_checkable
class ChunkStage(Protocol):
    def execute(self, ctx: StageContext, document: Document) -> list[Chunk]: ...


@runtime_checkable
class EmbedStage(Protocol):
    def execute(self, items: Sequence[tuple[StageContext, list[Chunk]]]) -> Sequence[Vectors]: ...


@runtime_checkable
class IndexStage(Protocol):
    def execute(self, items: Sequence[tuple[StageContext, Indexable]]) -> Sequence[IndexReceipt]: ...

    def store_id(self) -> str:
        """The uuid of the store written to; receipts of another count for nothing."""
        ...


@runtime_checkable
class ExtractStage(Protocol):
    def execute(self, ctx: StageContext, item: Extractable) -> Knowledge: ...


@runtime_checkable
class KGStage(Protocol):
    def execute(self, items: Sequence[tuple[StageContext, Knowledge]]) -> Sequence[GraphWriteReceipt]: ...

    def store_id(self) -> str: ...


def check_chunks(document: Document, chunks: list[Chunk]) -> str | None:
    """Every chunk is what its span says, in order, and no two have one id."""
    for ordinal, chunk in enumerate(chunks):
        if chunk.ordinal != ordinal:
            return f"chunk {ordinal} says it is number {chunk.ordinal}"
        if document.text[chunk.start : chunk.end] != chunk.text:
            return f"chunk {ordinal} is not document.text[{chunk.start}:{chunk.end}]"
    if len({chunk.chunk_id for chunk in chunks}) != len(chunks):
        return "two chunks have the same chunk_id"
    return None


def check_vectors(chunks: list[Chunk], vectors: Vectors) -> str | None:
    """One finite row a chunk, or none at all and said so."""
    if not vectors.present:
        return None
    if vectors.rows.ndim != 2 or len(vectors.rows) != len(chunks):
        return f"{len(chunks)} chunks, but vectors of shape {vectors.rows.shape}"
    if not np.isfinite(vectors.rows).all():
        return "a vector is not finite"
    return None


def check_knowledge(item: Extractable, knowledge: Knowledge) -> str | None:
    """What an earlier extractor found is still there."""
    if item.knowledge is None:
        return None
    if {entity.key for entity in item.knowledge.entities} - {entity.key for entity in knowledge.entities}:
        return "it leaves out entities that the extractor before it gave"
    if _statements(item.knowledge) - _statements(knowledge):
        return "it leaves out claims that the extractor before it gave"
    return None


def _statements(knowledge: Knowledge) -> set[tuple[str, str, str | None, str | None]]:
    return {(claim.subject, claim.predicate, claim.object, claim.value) for claim in knowledge.claims}


INGEST = Contract("IngestStage", IngestStage, (Take("request", Request),), RawPayload, "listing", default="source")
DOWNLOAD = Contract(
    "DownloadStage", DownloadStage, (Take("payload", RawPayload),), PDFFile, default="http", sets="pdf_downloaded"
)
PARSE = Contract("ParseStage", ParseStage, (Take("payload", RawPayload),), Document, default="auto")
CHUNK = Contract(
    "ChunkStage", ChunkStage, (Take("document", Document),), list[Chunk], default="sentences", check=check_chunks
)
EMBED = Contract(
    "EmbedStage",
    EmbedStage,
    (Take("chunks", list[Chunk]),),
    Vectors,
    "many",
    default="auto",
    check=check_vectors,
)
INDEX = Contract(
    "IndexStage",
    IndexStage,
    (Take("document", Document), Take("chunks", list[Chunk]), Take("vectors", Vectors, optional=True)),
    IndexReceipt,
    "many",
    item=Indexable,
    sink=True,
    default="sqlite",
)
EXTRACT = Contract(
    "ExtractStage",
    ExtractStage,
    (Take("document", Document), Take("chunks", list[Chunk]), Take("knowledge", Knowledge, optional=True)),
    Knowledge,
    item=Extractable,
    default="structured",
    check=check_knowledge,
)
KG = Contract(
    "KGStage", KGStage, (Take("knowledge", Knowledge),), GraphWriteReceipt, "many", sink=True, default="ledger"
)

LEDGER_FIELDS = {
    "pdf_ir_ready": LedgerField("pdf_ir_ready", needs=PDFFile, gives=Document, worker="penstock worker pdf"),
}
