"""MiniLM's weights from the package index against the vectors that its makers' own software gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from penstock.errors import UsageError
from penstock.retrieval.datasets import read_collection
from penstock.stages.embed import minilm
from penstock.stages.embed.checks import checked
from penstock.stages.embed.minilm import MiniLM


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where graphs are kept, built once for these tests."""
    return tmp_path_factory.mktemp("models")


@pytest.mark.parametrize(("precision", "least"), [("fp32", 0.999), ("int8", 0.99)])
def test_it_gives_the_vectors_of_the_original(data: Path, models: Path, precision: str, least: float) -> None:
    reference = np.load(data.parent / "models/minilm-reference.npz")
    documents = read_collection(data / "ir/cisi").documents
    texts = [f"{documents[str(number)].title} {documents[str(number)].text}" for number in reference["doc_ids"]]
    rows = checked(MiniLM(models, precision).open().embed(texts))  # type: ignore[arg-type]
    cosines = (rows * reference["vectors"]).sum(axis=1)
    assert len(cosines) == 60
    assert cosines.min() >= least
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-5)


def test_what_a_text_is_embedded_beside_makes_no_difference(models: Path) -> None:
    encoder = MiniLM(models).open()
    texts = [f"{'glucose ' * (number % 50)}note {number}" for number in range(80)]
    together = checked(encoder.embed(texts))
    assert checked([encoder.embed_query(text) for text in texts]).tolist() == together.tolist()


def test_the_graph_is_built_once_and_nothing_else_is_left_behind(models: Path) -> None:
    built = minilm.graph(models, "int8")
    before = built.stat().st_mtime_ns
    assert minilm.graph(models, "int8").stat().st_mtime_ns == before
    assert built.stat().st_size < 25_000_000
    assert {path.suffix for path in models.iterdir()} == {".onnx"}


def test_weights_that_are_not_the_published_ones_are_refused_and_nothing_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "tampered_minilm"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "model/model.safetensors").write_bytes(b"other weights")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(minilm, "_PACKAGE", "tampered_minilm")
    with pytest.raises(UsageError, match="is not all-MiniLM-L6-v2 as published") as caught:
        minilm.graph(tmp_path / "models", "int8")
    assert "make install-model" in caught.value.next_step
    assert list((tmp_path / "models").iterdir()) == []


def test_where_it_is_not_installed_what_is_missing_is_named(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MiniLM(models).missing() == ""
    monkeypatch.setattr(minilm, "_PACKAGE", "no_such_package")
    assert "no_such_package: make install-model" in MiniLM(models).missing()
