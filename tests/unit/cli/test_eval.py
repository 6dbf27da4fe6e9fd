from __future__ import annotations

from pathlib import Path

import httpx
import numpy as np
import pytest
import respx

from command import Penstock

ENDPOINT = "http://embeddings.test/v1"


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "toy.ALL").write_text(".I 1\n.T\nnorth\n.W\na wind\n.I 2\n.W\npolar cold\n.I 3\n.W\neast wind\n")
    (folder / "toy.QRY").write_text(".I 1\n.W\nthe north\n")
    (folder / "toy.REL").write_text("1 1 0 0.0\n1 2 0 0.0\n")
    return folder


def test_without_an_embedder_the_words_are_measured_and_it_says_so(
    penstock: Penstock, collection: Path, tmp_path: Path
):
    said = penstock("eval", "ir", str(collection))
    assert said.status == 0, said.err
    assert "toy: 3 documents, 1 judged queries" in said.out
    assert "nDCG@10" in said.out
    assert "recall@100" in said.out
    assert "MRR" in said.out
    assert "words (BM25)  0.613    0.500       1.000" in said.out
    assert "keyword search only" in said.out
    assert not (tmp_path / ".penstock/index.db").exists()


def test_json_is_for_scripts(penstock: Penstock, collection: Path):
    found = penstock("eval", "ir", str(collection), "--json", "--words-only").json
    assert found["legs"] == {"bm25": {"nDCG@10": pytest.approx(0.6131, abs=1e-4), "R@100": 0.5, "RR": 1.0}}
    assert (found["documents"], found["queries"], found["model"]) == (3, 1, None)


def test_the_pipelines_embedder_is_measured_by_itself_and_joined(
    penstock: Penstock, collection: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PENSTOCK_EMBED_URL", ENDPOINT)
    monkeypatch.setenv("PENSTOCK_EMBED_MODEL", "compass")

    def answer(request: httpx.Request) -> httpx.Response:
        import base64
        import json

        texts = json.loads(request.content)["input"]
        rows = [[1.0, 0.0] if {"north", "polar"} & set(text.split()) else [0.0, 1.0] for text in texts]
        data = [
            {"object": "embedding", "index": n, "embedding": base64.b64encode(np.array(row, "<f4").tobytes()).decode()}
            for n, row in enumerate(rows)
        ]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        return httpx.Response(200, json={"object": "list", "model": "compass", "data": data, "usage": usage})

    with respx.mock:
        respx.post(f"{ENDPOINT}/embeddings").mock(side_effect=answer)
        said = penstock("eval", "ir", str(collection), "--json")
    assert said.status == 0, said.err
    assert said.json["model"] == "compass"
    assert said.json["legs"]["bm25"]["R@100"] == 0.5
    assert said.json["legs"]["dense"] == {"nDCG@10": 1.0, "R@100": 1.0, "RR": 1.0}
    assert said.json["legs"]["fusion"] == {"nDCG@10": 1.0, "R@100": 1.0, "RR": 1.0}


def test_a_mistake_is_one_line(penstock: Penstock, collection: Path, tmp_path: Path):
    said = penstock("eval", "ir", str(tmp_path / "nowhere"))
    assert (said.status, said.out) == (2, "")
    assert "is no folder" in said.err
    said = penstock("eval", "ir", str(collection), "--pipeline", "nosuch")
    assert said.status == 2
    assert "there is no pipeline 'nosuch'" in said.err
