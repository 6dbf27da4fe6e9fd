"""The search index as a Haystack DocumentStore, for pipelines of Haystack's own.

A Haystack document is one chunk; its id is the chunk's. What was written here becomes a document of one chunk with the
source "haystack"; what our pipelines wrote can be read and searched, but neither overwritten nor deleted from here,
since the ledger answers for it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from haystack import Document, default_from_dict, default_to_dict
from haystack.document_stores.errors import DocumentStoreError, DuplicateDocumentError
from haystack.document_stores.types import DuplicatePolicy
from haystack.errors import FilterError
from haystack.utils.filters import document_matches_filter
from numpy.typing import NDArray

from penstock.ir import Chunk
from penstock.stores.search_filters import Filters
from penstock.stores.search_index import NO_FILTERS, SqliteSearchIndex
from penstock.stores.search_rows import IndexedDocument, StoredChunk

SOURCE = "haystack"
MAX_FILTER_DEPTH = 32


class PenstockDocumentStore:
    """Texts, their metadata and dense embeddings of one tenant.

    `model` names what the embeddings given to `write_documents` are made by; the index refuses those of another.
    Blobs, sparse embeddings and documents without text are refused rather than dropped. Embeddings rest as float32.
    """

    def __init__(self, path: str, tenant: str = "default", model: str = "unnamed") -> None:
        self.path = path
        self.tenant = tenant
        self.model = model
        self.index = SqliteSearchIndex(path)

    def to_dict(self) -> dict[str, Any]:
        return default_to_dict(self, path=self.path, tenant=self.tenant, model=self.model)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> PenstockDocumentStore:
        return default_from_dict(cls, data)

    def count_documents(self) -> int:
        """Chunks, each of which is a document to Haystack."""
        return self.index.count(self.tenant).chunks

    def filter_documents(self, filters: dict[str, Any] | None = None) -> list[Document]:
        """The documents that match, in the order they were written. Raises FilterError for filters ill formed."""
        return self.documents(self._passing(filters))

    def write_documents(self, documents: list[Document], policy: DuplicatePolicy = DuplicatePolicy.NONE) -> int:
        """How many were written. `NONE` means `FAIL`, which writes none when an id is there already.

        Raises DuplicateDocumentError; ValueError for what is no text document; DocumentStoreError for an id that one
        of our pipelines wrote.
        """
        if not isinstance(documents, list) or not all(isinstance(document, Document) for document in documents):
            raise ValueError("write_documents takes a list of haystack Documents")
        there = self._there([document.id for document in documents], refuse_foreign=policy != DuplicatePolicy.SKIP)
        overwrite = policy == DuplicatePolicy.OVERWRITE
        if policy in (DuplicatePolicy.NONE, DuplicatePolicy.FAIL) and there:
            raise DuplicateDocumentError(f"ID {there[0].chunk_id!r} already exists")
        known = {chunk.chunk_id for chunk in there}
        rows = [self._row(document) for document in documents if overwrite or document.id not in known]
        receipts = self.index.replace(rows, absent_only=not overwrite)
        written = sum(receipt.accepted for receipt in receipts)
        if policy in (DuplicatePolicy.NONE, DuplicatePolicy.FAIL) and written < len(rows):
            raise DuplicateDocumentError("an id came twice, or another process wrote it meanwhile")
        return written

    def delete_documents(self, document_ids: list[str]) -> None:
        """Ids that are not there are passed over. Raises DocumentStoreError for one that a pipeline of ours wrote."""
        self.index.remove(self.tenant, [chunk.doc_id for chunk in self._there(document_ids, refuse_foreign=True)])

    def matching(self, filters: dict[str, Any] | None) -> Filters:
        """Haystack's filters as ours: the ids of what matches."""
        if not filters:
            return NO_FILTERS
        return Filters(chunk_ids=tuple(chunk.chunk_id for chunk in self._passing(filters)))

    def documents(self, chunks: list[StoredChunk]) -> list[Document]:
        """Chunks as Haystack documents; those of our pipelines with title, source, span… in their `meta`."""
        vectors = self.index.vectors(self.tenant, [chunk.chunk_id for chunk in chunks])
        return [_document(chunk, vectors.get(chunk.chunk_id)) for chunk in chunks]

    def _passing(self, filters: dict[str, Any] | None) -> list[StoredChunk]:
        chunks = self.index.select(self.tenant)
        if not filters:
            return chunks
        _check_depth(filters)
        return [chunk for chunk in chunks if document_matches_filter(filters, _document(chunk))]

    def _there(self, ids: list[str], *, refuse_foreign: bool) -> list[StoredChunk]:
        chunks = self.index.select(self.tenant, Filters(chunk_ids=tuple(ids)))
        foreign = [chunk.chunk_id for chunk in chunks if chunk.source != SOURCE]
        if foreign and refuse_foreign:
            raise DocumentStoreError(f"{foreign[0]!r} was written by a pipeline: change it by running that")
        return chunks

    def _row(self, document: Document) -> IndexedDocument:
        if document.content is None or document.blob is not None or document.sparse_embedding is not None:
            raise ValueError(f"document {document.id!r}: only text with dense embeddings can be held")
        chunk = Chunk(chunk_id=document.id, ordinal=0, start=0, end=len(document.content), text=document.content)
        return IndexedDocument(
            tenant=self.tenant,
            doc_id=document.id,
            generation=0,
            token=0,
            source=SOURCE,
            source_id=document.id,
            kind=SOURCE,
            title=str(document.meta.get("title", "")),
            chunks=[chunk],
            metadata=document.meta,
            vectors=None if document.embedding is None else np.array([document.embedding], np.float32),
            model="" if document.embedding is None else self.model,
        )


def _document(chunk: StoredChunk, vector: NDArray[np.float32] | None = None) -> Document:
    embedding = None if vector is None else vector.tolist()
    return Document(id=chunk.chunk_id, content=chunk.text, meta=_meta(chunk), embedding=embedding)


def _meta(chunk: StoredChunk) -> dict[str, Any]:
    if chunk.source == SOURCE:
        return chunk.metadata
    names = ("doc_id", "source", "source_id", "kind", "title", "date", "start", "end", "generation")
    return {**chunk.metadata, "heading": list(chunk.heading), **{name: getattr(chunk, name) for name in names}}


def _check_depth(filters: dict[str, Any]) -> None:
    level: list[Any] = [filters]
    for _ in range(MAX_FILTER_DEPTH):
        level = [
            condition
            for one in level
            if isinstance(one, dict) and isinstance(one.get("conditions"), list)
            for condition in one["conditions"]
        ]
        if not level:
            return
    raise FilterError(f"filters are nested more than {MAX_FILTER_DEPTH} deep")
