"""A search index and documents for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from penstock.ir import Chunk
from penstock.stores.search_index import SqliteSearchIndex
from penstock.stores.search_rows import IndexedDocument

MakeDocument = Callable[..., IndexedDocument]


@pytest.fixture
def index(tmp_path: Path) -> SqliteSearchIndex:
    return SqliteSearchIndex(tmp_path / "index.db", busy_seconds=2)


@pytest.fixture
def make() -> MakeDocument:
    """A document of the given texts, one chunk each."""

    def make(
        doc_id: str = "d",
        *texts: str,
        generation: int = 1,
        token: int = 1,
        tenant: str = "t",
        source: str = "files",
        kind: str = "text",
        title: str = "",
        date: str | None = None,
        metadata: dict[str, object] | None = None,
        vectors: Sequence[Sequence[float]] | NDArray[np.float32] | None = None,
        model: str = "m",
    ) -> IndexedDocument:
        chunks = [
            Chunk(chunk_id=f"{doc_id}:{n}", ordinal=n, start=0, end=len(text), text=text)
            for n, text in enumerate(texts)
        ]
        return IndexedDocument(
            tenant,
            doc_id,
            generation,
            token,
            source,
            f"id-{doc_id}",
            kind,
            title,
            chunks,
            date,
            metadata or {},
            None if vectors is None else np.asarray(vectors, np.float32),
            model,
        )

    return make
