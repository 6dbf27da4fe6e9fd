"""On which pages search hits stand, and where there: for hits of documents that have pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from penstock.errors import ArtifactLost
from penstock.ir import Document
from penstock.ir.codec import decode
from penstock.ir.places import PagePlace, page_places
from penstock.ledger.explain_read import ExplainReader
from penstock.ledger.ledger import Ledger
from penstock.pipelines.catalogue import type_name
from penstock.stores.artifacts import ArtifactStore

if TYPE_CHECKING:
    from penstock.retrieval.hybrid import SearchHit


class Pages:
    """One tenant's. Other documents than paged ones cost one look at the ledger for all hits together."""

    def __init__(self, tenant: str, ledger: Ledger, artifacts: ArtifactStore) -> None:
        self._tenant, self._artifacts = tenant, artifacts
        self._reader = ExplainReader(ledger.database)

    def of(self, hits: Sequence[SearchHit]) -> dict[str, tuple[PagePlace, ...]]:
        """Chunk id → places, of the chunks that have some. A document that is lost has none any more."""
        ids = sorted({hit.doc_id for hit in hits})
        found: dict[str, tuple[PagePlace, ...]] = {}
        for at, artifact in self._reader.gate_outputs(self._tenant, ids, type_name(Document)).items():
            spans = [hit for hit in hits if (hit.doc_id, hit.generation) == at]
            if not spans:
                continue
            try:
                document = decode(Document, artifact.head, artifact.content(self._artifacts.get))
            except ArtifactLost:
                continue
            for hit in spans:
                if places := page_places(document, hit.start, hit.end):
                    found[hit.chunk_id] = places
        return found
