from __future__ import annotations

import threading
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import orjson
import pytest
import respx

from penstock.errors import AttemptTimeout, BadInput, NotFound, RateLimited, ServiceUnavailable
from penstock.ir import Origin, RawPayload, StageContext
from penstock.stages.download import DownloadOptions, HttpDownload

CONTEXT = StageContext("default", "d", "c")
PDF = b"%PDF-1.7\n" + b"0" * 3000 + b"\n%%EOF"
URL = "https://papers.test/a.pdf"


class Transport:
    def transport(self) -> httpx.BaseTransport:
        return httpx.HTTPTransport()


class Shelf:
    """Artifacts in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def put(self, data: bytes) -> str:
        digest = sha256(data).hexdigest()
        self.kept[digest] = data
        return digest

    def get(self, digest: str) -> bytes:
        if digest not in self.kept:
            raise NotFound(digest)
        return self.kept[digest]


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def stage(shelf: Shelf, max_mb: float = 1) -> HttpDownload:
    return HttpDownload(DownloadOptions(max_mb=max_mb), http=Transport(), artifacts=shelf)


def payload(content: bytes = b"", uri: str = URL) -> RawPayload:
    return RawPayload(source="s", source_id="1", kind="x", origin=Origin(uri=uri, key="k"), content=content)


def urls(*urls: object) -> RawPayload:
    return payload(orjson.dumps({"urls": urls}), "file.json")


def test_a_payload_that_is_a_pdf_is_kept_as_it_is(shelf: Shelf) -> None:
    content = b"\xef\xbb\xbf junk " + PDF
    file = stage(shelf).execute(CONTEXT, payload(content, "folder/a.bin"))
    assert shelf.get(file.artifact) == content
    assert (file.size, file.origin.uri) == (len(content), "folder/a.bin")


def test_every_real_pdf_is_taken_and_kept_whole(shelf: Shelf, data: Path) -> None:
    for path in sorted((data / "pdf").glob("*.pdf")):
        file = stage(shelf, max_mb=50).execute(CONTEXT, payload(path.read_bytes(), str(path)))
        assert file.artifact == sha256(path.read_bytes()).hexdigest()


@respx.mock
def test_the_url_a_payload_was_found_at_is_fetched(shelf: Shelf, respx_mock: respx.MockRouter) -> None:
    respx_mock.get(URL).respond(content=PDF, headers={"ETag": '"v1"'})
    file = stage(shelf).execute(CONTEXT, payload())
    assert shelf.get(file.artifact) == PDF
    assert (file.origin.uri, file.origin.key, file.origin.version) == (URL, "k", '"v1"')
    assert file.origin.fetched_at > 0


@respx.mock
def test_urls_are_tried_in_order_until_one_gives_a_pdf(shelf: Shelf, respx_mock: respx.MockRouter) -> None:
    respx_mock.get("https://a.test/").respond(404)
    respx_mock.get("https://b.test/").respond(html="<html><title>Sign in</title>")
    respx_mock.get("https://c.test/").respond(content=PDF)
    file = stage(shelf).execute(CONTEXT, urls("https://a.test/", 7, "ftp://x", "https://b.test/", "https://c.test/"))
    assert file.origin.uri == "https://c.test/"


@respx.mock
def test_redirects_are_followed_a_few_times(shelf: Shelf, respx_mock: respx.MockRouter) -> None:
    respx_mock.get(URL).respond(302, headers={"Location": "https://b.test/"})
    respx_mock.get("https://b.test/").respond(content=PDF)
    assert stage(shelf).execute(CONTEXT, payload()).size == len(PDF)
    respx_mock.get("https://b.test/").respond(302, headers={"Location": "https://b.test/"})
    with pytest.raises(BadInput, match="TooManyRedirects"):
        stage(shelf).execute(CONTEXT, payload())


@respx.mock
def test_a_landing_page_is_refused_with_its_title(shelf: Shelf, respx_mock: respx.MockRouter) -> None:
    page = b"\n<!DOCTYPE html><html><head><title lang=en> Buy &amp;\n read </title></head>" + b" " * 200_000
    respx_mock.get(URL).respond(content=page, content_type="application/pdf")
    with pytest.raises(BadInput, match="“Buy & read”") as caught:
        stage(shelf).execute(CONTEXT, payload())
    assert caught.value.reason == "not-a-pdf"
    assert shelf.kept == {}


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "empty"), (b"GIF89a", "not-a-pdf"), (b"x" * 2000 + PDF, "not-a-pdf")]
)
def test_what_is_no_pdf_is_refused(shelf: Shelf, content: bytes, reason: str) -> None:
    with respx.mock:
        respx.get(URL).respond(content=content)
        with pytest.raises(BadInput) as caught:
            stage(shelf).execute(CONTEXT, payload())
    assert caught.value.reason == reason


@pytest.mark.parametrize("declared", [True, False])
def test_a_file_beyond_the_cap_is_refused(shelf: Shelf, declared: bool) -> None:
    class Endless(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield PDF
            while not declared:
                yield b"0" * 65536

    headers = {"Content-Length": str(2 << 20)} if declared else {}
    with respx.mock:
        respx.get(URL).respond(stream=Endless(), headers=headers)
        with pytest.raises(BadInput) as caught:
            stage(shelf).execute(CONTEXT, payload())
    assert caught.value.reason == "too-large"


def test_a_payload_beyond_the_cap_is_refused(shelf: Shelf) -> None:
    with pytest.raises(BadInput) as caught:
        stage(shelf, max_mb=0.001).execute(CONTEXT, payload(PDF))
    assert caught.value.reason == "too-large"


@pytest.mark.parametrize(
    "content", [b"", b"{}", b'{"urls": []}', b'{"urls": "x"}', b"{", b"[" * 99_999, b'{"urls": [1]}']
)
def test_a_payload_that_names_no_url_is_unsupported(shelf: Shelf, content: bytes) -> None:
    with pytest.raises(BadInput) as caught:
        stage(shelf).execute(CONTEXT, payload(content, "folder/a.json"))
    assert caught.value.reason == "unsupported"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (404, BadInput),
        (403, BadInput),
        (206, BadInput),
        (429, RateLimited),
        (408, ServiceUnavailable),
        (503, ServiceUnavailable),
    ],
)
def test_statuses_are_the_documents_fault_or_the_services(shelf: Shelf, status: int, expected: type[Exception]) -> None:
    with respx.mock:
        respx.get(URL).respond(status)
        with pytest.raises(expected):
            stage(shelf).execute(CONTEXT, payload())


@pytest.mark.parametrize(
    ("fault", "expected"), [(httpx.ReadTimeout, AttemptTimeout), (httpx.ConnectError, ServiceUnavailable)]
)
def test_faults_of_the_network_are_transient(
    shelf: Shelf, fault: type[httpx.TransportError], expected: type[Exception]
) -> None:
    with respx.mock:
        respx.get(URL).mock(side_effect=fault("no"))
        with pytest.raises(expected):
            stage(shelf).execute(CONTEXT, payload())


@respx.mock
def test_a_pdf_that_may_yet_be_had_is_no_dead_letter(shelf: Shelf, respx_mock: respx.MockRouter) -> None:
    respx_mock.get("https://a.test/").respond(404)
    respx_mock.get("https://b.test/").respond(503)
    with pytest.raises(ServiceUnavailable):
        stage(shelf).execute(CONTEXT, urls("https://a.test/", "https://b.test/"))


@respx.mock
def test_messages_hold_no_credentials(shelf: Shelf, respx_mock: respx.MockRouter) -> None:
    respx_mock.get(host="papers.test").respond(404)
    with pytest.raises(BadInput) as caught:
        stage(shelf).execute(CONTEXT, urls("https://user:canary@papers.test/a.pdf?key=canary#canary"))
    assert "canary" not in str(caught.value)


class Cut(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(PDF)))
        self.end_headers()
        self.wfile.write(PDF[:-100])

    def log_message(self, *_: object) -> None:
        pass


def test_a_body_cut_short_is_the_networks_fault_and_not_kept(shelf: Shelf) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Cut) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        with pytest.raises(ServiceUnavailable):
            stage(shelf).execute(CONTEXT, payload(uri=f"http://127.0.0.1:{server.server_port}/a.pdf"))
        server.shutdown()
        thread.join()
    assert shelf.kept == {}
