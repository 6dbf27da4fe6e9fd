"""The search index: writing against a bare loop into the same tables, and how long a search takes.

    python -m benchmarks.search [DOCUMENTS] [--natural]

CPU is this process's, without its start. The corpus is workload P's: 10 chunks of 200 words a document, out of 330
words, so that each word of a query is in almost every second chunk. `--natural` only searches, a corpus whose words are
as frequent as a language's are (Zipf's law, 40,000 words, 100 a chunk), asked for words of a chunk drawn by chance. The
bare loop is frozen: change it and no figure compares with an older one.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import apsw
import numpy as np
import sqlite_vec

from benchmarks.bare import CHUNK_WORDS, DIMENSION
from benchmarks.workload import WORDS
from penstock.ir import Chunk
from penstock.retrieval.hybrid import HybridSearch, QueryEmbedder
from penstock.stores.search_index import SqliteSearchIndex
from penstock.stores.search_rows import IndexedDocument

CHUNKS = 10
GROUP = 64
SEARCHES = 100
MOST_WRITING = 1.6
MOST_SEARCHING = 20.0
"""Milliseconds, the median, over 20,000 chunks."""
MOST_SEARCHING_NATURAL = 30.0
"""Milliseconds, the 95th percentile, over 100,000 chunks."""
VOCABULARY = 40_000
NATURAL_WORDS = 100
LITTLE_WORDS = 40
"""As many of the commonest words are asked for by nobody."""

BARE_TABLES = """
CREATE TABLE documents (number INTEGER PRIMARY KEY, doc_id TEXT NOT NULL UNIQUE, title TEXT NOT NULL);
CREATE TABLE chunks (number INTEGER PRIMARY KEY, document INTEGER NOT NULL, chunk_id TEXT NOT NULL, text TEXT NOT NULL);
CREATE INDEX chunk_ids ON chunks (chunk_id);
CREATE VIRTUAL TABLE words USING fts5 (
  text, title, tenant, content='', contentless_delete=1, tokenize='porter unicode61 remove_diacritics 2'
);
INSERT INTO words (words, rank) VALUES ('hashsize', 8388608);
"""
BARE_VECTORS = f"""
CREATE VIRTUAL TABLE vectors USING vec0 (
  tenant integer partition key, embedding float[{DIMENSION}] distance_metric=cosine
)
"""


def corpus(documents: int) -> list[IndexedDocument]:
    rng = random.Random(7)
    vectors = np.random.default_rng(7).standard_normal((documents, CHUNKS, DIMENSION)).astype(np.float32)
    return [
        _document(number, [" ".join(rng.choices(WORDS, k=CHUNK_WORDS)) for _ in range(CHUNKS)], vectors[number])
        for number in range(documents)
    ]


def natural(documents: int) -> tuple[list[IndexedDocument], dict[int, list[str]]]:
    """A corpus, and for each number of words the queries."""
    rng = np.random.default_rng(7)
    share = 1 / (np.arange(VOCABULARY) + 2.7)
    drawn = rng.choice(VOCABULARY, (documents, CHUNKS, NATURAL_WORDS), p=share / share.sum())
    vectors = rng.standard_normal((documents, CHUNKS, DIMENSION), dtype=np.float32)
    texts = [[" ".join(map(_word, chunk)) for chunk in document] for document in drawn]
    chunks = drawn.reshape(-1, NATURAL_WORDS)[rng.choice(documents * CHUNKS, SEARCHES)]
    asked = [[_word(rank) for rank in chunk if rank >= LITTLE_WORDS] for chunk in chunks]
    queries = {words: [" ".join(chunk[:words]) for chunk in asked] for words in (1, 3, 8)}
    return [_document(number, texts[number], vectors[number]) for number in range(documents)], queries


def _word(rank: int) -> str:
    return f"w{rank:05d}"


def _document(number: int, texts: Sequence[str], vectors: np.ndarray) -> IndexedDocument:
    doc_id = f"{number:032x}"
    chunks = [
        Chunk(chunk_id=f"{doc_id}:{n}", ordinal=n, start=0, end=len(text), text=text) for n, text in enumerate(texts)
    ]
    title = f"d{number}"
    return IndexedDocument("default", doc_id, 1, 1, "bench", title, "text", title, chunks, None, {}, vectors, "hash")


def write_bare(path: Path, documents: Sequence[IndexedDocument], *, dense: bool) -> None:
    """No fences, no receipts, nothing replaced: rows in, a commit every GROUP documents."""
    db = apsw.Connection(str(path))
    db.enable_load_extension(True)
    db.load_extension(sqlite_vec.loadable_path())
    db.execute("PRAGMA page_size=16384; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL")
    db.execute("PRAGMA cache_size=-16000; PRAGMA wal_autocheckpoint=2000")
    db.execute(BARE_TABLES)
    if dense:
        db.execute(BARE_VECTORS)
    row = 0
    for number, document in enumerate(documents):
        if number % GROUP == 0:
            db.execute("BEGIN IMMEDIATE")
        db.execute("INSERT INTO documents VALUES (?, ?, ?)", (number, document.doc_id, document.title))
        first = row
        for chunk in document.chunks:
            row += 1
            db.execute("INSERT INTO chunks VALUES (?, ?, ?, ?)", (row, number, chunk.chunk_id, chunk.text))
            db.execute(
                "INSERT INTO words (rowid, text, title, tenant) VALUES (?, ?, ?, 't1')",
                (row, chunk.text, document.title),
            )
        if dense and document.vectors is not None:
            for at, vector in enumerate(document.vectors, start=1):
                db.execute(
                    "INSERT INTO vectors (rowid, tenant, embedding) VALUES (?, 1, ?)", (first + at, vector.tobytes())
                )
        if number % GROUP == GROUP - 1 or number == len(documents) - 1:
            db.execute("COMMIT")
    total = db.execute("SELECT count(*) FROM chunks").get
    assert total == CHUNKS * len(documents), total
    db.close()


def write_index(path: Path, documents: Sequence[IndexedDocument]) -> SqliteSearchIndex:
    index = SqliteSearchIndex(path)
    for at in range(0, len(documents), GROUP):
        receipts = index.replace(documents[at : at + GROUP])
        assert all(receipt.accepted for receipt in receipts)
    return index


def cpu(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def measure_writing(folder: Path, documents: Sequence[IndexedDocument], *, dense: bool) -> SqliteSearchIndex:
    name = "words and vectors" if dense else "words"
    if not dense:
        documents = [_without_vectors(document) for document in documents]
    bare = cpu(lambda: write_bare(folder / f"bare-{dense}.db", documents, dense=dense))
    path = folder / f"index-{dense}.db"
    ours = cpu(lambda: write_index(path, documents))
    again = cpu(lambda: write_index(path, documents))
    index = SqliteSearchIndex(path)
    expected = len(documents), CHUNKS * len(documents), CHUNKS * len(documents) * dense
    assert tuple(index.count()) == expected, index.count()
    assert index.problems() == []
    print(f"write {name}: {ours:.2f} CPU s, bare loop {bare:.2f}: {ours / bare:.2f} x (at most {MOST_WRITING})")
    print(f"  replacing all of it: {again:.2f} CPU s, {again / bare:.2f} x; {path.stat().st_size / 1e6:.0f} MB")
    return index


def _without_vectors(document: IndexedDocument) -> IndexedDocument:
    from dataclasses import replace

    return replace(document, vectors=None, model="")


def measure_searching(index: SqliteSearchIndex, queries: dict[int, list[str]], target: str) -> None:
    asked = np.random.default_rng(11).standard_normal(DIMENSION).astype(np.float32)
    keywords = HybridSearch(index)
    hybrid = HybridSearch(index, QueryEmbedder("hash", lambda _: asked))
    first = [latency(hybrid, query) for query in queries[1][:2]]
    print(f"search, the first two (the second takes the vectors into memory): {first[0]:.0f} and {first[1]:.0f} ms")
    for words, texts in queries.items():
        for name, search in (("keywords", keywords), ("hybrid", hybrid)):
            taken = [latency(search, query) for query in texts]
            p50, p95 = statistics.median(taken), statistics.quantiles(taken, n=20)[-1]
            print(f"search, {words} words, {name}: p50 {p50:.1f} ms, p95 {p95:.1f} ms ({target})")


def latency(search: HybridSearch, query: str) -> float:
    """Milliseconds."""
    start = time.perf_counter()
    found = search.search(query, tenant="default")
    taken = 1000 * (time.perf_counter() - start)
    assert len(found.hits) == 10 or len(found.legs) == 1, found
    return taken


def main() -> None:
    numbers = [int(argument) for argument in sys.argv[1:] if argument != "--natural"]
    count = numbers[0] if numbers else 2000
    print(f"{count:,} documents, {CHUNKS * count:,} chunks, {DIMENSION} dimensions, groups of {GROUP}")
    with TemporaryDirectory() as name:
        folder = Path(name)
        if "--natural" in sys.argv:
            documents, queries = natural(count)
            index = write_index(folder / "natural.db", documents)
            measure_searching(index, queries, f"p95 at most {MOST_SEARCHING_NATURAL:g} over 100,000 chunks")
            return
        rng = random.Random(11)
        queries = {words: [" ".join(rng.choices(WORDS, k=words)) for _ in range(SEARCHES)] for words in (1, 3, 6)}
        documents = corpus(count)
        measure_writing(folder, documents, dense=False)
        index = measure_writing(folder, documents, dense=True)
        measure_searching(index, queries, f"p50 at most {MOST_SEARCHING:g} over 20,000 chunks")


if __name__ == "__main__":
    main()
