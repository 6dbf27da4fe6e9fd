"""Haystack's own conformance suite, and what our store promises beyond it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from haystack import Document
from haystack.dataclasses import ByteStream, SparseEmbedding
from haystack.document_stores.errors import DocumentStoreError, DuplicateDocumentError
from haystack.document_stores.types import DuplicatePolicy
from haystack.errors import FilterError
from haystack.testing.document_store import DocumentStoreBaseTests

from penstock.errors import UsageError
from penstock.ir import Chunk
from penstock.stores.document_store import PenstockDocumentStore
from penstock.stores.search_rows import IndexedDocument


@pytest.fixture
def document_store(tmp_path: Path) -> PenstockDocumentStore:
    return PenstockDocumentStore(str(tmp_path / "index.db"))


class TestHaystacksSuite(DocumentStoreBaseTests):
    @pytest.fixture
    def document_store(self, tmp_path: Path) -> PenstockDocumentStore:
        return PenstockDocumentStore(str(tmp_path / "index.db"))

    @staticmethod
    def assert_documents_are_equal(received: list[Document], expected: list[Document]) -> None:
        """Embeddings rest as float32; everything else, order included, must be the same."""
        assert len(received) == len(expected)
        for one, other in zip(received, expected, strict=True):
            assert replace(one, embedding=None) == replace(other, embedding=None)
            assert (one.embedding is None) == (other.embedding is None)
            if one.embedding is not None:
                assert one.embedding == pytest.approx(other.embedding, rel=1e-6)

    def test_write_documents(self, document_store: PenstockDocumentStore) -> None:
        document = Document(content="test doc")
        assert document_store.write_documents([document]) == 1
        with pytest.raises(DuplicateDocumentError):
            document_store.write_documents([document])
        self.assert_documents_are_equal(document_store.filter_documents(), [document])


def test_failing_on_a_duplicate_writes_none_of_the_others(document_store: PenstockDocumentStore) -> None:
    document_store.write_documents([Document(id="1", content="old")])
    with pytest.raises(DuplicateDocumentError):
        document_store.write_documents([Document(id="2", content="new"), Document(id="1", content="new")])
    assert [document.content for document in document_store.filter_documents()] == ["old"]


def test_a_deleted_document_can_be_written_again(document_store: PenstockDocumentStore) -> None:
    document_store.write_documents([Document(id="1", content="old")])
    document_store.delete_documents(["1"])
    assert document_store.write_documents([Document(id="1", content="new")], DuplicatePolicy.FAIL) == 1


def test_what_cannot_be_held_is_refused_rather_than_dropped(document_store: PenstockDocumentStore) -> None:
    for document in (
        Document(content=None),
        Document(content="a", blob=ByteStream(b"b")),
        Document(content="a", sparse_embedding=SparseEmbedding([1], [0.5])),
    ):
        with pytest.raises(ValueError, match="only text"):
            document_store.write_documents([document])
    assert document_store.count_documents() == 0


def test_embeddings_of_another_model_are_refused(document_store: PenstockDocumentStore) -> None:
    document_store.write_documents([Document(content="a", embedding=[1.0, 2.0])])
    other = PenstockDocumentStore(document_store.path, model="another")
    with pytest.raises(UsageError, match="can't be mixed"):
        other.write_documents([Document(content="b", embedding=[1.0, 2.0])])


def test_a_tenants_documents_are_not_another_tenants(document_store: PenstockDocumentStore) -> None:
    document_store.write_documents([Document(id="1", content="mine")])
    other = PenstockDocumentStore(document_store.path, tenant="other")
    assert other.count_documents() == 0
    other.delete_documents(["1"])
    assert other.write_documents([Document(id="1", content="theirs")]) == 1
    assert [document.content for document in document_store.filter_documents()] == ["mine"]


def test_what_a_pipeline_wrote_is_read_but_never_changed(document_store: PenstockDocumentStore) -> None:
    chunk = Chunk(chunk_id="d:0", ordinal=0, start=5, end=9, text="text", heading=("Methods",))
    document_store.index.replace(
        [IndexedDocument("default", "d", 3, 1, "files", "NCT1", "study", "A title", [chunk], "2024", {"phase": ["3"]})]
    )
    [document] = document_store.filter_documents({"field": "meta.source_id", "operator": "==", "value": "NCT1"})
    assert (document.id, document.content) == ("d:0", "text")
    assert document.meta["heading"] == ["Methods"]
    assert document.meta["phase"] == ["3"]
    with pytest.raises(DocumentStoreError, match="written by a pipeline"):
        document_store.delete_documents(["d:0"])
    with pytest.raises(DocumentStoreError, match="written by a pipeline"):
        document_store.write_documents([Document(id="d:0", content="x")], DuplicatePolicy.OVERWRITE)
    assert document_store.write_documents([Document(id="d:0", content="x")], DuplicatePolicy.SKIP) == 0
    assert document_store.filter_documents()[0].content == "text"


def test_filters_nested_without_end_are_refused(document_store: PenstockDocumentStore) -> None:
    document_store.write_documents([Document(content="a")])
    filters: dict[str, object] = {"field": "meta.a", "operator": "==", "value": 1}
    for _ in range(5000):
        filters = {"operator": "AND", "conditions": [filters]}
    with pytest.raises(FilterError, match="nested"):
        document_store.filter_documents(filters)


def test_it_goes_through_a_dictionary_and_back(document_store: PenstockDocumentStore) -> None:
    document_store.write_documents([Document(content="a")])
    again = PenstockDocumentStore.from_dict(document_store.to_dict())
    assert again.to_dict() == document_store.to_dict()
    assert again.count_documents() == 1
