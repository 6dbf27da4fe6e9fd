"""The index stage: documents' chunks into the embedded search index, whole groups in one transaction."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from penstock.ir import Document, IndexReceipt, StageContext
from penstock.stages.contracts import Indexable
from penstock.stores.search_index import SqliteSearchIndex
from penstock.stores.search_rows import IndexedDocument

KEYWORDS_ONLY = "keyword search only"
FACETS = (
    "condition",
    "intervention",
    "phase",
    "status",
    "study_type",
    "country",
    "sponsor",
    "brand_name",
    "generic_name",
    "ingredient",
    "manufacturer",
    "route",
    "journal",
    "publication_type",
    "mesh",
    "keyword",
)
"""The fields that searches may filter by: short names, no prose."""
MAX_FACET_VALUES = 50
MAX_FACET_LENGTH = 200
_BEST_DATES = ("published", "released", "updated", "start")


class SqliteIndexer:
    """`IndexStage` on SQLite FTS5 and sqlite-vec.

    Without vectors the documents are found by words only, and every receipt's note says so and why.
    Raises InvalidOutput for vectors that don't fit, UsageError for vectors of another model than the index holds,
    StoreBusy and StorageFull.
    """

    class Options(BaseModel):
        model_config = ConfigDict(frozen=True, extra="forbid")

    name = "sqlite"
    version = "1"
    contract = "IndexStage"
    needs = ("index",)

    def __init__(self, options: Options, *, index: SqliteSearchIndex) -> None:
        self._index = index

    def store_id(self) -> str:
        return self._index.store_id()

    @property
    def place(self) -> str:
        """The file, for messages."""
        return str(self._index.path)

    def execute(self, items: Sequence[tuple[StageContext, Indexable]]) -> list[IndexReceipt]:
        receipts = self._index.replace([_indexed(ctx, item) for ctx, item in items])
        return [
            receipt.model_copy(update={"note": note}) if (note := _note(item)) else receipt
            for receipt, (_, item) in zip(receipts, items, strict=True)
        ]

    def outdated(self, item: Indexable) -> set[str]:
        """Vectors that this model no more gives: of another dimension than the index holds of it."""
        vectors, held = item.vectors, self._index.space
        if vectors is None or held is None or vectors.model != held.model or not len(vectors.rows):
            return set()
        return {"vectors"} if vectors.dimension != held.dimension else set()

    def retire(self, contexts: Sequence[StageContext]) -> None:
        """Let go of documents, but for those that a newer (generation, token) has brought back."""
        self._index.retire((c.tenant_id, c.doc_id, c.generation, c.token) for c in contexts)


def _note(item: Indexable) -> str:
    if item.vectors is None:
        return f"{KEYWORDS_ONLY}: no stage before this one embeds"
    if not item.vectors.present:
        return f"{KEYWORDS_ONLY}: {item.vectors.note or 'the embedder gave no vectors'}"
    return ""


def _indexed(ctx: StageContext, item: Indexable) -> IndexedDocument:
    document = item.document
    vectors = item.vectors if item.vectors is not None and item.vectors.present else None
    return IndexedDocument(
        tenant=ctx.tenant_id,
        doc_id=ctx.doc_id,
        generation=ctx.generation,
        token=ctx.token,
        source=document.source,
        source_id=document.source_id,
        kind=document.kind,
        title=document.title,
        date=best_date(document),
        metadata=metadata(document),
        chunks=item.chunks,
        vectors=None if vectors is None else vectors.rows,
        model="" if vectors is None else vectors.model,
    )


def best_date(document: Document) -> str | None:
    """The date a reader would file the document under: published, else the next best, else the latest of any kind."""
    by_kind = {date.kind: date.value for date in document.dates}
    for kind in _BEST_DATES:
        if kind in by_kind:
            return by_kind[kind]
    return max(by_kind.values(), default=None)


def metadata(document: Document) -> dict[str, object]:
    """What filters may ask for: language, identifiers as "scheme:value", and the facets among the fields."""
    facets: dict[str, dict[str, None]] = {}
    for field in document.fields:
        if field.name in FACETS and len(field.value) <= MAX_FACET_LENGTH:
            values = facets.setdefault(field.name, {})
            if len(values) < MAX_FACET_VALUES:
                values[field.value] = None
    found: dict[str, object] = {name: list(values) for name, values in facets.items()}
    if document.language:
        found["language"] = document.language
    if document.identifiers:
        found["identifier"] = [f"{identifier.scheme}:{identifier.value}" for identifier in document.identifiers]
    return found
