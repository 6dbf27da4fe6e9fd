"""Embedding against a real server on this machine, which answers rightly or in one of the wrong ways."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import respx
from pydantic import SecretStr, ValidationError

from penstock.errors import AttemptTimeout, BadInput, InvalidOutput, RateLimited, ServiceUnavailable, UsageError
from penstock.ir import Chunk, StageContext
from penstock.stages.embed import (
    AutoEmbedder,
    Embedding,
    EmbeddingEndpoint,
    NoEmbedder,
    NoOptions,
    OpenAIEmbedder,
    OpenAIOptions,
    RequestOptions,
    adapt,
    minilm,
)
from penstock.stages.embed.checks import VectorIndex
from penstock.stages.haystack_component import ComponentOptions
from penstock.stores.search_index import SqliteSearchIndex
from penstock.stores.search_rows import IndexedDocument, Space

CONTEXT = StageContext("default", "d", "c")


class NoIndex:
    """An index that nothing is written to, and that keeps what is decided."""

    path = Path("index.db")

    def __init__(self) -> None:
        self.space: Space | None = None

    @property
    def exists(self) -> bool:
        return self.space is not None

    def pin(self, given: Space) -> Space:
        self.space = self.space or given
        return self.space


class Transport:
    """The `http` service without a guard."""

    def transport(self) -> httpx.BaseTransport:
        return httpx.HTTPTransport()


def vector_of(text: str) -> list[float]:
    return [float(len(text)), float(sum(map(ord, text)) % 97), 1.0]


class Server:
    """An OpenAI-compatible endpoint. `answer` may change the items before they are sent; requests are kept."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.status = 200
        self.base64 = True
        self.refuses_base64 = False
        self.hang = threading.Event()
        self.hang.set()
        self.change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]] = lambda items: items
        self.body: bytes | None = None
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                owner.keys.append(self.headers["Authorization"])
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                owner.requests.append(request)
                owner.hang.wait(5)
                status, body = owner.reply(request)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def reply(self, request: dict[str, Any]) -> tuple[int, bytes]:
        if self.body is not None:
            return self.status, self.body
        if self.status != 200:
            return self.status, json.dumps({"error": {"message": "the maximum context length is 512 tokens"}}).encode()
        encoding = request["encoding_format"]
        if self.refuses_base64 and encoding == "base64":
            return 400, b'{"error": {"message": "bad request"}}'
        items = [
            {"object": "embedding", "index": index, "embedding": self.encode(vector_of(text), encoding)}
            for index, text in enumerate(request["input"])
        ]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        return 200, json.dumps(
            {"object": "list", "model": "m", "data": self.change(items), "usage": usage}, allow_nan=True
        ).encode()

    def encode(self, vector: list[float], encoding: str) -> str | list[float]:
        if encoding == "base64" and self.base64:
            return base64.b64encode(np.asarray(vector, "<f4").tobytes()).decode()
        return vector

    def close(self) -> None:
        self.hang.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


def embedder(server: Server, **options: Any) -> OpenAIEmbedder:
    return OpenAIEmbedder(OpenAIOptions(url=server.url, model="m", **options), http=Transport(), index=NoIndex())


def document(*texts: str) -> tuple[StageContext, list[Chunk]]:
    return CONTEXT, [
        Chunk(chunk_id=f"d:{n}", ordinal=n, start=0, end=len(text), text=text) for n, text in enumerate(texts)
    ]


def test_vectors_come_as_base64_one_row_a_chunk_given_back_by_document(server: Server) -> None:
    first, second, empty = embedder(server).execute([document("a", "bb"), document("ccc"), document()])
    assert first.model == "m"
    assert first.rows.dtype == np.float32
    assert first.rows.tolist() == [vector_of("a"), vector_of("bb")]
    assert second.rows.tolist() == [vector_of("ccc")]
    assert empty.present
    assert empty.rows.shape == (0, 3)
    assert len(server.requests) == 1
    assert server.requests[0]["encoding_format"] == "base64"


def test_nothing_to_embed_asks_nothing(server: Server) -> None:
    assert embedder(server).execute([]) == []
    (nothing,) = embedder(server).execute([document()])
    assert len(nothing.rows) == 0
    assert server.requests == []


def test_a_server_that_ignores_base64_is_understood(server: Server) -> None:
    server.base64 = False
    assert embedder(server).execute([document("a")])[0].rows.tolist() == [vector_of("a")]


def test_a_server_that_refuses_base64_is_asked_for_numbers_from_then_on(server: Server) -> None:
    server.refuses_base64 = True
    stage = embedder(server, concurrency=1, batch_size=1)
    assert stage.execute([document("a", "b")])[0].rows.tolist() == [vector_of("a"), vector_of("b")]
    assert [request["encoding_format"] for request in server.requests] == ["base64", "float", "float"]


def test_a_server_that_has_answered_in_base64_is_not_asked_twice_about_a_refused_text(server: Server) -> None:
    stage = embedder(server)
    stage.execute([document("a")])
    server.status = 400
    with pytest.raises(BadInput):
        stage.execute([document("b")])
    assert len(server.requests) == 2


def test_batches_are_bounded_by_count_and_by_size_and_keep_their_order(server: Server) -> None:
    texts = [str(number) * (number % 7 + 1) for number in range(40)]
    stage = embedder(server, batch_size=4, batch_characters=12)
    assert stage.execute([document(*texts)])[0].rows.tolist() == [vector_of(text) for text in texts]
    sent = [request["input"] for request in server.requests]
    assert max(map(len, sent)) <= 4
    assert all(sum(map(len, batch)) <= 12 or len(batch) == 1 for batch in sent)


def test_dimensions_and_prefixes_are_sent(server: Server) -> None:
    stage = embedder(server, dimensions=3, prefix="passage: ", query_prefix="query: ")
    stage.execute([document("a")])
    assert stage.embed_query("b").tolist() == vector_of("query: b")
    assert [request["input"] for request in server.requests] == [["passage: a"], ["query: b"]]
    assert server.requests[0]["dimensions"] == 3


def test_a_keyless_server_needs_no_key(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    embedder(server).execute([document("a")])
    assert server.keys == ["Bearer keyless"]


def test_the_key_comes_from_the_named_variable_and_shows_nowhere(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "canary-key")
    stage = embedder(server, api_key_env="MY_KEY")
    stage.execute([document("a")])
    assert server.keys == ["Bearer canary-key"]
    assert "canary" not in repr(vars(stage)) + str(OpenAIOptions(url=server.url, model="m", api_key_env="MY_KEY"))


def test_a_key_variable_that_is_not_set_is_said_when_the_stage_is_made(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    with pytest.raises(UsageError, match="MY_KEY"):
        embedder(server, api_key_env="MY_KEY")


def test_a_failing_server_raises_and_is_called_once(server: Server) -> None:
    server.status = 500
    with pytest.raises(ServiceUnavailable) as caught:
        embedder(server).execute([document("a")])
    assert caught.value.status == 500
    assert len(server.requests) == 1


def test_a_server_that_hangs_is_given_up_after_the_timeout(server: Server) -> None:
    server.hang.clear()
    with pytest.raises(AttemptTimeout):
        embedder(server, timeout_seconds=0.1).execute([document("a")])


def test_a_dead_server_is_the_services_fault() -> None:
    stage = OpenAIEmbedder(OpenAIOptions(url="http://127.0.0.1:9/v1", model="m"), http=Transport(), index=NoIndex())
    with pytest.raises(ServiceUnavailable):
        stage.execute([document("a")])


@pytest.mark.parametrize(
    ("status", "expected"),
    [(429, RateLimited), (401, ServiceUnavailable), (403, ServiceUnavailable), (404, ServiceUnavailable)],
)
def test_a_refusal_that_no_document_can_help_is_transient(
    server: Server, status: int, expected: type[Exception]
) -> None:
    server.status = status
    with pytest.raises(expected):
        embedder(server).execute([document("a")])


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_text_the_server_refuses_is_bad_input(server: Server, status: int) -> None:
    server.status = status
    with pytest.raises(BadInput) as caught:
        embedder(server).execute([document("a")])
    assert caught.value.reason == "too-large"


@pytest.mark.parametrize("body", [b"<html>Sign in</html>", b"[]", b'{"data": null}', b'{"error": "x"}', b""])
def test_an_answer_that_is_no_list_of_embeddings_is_the_services_fault(server: Server, body: bytes) -> None:
    server.body = body
    with pytest.raises(ServiceUnavailable):
        embedder(server).execute([document("a")])


def _with(**changes: Any) -> Callable[[list[dict[str, Any]]], list[dict[str, Any]]]:
    return lambda items: [*items[:-1], {**items[-1], **changes}]


BAD_ANSWERS: dict[str, tuple[Callable[[list[dict[str, Any]]], list[dict[str, Any]]], str]] = {
    "too few": (lambda items: items[:-1], "3 texts sent, 2 vectors came back"),
    "none at all": (lambda items: [], "0 vectors came back"),
    "too many": (lambda items: [*items, {**items[0], "index": len(items)}], "4 vectors came back"),
    "one index twice": (_with(index=0), "which text is whose"),
    "an index of words": (_with(index="two"), "which text is whose"),
    "another dimension": (_with(embedding=[1.0, 2.0]), "vectors of 2 and 3 numbers"),
    "no numbers": (_with(embedding=[]), "neither numbers nor base64"),
    "null": (_with(embedding=None), "neither numbers nor base64"),
    "a null among numbers": (_with(embedding=[1.0, None, 1.0]), "neither numbers nor base64"),
    "half a float": (_with(embedding=base64.b64encode(b"12345").decode()), "neither numbers nor base64"),
    "no base64": (_with(embedding="%%%"), "neither numbers nor base64"),
    "words": (_with(embedding=["1", "2", "3"]), "neither numbers nor base64"),
    "nested": (_with(embedding=[[1.0, 2.0, 3.0]]), "neither numbers nor base64"),
}


@pytest.mark.parametrize("wrong", BAD_ANSWERS)
def test_an_answer_that_is_wrong_is_the_services_fault_and_told_as_what_it_is(server: Server, wrong: str) -> None:
    server.change, said = BAD_ANSWERS[wrong]
    with pytest.raises(ServiceUnavailable, match=said) as caught:
        embedder(server).execute([document("a", "bb", "ccc")])
    assert caught.value.reason == "bad-answer"
    assert "URL" not in caught.value.next_step or wrong == "another dimension"


BAD_NUMBERS = {
    "NaN in base64": base64.b64encode(np.array([1, np.nan, 1], "<f4").tobytes()).decode(),
    "NaN": [1.0, float("nan"), 1.0],
    "infinity": [1.0, float("-inf"), 1.0],
    "more than float32 holds": [1.0, 1e300, 1.0],
    "all zero": [0.0, 0.0, 0.0],
}


@pytest.mark.parametrize("numbers", BAD_NUMBERS)
def test_a_vector_that_points_nowhere_is_refused_and_the_model_named_as_what_to_look_at(
    server: Server, numbers: str
) -> None:
    server.change = _with(embedding=BAD_NUMBERS[numbers])
    with pytest.raises(InvalidOutput, match="zeros" if numbers == "all zero" else "NaN or infinity") as caught:
        embedder(server).execute([document("a", "bb", "ccc")])
    assert "float32" in caught.value.next_step


def test_an_endpoint_that_ignores_the_dimensions_asked_for_is_a_matter_of_configuration(server: Server) -> None:
    with pytest.raises(UsageError, match="4 dimensions were asked for, and the embedding endpoint gives 3") as caught:
        embedder(server, dimensions=4).execute([document("a")])
    assert "leave the option dimensions out" in caught.value.next_step


def test_batches_that_differ_in_dimension_are_refused(server: Server) -> None:
    server.change = lambda items: items if len(items) == 2 else [{**items[0], "embedding": [1.0]}]
    with pytest.raises(ServiceUnavailable, match="1 dimensions now"):
        embedder(server, batch_size=2).execute([document("a", "b", "c")])


def indexed(path: Path, model: str, dimension: int) -> SqliteSearchIndex:
    """An index that holds one vector."""
    index = SqliteSearchIndex(path / "index.db")
    chunks = document("a")[1]
    index.replace(
        [
            IndexedDocument(
                "default", "d", 1, 1, "files", "d", "text", "A", chunks, vectors=np.ones((1, dimension)), model=model
            )
        ]
    )
    return index


def test_an_endpoint_that_serves_another_dimension_under_the_old_name_is_found_out_before_anything_rests(
    server: Server, tmp_path: Path
) -> None:
    index = indexed(tmp_path, "m", 2)
    stage = OpenAIEmbedder(OpenAIOptions(url=server.url, model="m"), http=Transport(), index=index)
    with pytest.raises(ServiceUnavailable, match=r"3 dimensions now, but the index at .* holds vectors of 2") as caught:
        stage.execute([document("a")])
    assert caught.value.reason == "other-vectors"
    assert "PENSTOCK_EMBED_MODEL" in caught.value.next_step


def test_the_first_vectors_decide_for_the_index_before_they_rest_in_it(server: Server, tmp_path: Path) -> None:
    index = SqliteSearchIndex(tmp_path / "index.db")
    OpenAIEmbedder(OpenAIOptions(url=server.url, model="m"), http=Transport(), index=index).execute([document("a")])
    assert index.space == Space("m", 3)


def test_a_stage_whose_index_holds_another_model_has_one_dimension_too(server: Server, tmp_path: Path) -> None:
    stage = OpenAIEmbedder(
        OpenAIOptions(url=server.url, model="m"), http=Transport(), index=indexed(tmp_path, "other", 2)
    )
    stage.execute([document("a")])
    server.change = _with(embedding=[1.0, 2.0])
    with pytest.raises(ServiceUnavailable, match="2 dimensions now, but the first ones had 3"):
        stage.execute([document("b")])


def test_a_reordered_answer_is_put_in_order_by_its_indexes(server: Server) -> None:
    server.change = lambda items: items[::-1]
    rows = embedder(server).execute([document("a", "bb", "ccc")])[0].rows
    assert rows.tolist() == [vector_of("a"), vector_of("bb"), vector_of("ccc")]


def test_an_error_of_the_guard_passes_through_unchanged() -> None:
    class Paused(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            raise RateLimited("asked to wait", retry_after=7)

    class Guarded:
        def transport(self) -> httpx.BaseTransport:
            return Paused()

    stage = OpenAIEmbedder(OpenAIOptions(url="http://embed.test/v1", model="m"), http=Guarded(), index=NoIndex())
    with pytest.raises(RateLimited) as caught:
        stage.execute([document("a")])
    assert caught.value.retry_after == 7


@respx.mock(base_url="http://embed.test/v1")
def test_the_base_url_may_name_the_embeddings_path(respx_mock: respx.MockRouter) -> None:
    route = respx_mock.post("/embeddings").respond(json={"data": [{"index": 0, "embedding": [1.0, 2.0]}]})
    stage = OpenAIEmbedder(
        OpenAIOptions(url="http://embed.test/v1/embeddings/", model="m"), http=Transport(), index=NoIndex()
    )
    stage.execute([document("a")])
    assert route.called


@pytest.mark.parametrize("url", ["embed.test/v1", "file:///etc/passwd", ""])
def test_a_base_url_that_is_not_http_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        OpenAIOptions(url=url, model="m")


def test_what_has_no_say_in_the_vectors_is_left_out_of_dumps() -> None:
    options = OpenAIOptions(url="http://embed.test/v1", model="m", api_key_env="MY_KEY", batch_size=8)
    assert set(options.model_dump()) == {"model", "dimensions", "prefix", "query_prefix"}


def auto(
    server: Server, index: VectorIndex | None = None, *, model: str | None = None, **settings: Any
) -> AutoEmbedder:
    endpoint = EmbeddingEndpoint(server.url, model, SecretStr("canary-key")) if model else None
    embedding = Embedding(Path("models"), endpoint, **settings)
    return AutoEmbedder(RequestOptions(), http=Transport(), embedding=embedding, index=index or NoIndex())


def test_auto_with_nothing_to_embed_with_gives_none_and_says_why(server: Server) -> None:
    stage = auto(server, only="none")
    (vectors,) = stage.execute([document("a")])
    assert stage.model == "none"
    assert not vectors.present
    assert vectors.note == stage.note == "no vectors, keyword search only: PENSTOCK_EMBEDDER is none"
    with pytest.raises(UsageError):
        stage.embed_query("a")


def test_auto_with_an_endpoint_uses_it_with_its_key(server: Server) -> None:
    stage = auto(server, model="mini")
    (vectors,) = stage.execute([document("a")])
    assert stage.model == vectors.model == "mini"
    assert "mini" in stage.note
    assert vectors.rows.tolist() == [vector_of("a")]
    assert stage.embed_query("b").tolist() == vector_of("b")
    assert server.keys[0] == "Bearer canary-key"
    assert "canary" not in repr(stage._chosen)


def test_an_index_whose_endpoint_is_configured_no_more_is_not_added_to_without_vectors(
    server: Server, tmp_path: Path
) -> None:
    stage = auto(server, indexed(tmp_path, "mini", 3))
    assert stage.model == "mini"  # nothing becomes stale
    assert "the index holds mini" in stage.note
    with pytest.raises(UsageError, match="the index holds mini") as caught:
        stage.execute([document("a")])
    assert "PENSTOCK_EMBED_URL" in caught.value.next_step


def test_an_index_keeps_to_its_model_when_another_is_configured(server: Server, tmp_path: Path) -> None:
    stage = auto(server, indexed(tmp_path, "mini", 3), model="maxi")
    assert stage.model == "mini"
    with pytest.raises(UsageError, match="the index holds mini"):
        stage.execute([document("a")])
    assert server.requests == []


def test_an_embedder_asked_for_by_name_that_is_not_there_is_said(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(minilm, "_PACKAGE", "no_such_package")
    with pytest.raises(UsageError, match="PENSTOCK_EMBEDDER is minilm, but MiniLM is not installed"):
        auto(server, only="minilm")


@pytest.mark.parametrize(("url", "model"), [("embed.test", "m"), ("http://embed.test/v1", "")])
def test_half_an_endpoint_is_refused(url: str, model: str) -> None:
    with pytest.raises(UsageError, match="PENSTOCK_EMBED"):
        EmbeddingEndpoint(url, model)


def test_none_gives_no_vectors_and_the_reason() -> None:
    (vectors,) = NoEmbedder(NoOptions()).execute([document("a")])
    assert not vectors.present
    assert vectors.note


def test_any_haystack_embedder_can_be_named() -> None:
    stage = adapt("haystack.components.embedders.MockDocumentEmbedder")(ComponentOptions(dimension=5), index=NoIndex())
    first, second = stage.execute([document("a", "b"), document("c")])  # type: ignore[attr-defined]
    assert first.rows.shape == (2, 5)
    assert second.rows.shape == (1, 5)


def test_a_haystack_embedder_that_fails_silently_is_found_out() -> None:
    stage = adapt(f"{__name__}.SilentEmbedder")(ComponentOptions(), index=NoIndex())
    with pytest.raises(InvalidOutput, match="1 of 2"):
        stage.execute([document("a", "b")])  # type: ignore[attr-defined]


class SilentEmbedder:
    def run(self, documents: list[Any]) -> dict[str, Any]:
        return {"documents": [replace(documents[0], embedding=[1.0]), *documents[1:]]}


@pytest.mark.parametrize("path", ["nowhere.Embedder", "haystack.Nothing", "Embedder", "haystack.utils.Secret"])
def test_a_dotted_name_that_is_no_component_is_a_usage_error(path: str) -> None:
    with pytest.raises(UsageError):
        adapt(path)


def test_parameters_a_component_refuses_are_a_usage_error() -> None:
    with pytest.raises(UsageError, match="colour"):
        adapt("haystack.components.embedders.MockDocumentEmbedder")(ComponentOptions(colour="red"), index=NoIndex())


def test_importing_the_stages_imports_neither_haystack_nor_an_http_client() -> None:
    modules = "chunk", "chunk_haystack", "embed", "download"
    code = f"import sys, {', '.join(f'penstock.stages.{name}' for name in modules)}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"haystack", "openai", "httpx", "dagster", "onnx", "onnxruntime", "tokenizers", "huggingface_hub"}
    assert not heavy & set(loaded)


def test_texts_can_be_embedded_without_deciding_for_the_index(server: Server) -> None:
    index = NoIndex()
    for stage in (
        auto(server, index, model="m"),
        OpenAIEmbedder(OpenAIOptions(url=server.url, model="m"), http=Transport(), index=index),
    ):
        assert stage.embed(["a", "bb"]).tolist() == [vector_of("a"), vector_of("bb")]
    assert index.space is None
    with pytest.raises(UsageError, match="PENSTOCK_EMBEDDER is none"):
        auto(server, only="none").embed(["a"])
