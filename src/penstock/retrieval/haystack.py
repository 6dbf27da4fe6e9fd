"""Our search as a Haystack component, to be named in a Haystack pipeline's YAML."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from haystack import Document, component, default_from_dict, default_to_dict
from haystack.document_stores.types import FilterPolicy, apply_filter_policy

from penstock.retrieval.hybrid import HybridSearch
from penstock.stores.document_store import PenstockDocumentStore
from penstock.stores.search_filters import Filters


@component
class PenstockRetriever:
    """BM25; with a `query_embedding` (connect a text embedder) hybrid, joined by reciprocal rank fusion."""

    def __init__(
        self,
        document_store: PenstockDocumentStore,
        filters: dict[str, Any] | None = None,
        top_k: int = 10,
        filter_policy: FilterPolicy = FilterPolicy.REPLACE,
    ) -> None:
        self.document_store = document_store
        self.filters = filters
        self.top_k = top_k
        self.filter_policy = filter_policy

    def to_dict(self) -> dict[str, Any]:
        return default_to_dict(
            self,
            document_store=self.document_store,
            filters=self.filters,
            top_k=self.top_k,
            filter_policy=self.filter_policy.value,
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> PenstockRetriever:
        parameters = dict(data.get("init_parameters", {}))
        if isinstance(parameters.get("filter_policy"), str):
            parameters["filter_policy"] = FilterPolicy.from_str(parameters["filter_policy"])
        return default_from_dict(cls, {**data, "init_parameters": parameters})

    @component.output_types(documents=list[Document])
    def run(
        self,
        query: str,
        query_embedding: list[float] | None = None,
        filters: dict[str, Any] | None = None,
        top_k: int | None = None,
    ) -> dict[str, list[Document]]:
        """The best documents, best first, each with the fused score (1 / (60 + rank) summed over the legs)."""
        store = self.document_store
        narrowed = store.matching(apply_filter_policy(self.filter_policy, self.filters, filters))
        result = HybridSearch(store.index).search(
            query,
            tenant=store.tenant,
            k=top_k or self.top_k,
            filters=narrowed,
            vector=None if query_embedding is None else np.array(query_embedding, np.float32),
        )
        ids = tuple(hit.chunk_id for hit in result.hits)
        found = {
            document.id: document
            for document in store.documents(store.index.select(store.tenant, Filters(chunk_ids=ids)))
        }
        hits = [hit for hit in result.hits if hit.chunk_id in found]
        return {"documents": [replace(found[hit.chunk_id], score=hit.score) for hit in hits]}
