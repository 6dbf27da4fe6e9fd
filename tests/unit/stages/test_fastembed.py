"""FastEmbed as a rung: a hub that is away costs a moment, not a minute."""

from __future__ import annotations

import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest

from penstock.stages.embed import fast
from penstock.stages.embed.fast import BGE_SMALL, FastEmbed

pytest.importorskip("fastembed", reason="pip install 'penstock[fastembed]'")


class Hub:
    """A model hub that answers when it is let to."""

    def __init__(self) -> None:
        self.answers = Event()
        self.status = 200
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                hub.answers.wait(60)
                self.send_response(hub.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return None

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self.answers.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    hub = Hub()
    monkeypatch.setattr("huggingface_hub.hf_hub_url", lambda repository, file: f"{hub.url}/{repository}/{file}")
    fast._fetchable.cache_clear()
    yield hub
    fast._fetchable.cache_clear()
    hub.close()


def test_a_hub_that_hangs_is_given_up_soon(hub: Hub, tmp_path: Path) -> None:
    began = time.monotonic()
    missing = FastEmbed(tmp_path / "fastembed").missing()
    assert time.monotonic() - began < 5  # the promise itself: FastEmbed alone would take 39
    assert missing == f"FastEmbed has BAAI/bge-small-en-v1.5 neither in {tmp_path / 'fastembed'} nor within reach"


@pytest.mark.parametrize(("status", "there"), [(200, True), (302, True), (404, False), (503, False)])
def test_a_hub_that_has_the_model_is_enough(hub: Hub, tmp_path: Path, status: int, there: bool) -> None:
    hub.answers.set()
    hub.status = status
    assert (FastEmbed(tmp_path / "fastembed").missing() == "") is there


def test_a_model_in_the_cache_needs_no_hub(hub: Hub, tmp_path: Path) -> None:
    folder = tmp_path / "fastembed" / f"models--{BGE_SMALL.repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs/main").write_text("abc")
    (folder / "snapshots/abc").mkdir(parents=True)
    (folder / "snapshots/abc" / BGE_SMALL.file).write_bytes(b"onnx")
    assert FastEmbed(tmp_path / "fastembed").missing() == ""


def test_what_its_model_is_had_from_is_what_fastembed_says() -> None:
    from fastembed import TextEmbedding

    (known,) = [model for model in TextEmbedding.list_supported_models() if model["model"] == BGE_SMALL.name]
    assert (known["sources"]["hf"], known["model_file"]) == (BGE_SMALL.repository, BGE_SMALL.file)
