"""On which pages search hits stand, and where there; how many pages a document has, and which of them are missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from penstock.errors import ArtifactLost
from penstock.ir import Document
from penstock.ir.codec import decode
from penstock.ir.places import PagePlace, page_places
from penstock.ledger.explain_read import Artifact, ExplainReader
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
        found: dict[str, tuple[PagePlace, ...]] = {}
        for at, artifact in self._given(sorted({hit.doc_id for hit in hits})).items():
            spans = [hit for hit in hits if (hit.doc_id, hit.generation) == at]
            if not spans or (document := self._document(artifact)) is None:
                continue
            for hit in spans:
                if places := page_places(document, hit.start, hit.end):
                    found[hit.chunk_id] = places
        return found

    def count(self, doc_id: str, generation: int) -> tuple[int | None, tuple[int, ...]]:
        """How many pages a document has, and the numbers of those of which no text was had. None: it has no pages, is
        not parsed yet, or is lost."""
        artifact = self._given([doc_id]).get((doc_id, generation))
        document = self._document(artifact) if artifact else None
        return (document.page_count, document.missing_pages) if document else (None, ())

    def _given(self, doc_ids: Sequence[str]) -> dict[tuple[str, int], Artifact]:
        return self._reader.gate_outputs(self._tenant, doc_ids, type_name(Document))

    def _document(self, artifact: Artifact) -> Document | None:
        try:
            document: Document = decode(Document, artifact.head, artifact.content(self._artifacts.get))
        except ArtifactLost:
            return None
        return document
