"""`penstock search` by meaning: the query goes to the endpoint the documents went to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from command import Penstock

SENSES = [("glucose", "sugar"), ("stroke", "clot"), ("metformin",)]


def vector_of(text: str) -> list[float]:
    """One dimension a sense: words of one sense are neighbours."""
    return [0.1 + sum(text.lower().count(word) for word in words) for words in SENSES]


class Endpoint(BaseHTTPRequestHandler):
    """An OpenAI-compatible /embeddings."""

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        texts = request["input"] if isinstance(request["input"], list) else [request["input"]]
        data = [{"object": "embedding", "index": n, "embedding": vector_of(text)} for n, text in enumerate(texts)]
        usage = {"prompt_tokens": 0, "total_tokens": 0}
        body = json.dumps({"object": "list", "model": "senses", "data": data, "usage": usage}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return None


@pytest.fixture
def endpoint() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


def test_a_word_that_no_document_has_finds_what_means_the_same(
    penstock: Penstock, good: Path, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_EMBED_URL", endpoint)
    monkeypatch.setenv("PENSTOCK_EMBED_MODEL", "senses")
    assert penstock("run", "auto", "notes").status == 0
    found = penstock("search", "sugar", "--json").json
    assert found["legs"] == ["bm25", "dense"]
    assert found["hits"][0]["title"] == "Metformin"
    assert penstock("search", "clot", "--json").json["hits"][0]["source_id"] == str(good / "b.txt")


def test_where_the_endpoint_is_set_no_more_words_are_searched_and_that_is_said(
    penstock: Penstock, good: Path, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("PENSTOCK_EMBED_URL", endpoint)
        patch.setenv("PENSTOCK_EMBED_MODEL", "senses")
        penstock("run", "auto", "notes")
    found = penstock("search", "glucose", "--json").json
    assert found["legs"] == ["bm25"]
    assert "the index holds senses" in found["note"]
    assert found["hits"][0]["title"] == "Metformin"


def test_without_vectors_nothing_is_asked(penstock: Penstock, good: Path) -> None:
    penstock("run", "auto", "notes")
    found = penstock("search", "glucose", "--json").json
    assert (found["legs"], len(found["hits"])) == (["bm25"], 1)


def test_an_endpoint_that_serves_another_dimension_under_the_old_name_leaves_the_index_as_it_was(
    penstock: Penstock, good: Path, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_EMBED_URL", endpoint)
    monkeypatch.setenv("PENSTOCK_EMBED_MODEL", "senses")
    penstock("run", "auto", "notes")
    monkeypatch.setattr(f"{__name__}.SENSES", [*SENSES, ("insulin",)])
    (good / "new.md").write_text("Insulin lowers glucose.\n")
    ran = penstock("run", "auto", "notes")
    assert ran.status == 1
    assert "senses gives vectors of 4 dimensions now, but the index at" in " ".join(ran.out.split())
    found = penstock("search", "glucose", "--json").json
    assert found["legs"] == ["bm25"]
    assert "shape (4,)" in found["note"]
    monkeypatch.setattr(f"{__name__}.SENSES", SENSES[:3])
    assert penstock("run", "auto", "notes").status == 0
    assert penstock("search", "sugar", "--json").json["legs"] == ["bm25", "dense"]


def test_vectors_that_were_kept_are_made_again_when_the_model_has_another_dimension_now(
    penstock: Penstock, good: Path, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_EMBED_URL", endpoint)
    monkeypatch.setenv("PENSTOCK_EMBED_MODEL", "senses")
    penstock("run", "auto", "notes")
    monkeypatch.setattr(f"{__name__}.SENSES", [*SENSES, ("insulin",)])
    for path in Path(".penstock").glob("index.db*"):
        path.unlink()
    (good / "new.md").write_text("Insulin lowers glucose.\n")
    assert penstock("run", "auto", "notes").status == 0
    found = penstock("search", "sugar", "--json").json
    assert found["legs"] == ["bm25", "dense"]
    assert {Path(hit["source_id"]).name for hit in found["hits"]} == {"a.md", "b.txt", "new.md"}


def test_where_the_endpoint_is_set_no_more_nothing_is_redone_and_nothing_added_without_vectors(
    penstock: Penstock, good: Path, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("PENSTOCK_EMBED_URL", endpoint)
        patch.setenv("PENSTOCK_EMBED_MODEL", "senses")
        penstock("run", "auto", "notes")
    again = penstock("run", "auto", "notes", "--json")
    assert again.status == 0
    assert "the index holds senses" in str(again.json["notes"])
    (good / "new.md").write_text("Insulin lowers glucose.\n")
    ran = penstock("run", "auto", "notes")
    assert ran.status == 2
    assert "the index holds senses" in ran.err
    assert "PENSTOCK_EMBED_URL" in ran.err


def test_with_no_server_the_packaged_model_finds_what_no_word_is_shared_with(
    penstock: Penstock, good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_EMBEDDER", "minilm")
    ran = penstock("run", "auto", "notes", "--json")
    assert ran.status == 0
    assert "vectors by all-MiniLM-L6-v2:int8" in ran.json["notes"]
    found = penstock("search", "anticoagulant against brain clots", "--json").json
    assert found["legs"] == ["bm25", "dense"]
    assert Path(found["hits"][0]["source_id"]).name == "b.txt"
    assert found["hits"][0]["ranks"] == {"dense": 1}
    monkeypatch.setenv("PENSTOCK_EMBEDDER", "auto")
    again = penstock("run", "auto", "notes", "--json")
    assert "vectors by all-MiniLM-L6-v2:int8, which the index holds" in again.json["notes"]
    assert "MiniLM" in penstock("doctor", "--json").out
