"""How well each leg and their fusion rank a judged collection, by ir-measures (trec_eval's own code)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from penstock.errors import UsageError
from penstock.ir import Chunk
from penstock.retrieval.datasets import JudgedCollection, Text
from penstock.retrieval.hybrid import HybridSearch
from penstock.stores.search_index import SqliteSearchIndex
from penstock.stores.search_rows import IndexedDocument

if TYPE_CHECKING:
    import ir_measures

DEPTH = 100
MEASURES = ("nDCG@10", "R@100", "RR")
_TENANT = "eval"
_GROUP = 64
Scores = Mapping[str, float]
Run = dict[str, dict[str, float]]
"""Query → document → score."""


@dataclass(frozen=True, slots=True)
class TextEmbedder:
    """`documents` gives vectors of shape (texts, dimension) in the space that `model` names, `query` one of shape
    (dimension,)."""

    model: str
    documents: Callable[[Sequence[str]], NDArray[np.float32]]
    query: Callable[[str], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """`legs`: "bm25", and with an embedder "dense" and "fusion"; of each the MEASURES, means over the queries."""

    collection: str
    documents: int
    queries: int
    model: str | None
    legs: Mapping[str, Scores]


Progress = Callable[[str, int, int], None]
"""Told (what, done, of how many)."""


def evaluate(collection: JudgedCollection, embedder: TextEmbedder | None, progress: Progress) -> Evaluation:
    """Index the collection, a document a chunk, in a file that is gone afterwards, and search it as anybody would.

    Raises UsageError when ir-measures isn't installed.
    """
    try:
        import ir_measures
    except ImportError as error:
        raise UsageError("measuring needs ir-measures", next_step="pip install 'penstock[eval]'") from error
    with TemporaryDirectory() as folder:
        index = SqliteSearchIndex(Path(folder) / "index.db")
        try:
            _fill(index, collection, embedder, progress)
            runs = _search(index, collection, embedder, progress)
        finally:
            index.close()
    measures = [ir_measures.parse_measure(name) for name in MEASURES]
    legs = {leg: _mean(ir_measures.calc_aggregate(measures, collection.judgements, run)) for leg, run in runs.items()}
    model = embedder.model if embedder else None
    return Evaluation(collection.name, len(collection.documents), len(collection.queries), model, legs)


def _fill(
    index: SqliteSearchIndex, collection: JudgedCollection, embedder: TextEmbedder | None, progress: Progress
) -> None:
    documents = list(collection.documents.items())
    for at in range(0, len(documents), _GROUP):
        group = documents[at : at + _GROUP]
        model = ""
        rows: list[NDArray[np.float32] | None] = [None] * len(group)
        if embedder:
            model, rows = embedder.model, [*embedder.documents([f"{text.title} {text.text}" for _, text in group])]
        index.replace([_indexed(name, text, row, model) for (name, text), row in zip(group, rows, strict=True)])
        progress("index", at + len(group), len(documents))


def _indexed(name: str, text: Text, row: NDArray[np.float32] | None, model: str) -> IndexedDocument:
    rows = None if row is None else row[np.newaxis]
    chunk = Chunk(chunk_id=name, ordinal=0, start=0, end=len(text.text), text=text.text)
    return IndexedDocument(_TENANT, name, 1, 1, "eval", name, "eval", text.title, [chunk], vectors=rows, model=model)


def _search(
    index: SqliteSearchIndex, collection: JudgedCollection, embedder: TextEmbedder | None, progress: Progress
) -> dict[str, Run]:
    runs: dict[str, Run] = {"bm25": {}, "dense": {}, "fusion": {}} if embedder else {"bm25": {}}
    search = HybridSearch(index)
    for done, (name, asked) in enumerate(collection.queries.items(), start=1):
        query = asked.replace('"', " ")  # prose: no phrase in it was meant as a condition
        runs["bm25"][name] = {hit.doc_id: hit.score for hit in search.search(query, tenant=_TENANT, k=DEPTH).hits}
        if embedder:
            vector = embedder.query(query)
            with index.snapshot():
                nearest = {hit.number: hit.score for hit in index.dense(_TENANT, vector, DEPTH)}
                owners = index.chunks(nearest)
            runs["dense"][name] = {owners[number].doc_id: score for number, score in nearest.items()}
            both = search.search(query, tenant=_TENANT, k=DEPTH, vector=vector)
            runs["fusion"][name] = {hit.doc_id: hit.score for hit in both.hits}
        progress("search", done, len(collection.queries))
    return runs


def _mean(found: Mapping[ir_measures.Measure, float]) -> Scores:
    return {
        str(measure): score for measure, score in sorted(found.items(), key=lambda item: MEASURES.index(str(item[0])))
    }
