"""`penstock search` by meaning: the query goes to the endpoint the documents went to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from command import Penstock

SENSES = (("glucose", "sugar"), ("stroke", "clot"), ("metformin",))


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
    assert found["hits"][0]["source_id"] == "a.md"
    assert penstock("search", "clot", "--json").json["hits"][0]["source_id"] == "b.txt"


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
    assert found["hits"][0]["source_id"] == "a.md"


def test_without_vectors_nothing_is_asked(penstock: Penstock, good: Path) -> None:
    penstock("run", "auto", "notes")
    found = penstock("search", "glucose", "--json").json
    assert (found["legs"], len(found["hits"])) == (["bm25"], 1)
