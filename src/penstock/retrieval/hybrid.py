"""Hybrid search: BM25, joined with exact nearest neighbours where there are vectors and something embeds the query."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penstock.errors import TerminalError, TransientError, UsageError
from penstock.retrieval.fusion import Fused, fuse
from penstock.retrieval.highlight import Span, highlights
from penstock.stores.search_filters import Filters
from penstock.stores.search_index import NO_FILTERS, SqliteSearchIndex
from penstock.stores.search_query import Query
from penstock.stores.search_rows import StoredChunk
from penstock.stores.search_vectors import MAX_NEIGHBOURS

MAX_HITS = 1000
KEYWORDS_ONLY = "keyword search only"
Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class QueryEmbedder:
    """`embed` gives a query's vector, shape (dimension,), in the space that `model` names."""

    model: str
    embed: Callable[[str], Vector]


@dataclass(frozen=True, slots=True)
class SearchHit:
    """A chunk found. `text[start:end]` is a match for each (start, end) of `highlights`.

    `ranks` says why it stands where it does: its place (from 1) in each leg, "bm25" and "dense". `start` and `end` are
    the chunk's characters in its document's text, `generation` the document's as indexed.
    """

    doc_id: str
    chunk_id: str
    title: str
    source: str
    source_id: str
    kind: str
    date: str | None
    heading: tuple[str, ...]
    text: str
    highlights: tuple[Span, ...]
    score: float
    ranks: dict[str, int]
    start: int
    end: int
    generation: int


@dataclass(frozen=True, slots=True)
class SearchResult:
    """`legs` that took part; `note` says what did not and why, or why there can be no hits. It may be empty."""

    query: str
    hits: tuple[SearchHit, ...]
    legs: tuple[str, ...]
    note: str = ""


class HybridSearch:
    """One index, searched. Without `embedder`, or without vectors in the index, by keywords only, and said so.

    `without` is why there is no embedder, for the note.
    """

    def __init__(
        self,
        index: SqliteSearchIndex,
        embedder: QueryEmbedder | None = None,
        without: str = "nothing is set up to embed queries",
    ) -> None:
        self._index = index
        self._embedder = embedder
        self._without = without

    def search(
        self,
        query: str,
        *,
        tenant: str,
        k: int = 10,
        filters: Filters = NO_FILTERS,
        per_document: bool = False,
        vector: Vector | None = None,
    ) -> SearchResult:
        """The `k` best chunks; with `per_document` the best chunk of each of the `k` best documents.

        `vector` takes the embedder's place. An embedder that fails, or gives another dimension than the index holds,
        costs the dense leg, not the search.
        Raises UsageError for k outside 1..MAX_HITS, a query too long, or a `vector` of another dimension.
        """
        if not 1 <= k <= MAX_HITS:
            raise UsageError(f"k is {k}; 1 to {MAX_HITS} hits can be asked for")
        parsed = self._index.query(query)
        notes = [parsed.note]
        if not parsed.expression:
            return SearchResult(query, (), (), parsed.note)
        if vector is None:
            vector, why = self._embed(query)
            notes.append(why)
        with self._index.snapshot():
            fused, legs = self._rank(parsed, vector, tenant, k, filters, per_document)
            chunks = self._index.chunks(item.number for item in fused)
            tokenize = self._index.tokenizer()
            hits = tuple(
                _hit(item, chunk, tuple(highlights(chunk.text, parsed.terms, tokenize)))
                for item in fused
                for chunk in [chunks[item.number]]
            )
        return SearchResult(query, hits, legs, "; ".join(filter(None, notes)))

    def _embed(self, query: str) -> tuple[Vector | None, str]:
        """The query's vector, or None and why not. Outside of any snapshot: an endpoint may be slow."""
        space = self._index.space
        if space is None:
            return None, f"{KEYWORDS_ONLY}: the index holds no vectors"
        if self._embedder is None:
            return None, f"{KEYWORDS_ONLY}: {self._without} (the index holds {space.model})"
        if self._embedder.model != space.model:
            return None, f"{KEYWORDS_ONLY}: the index holds {space.model}, queries would be {self._embedder.model}"
        try:
            vector = self._embedder.embed(query)
        except (TransientError, TerminalError, UsageError) as error:
            return None, f"{KEYWORDS_ONLY}: the query could not be embedded: {error.message}"
        if vector.shape != (space.dimension,):
            other = f"{space.model} gave the query shape {vector.shape}, the index holds {space.dimension} dimensions"
            return None, f"{KEYWORDS_ONLY}: {other}"
        return vector, ""

    def _rank(
        self, parsed: Query, vector: Vector | None, tenant: str, k: int, filters: Filters, per_document: bool
    ) -> tuple[list[Fused], tuple[str, ...]]:
        """Go deep enough for `k` chunks, or deeper until they are of `k` documents."""
        depth = max(50, 3 * k)
        while True:
            legs = {"bm25": [hit.number for hit in self._index.bm25(tenant, parsed, depth, filters)]}
            if vector is not None:
                legs["dense"] = [hit.number for hit in self._index.dense(tenant, vector, depth, filters)]
            fused = fuse(legs)
            if per_document:
                fused = self._best_of_each_document(fused)
            exhausted = all(len(leg) < depth for leg in legs.values()) or depth >= MAX_NEIGHBOURS
            if len(fused) >= k or exhausted or not per_document:
                return fused[:k], tuple(legs)
            depth = min(4 * depth, MAX_NEIGHBOURS)

    def _best_of_each_document(self, fused: list[Fused]) -> list[Fused]:
        owners = self._index.owners(item.number for item in fused)
        best: dict[int, Fused] = {}
        for item in fused:
            best.setdefault(owners[item.number], item)
        return list(best.values())


def _hit(item: Fused, chunk: StoredChunk, spans: tuple[Span, ...]) -> SearchHit:
    return SearchHit(
        doc_id=chunk.doc_id,
        chunk_id=chunk.chunk_id,
        title=chunk.title,
        source=chunk.source,
        source_id=chunk.source_id,
        kind=chunk.kind,
        date=chunk.date,
        heading=chunk.heading,
        text=chunk.text,
        highlights=spans,
        score=item.score,
        ranks=item.ranks,
        start=chunk.start,
        end=chunk.end,
        generation=chunk.generation,
    )
