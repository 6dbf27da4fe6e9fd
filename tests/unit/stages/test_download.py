"""What becomes of a payload at the download stage: by URLs that are mocked, through the client it really has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import respx

from penstock.errors import AttemptTimeout, BadInput, PenstockError, RateLimited, ServiceUnavailable, StoreBusy
from penstock.ir import Origin, PDFFile, RawPayload, StageContext
from penstock.resilience.http import Http
from penstock.resilience.limits import LocalLimits
from penstock.resilience.policy import Policy
from penstock.stages.download import DownloadOptions, HttpDownload
from penstock.stores.artifacts import MemoryArtifacts

CONTEXT = StageContext("default", "d", "c")
ONCE = Policy(max_attempts=1, backoff_strategy="none", timeout_seconds=2.0)
PDF = b"%PDF-1.7\n" + b"0" * 3000 + b"\n%%EOF"
URL = "https://papers.test/a.pdf"


class Shelf(MemoryArtifacts):
    """Counts what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.kept = 0

    def put(self, data: bytes) -> str:
        self.kept += 1
        return super().put(data)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


Build = Callable[..., HttpDownload]


@pytest.fixture
def build(shelf: Shelf) -> Iterator[Build]:
    """A stage over `shelf`; `before` is what the document's last download gave."""
    made: list[Http] = []

    def make(max_mb: float = 1, before: PDFFile | None = None, artifacts: Any = shelf) -> HttpDownload:
        made.append(Http(ONCE, limits=LocalLimits(), max_bytes=int(max_mb * (1 << 20))))
        return HttpDownload(
            DownloadOptions(max_mb=max_mb), http=made[-1], artifacts=artifacts, last_download=lambda ctx: before
        )

    yield make
    for http in made:
        http.close()


def payload(content: bytes = b"", uri: str = URL, urls: Iterable[str] = ()) -> RawPayload:
    origin = Origin(uri=uri, key="k")
    return RawPayload(source="s", source_id="1", kind="x", origin=origin, content=content, urls=tuple(urls))


def named(*urls: object) -> RawPayload:
    return payload(orjson.dumps({"urls": urls}), "file.json")


def test_a_payload_that_is_a_pdf_is_kept_as_it_is(build: Build, shelf: Shelf) -> None:
    content = b"\xef\xbb\xbf junk " + PDF
    file = build().execute(CONTEXT, payload(content, "folder/a.bin", ["https://elsewhere.test/"]))
    assert shelf.get(file.artifact) == content
    assert (file.size, file.origin.uri) == (len(content), "folder/a.bin")


def test_every_real_pdf_is_taken_and_kept_whole(build: Build, data: Path) -> None:
    stage = build(max_mb=50)
    for path in sorted((data / "pdf").glob("*.pdf")):
        file = stage.execute(CONTEXT, payload(path.read_bytes(), str(path)))
        assert file.artifact == sha256(path.read_bytes()).hexdigest()


@respx.mock
def test_the_url_a_payload_was_found_at_is_fetched(build: Build, shelf: Shelf, respx_mock: respx.MockRouter) -> None:
    route = respx_mock.get(URL).respond(content=PDF, headers={"ETag": '"v1"', "Last-Modified": "yesterday"})
    file = build().execute(CONTEXT, payload())
    assert shelf.get(file.artifact) == PDF
    assert (file.size, file.origin.uri, file.origin.key, file.origin.version) == (len(PDF), URL, "k", '"v1"')
    assert file.origin.fetched_at > 0
    assert route.calls.last.request.headers["Accept"].startswith("application/pdf")


@pytest.mark.parametrize("form", [named, lambda *urls: payload(b"{}", "https://api.test/1", map(str, urls))])
def test_urls_are_tried_in_order_until_one_gives_a_pdf(build: Build, form: Callable[..., RawPayload]) -> None:
    urls = ("https://a.test/", 7, "ftp://x", "https://b.test/", "https://127.0.0.1/", "https://c.test/", "https://d/")
    with respx.mock:
        respx.get("https://a.test/").respond(404)
        respx.get("https://b.test/").respond(html="<html><title>Sign in</title>")
        respx.get("https://127.0.0.1/").pass_through()
        respx.get("https://c.test/").respond(content=PDF)
        assert build().execute(CONTEXT, form(*urls)).origin.uri == "https://c.test/"


@pytest.mark.parametrize("nasty", ["https://xn--/a.pdf", "https://xn--a.test/", "https://a.test:x/", "https://[::1/"])
def test_what_is_no_url_is_passed_over_also_where_another_redirects_there(build: Build, nasty: str) -> None:
    with respx.mock:
        respx.get("https://b.test/").respond(302, headers={"Location": nasty})
        respx.get("https://c.test/").respond(content=PDF)
        stage, given = build(), named(nasty, "https://b.test/", "https://c.test/")
        assert stage.execute(CONTEXT, given).origin.uri == "https://c.test/"
        assert stage.lane(given) in ("xn--", "xn--a.test", "b.test")
        with pytest.raises(BadInput) as caught:
            stage.execute(CONTEXT, named(nasty, "https://b.test/"))
    assert caught.value.reason == "not-available"


@respx.mock
def test_redirects_are_followed_a_few_times(build: Build, respx_mock: respx.MockRouter) -> None:
    respx_mock.get(URL).respond(302, headers={"Location": "https://b.test/"})
    respx_mock.get("https://b.test/").respond(content=PDF)
    assert build().execute(CONTEXT, payload()).size == len(PDF)
    respx_mock.get("https://b.test/").respond(302, headers={"Location": "https://b.test/"})
    with pytest.raises(BadInput, match="TooManyRedirects") as caught:
        build().execute(CONTEXT, payload())
    assert caught.value.reason == "not-available"


@respx.mock
def test_cookies_hold_along_a_chain_of_redirects_and_for_no_other_document(
    build: Build, respx_mock: respx.MockRouter
) -> None:
    first = respx_mock.get(URL).respond(302, headers={"Location": "/b.pdf", "Set-Cookie": "seen=1"})
    second = respx_mock.get("https://papers.test/b.pdf").respond(content=PDF)
    stage = build()
    for _ in range(2):
        stage.execute(CONTEXT, payload())
    assert [call.request.headers.get("Cookie") for call in second.calls] == ["seen=1"] * 2
    assert [call.request.headers.get("Cookie") for call in first.calls] == [None] * 2


@respx.mock
def test_a_landing_page_is_refused_with_its_title(build: Build, shelf: Shelf, respx_mock: respx.MockRouter) -> None:
    page = b"\n<!DOCTYPE html><html><head><title lang=en> Buy &amp;\n read </title></head>" + b" " * 200_000
    respx_mock.get(URL).respond(content=page, content_type="application/pdf")
    with pytest.raises(BadInput, match="“Buy & read”") as caught:
        build().execute(CONTEXT, payload())
    assert caught.value.reason == "not-a-pdf"
    assert shelf.kept == 0


HEAD = "<!doctype html><html><head><title>{}</title>"


@pytest.mark.parametrize(
    ("body", "media_type", "title"),
    [
        (b"\xef\xbb\xbf" + HEAD.format("Anmelden für Leser").encode(), "text/html", "Anmelden für Leser"),
        (HEAD.format("Sixteen – bits").encode("utf-16"), "text/html", "Sixteen – bits"),
        (
            HEAD.format("Universität – Anmelden").encode("cp1252"),
            "text/html; charset=windows-1252",
            "Universität – Anmelden",
        ),
        (HEAD.format("Вход в систему").encode("koi8-r"), 'text/html;charset="KOI8-R"', "Вход в систему"),
        ('<html><head><meta charset="shift_jis"><title>ログイン</title>'.encode("shift_jis"), "text/html", "ログイン"),
        (b"\r\n" * 3000 + HEAD.format("After blanks").encode(), "text/html", "After blanks"),
        (b"<!-- " + b"x" * 3000 + b" --><title>After a comment</title>", "", "After a comment"),
        (b"<meta charset=utf-8><title>Meta first</title>", "", "Meta first"),
        (b"<script>var t = '<title>no</title>'</script><title>Script first</title>", "", "Script first"),
        (
            b"<x-app></x-app><title>Only the server says what it is</title>",
            "text/html",
            "Only the server says what it is",
        ),
        (HEAD.format("No such charset").encode(), "text/html; charset=iso-8859-12", "No such charset"),
        (b"<title>\x1b[31mred&#27;[2J \xe2\x80\xaeover\x07</title>" + b"<p>" * 90, "text/html", "[31mred [2J over"),
        (HEAD.format("x" * 900).encode(), "text/html", "x" * 300),
    ],
)
def test_a_landing_page_in_any_writing_is_told_by_its_title(
    build: Build, body: bytes, media_type: str, title: str
) -> None:
    with respx.mock:
        respx.get(URL).respond(content=body, content_type=media_type)
        with pytest.raises(BadInput) as caught:
            build().execute(CONTEXT, payload())
    assert caught.value.reason == "not-a-pdf"
    assert caught.value.message == f"{URL} is a web page: “{title}”"


@pytest.mark.parametrize(
    ("body", "media_type", "what"),
    [
        (b"<html><body>hello", "", "a web page"),
        (b"Access denied", "text/html", "a web page"),
        (b"<div>" * 1000 + b"<title>Too deep", "text/html", "a web page"),
        (b'{"error": "no"}', "application/json", "no PDF"),
        (b"GIF89a\x01\x00", "text/html", "no PDF"),
        (b"Access denied", "text/plain", "no PDF"),
    ],
)
def test_what_has_no_title_is_told_by_what_it_is(build: Build, body: bytes, media_type: str, what: str) -> None:
    with respx.mock:
        respx.get(URL).respond(content=body, content_type=media_type)
        with pytest.raises(BadInput) as caught:
            build().execute(CONTEXT, payload())
    assert caught.value.message == f"{URL} is {what}"


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "empty"), (b"GIF89a", "not-a-pdf"), (b"x" * 2000 + PDF, "not-a-pdf")]
)
def test_what_is_no_pdf_is_refused(build: Build, shelf: Shelf, content: bytes, reason: str) -> None:
    with respx.mock:
        respx.get(URL).respond(content=content)
        with pytest.raises(BadInput) as caught:
            build().execute(CONTEXT, payload())
    assert caught.value.reason == reason
    assert shelf.kept == 0


@pytest.mark.parametrize("declared", [True, False])
def test_a_file_beyond_the_cap_is_refused(build: Build, shelf: Shelf, declared: bool) -> None:
    class Endless(httpx.AsyncByteStream):
        async def __aiter__(self) -> Any:
            yield PDF
            while not declared:
                yield b"0" * 65536

    headers = {"Content-Length": str(2 << 30)} if declared else {}
    with respx.mock:
        respx.get(URL).respond(stream=Endless(), headers=headers)
        with pytest.raises(BadInput, match=f"{URL} is larger than 1 MiB") as caught:
            build().execute(CONTEXT, payload())
    assert caught.value.reason == "too-large"
    assert "max_mb" in caught.value.next_step
    assert shelf.kept == 0


def test_a_payload_beyond_the_cap_is_refused(build: Build) -> None:
    with pytest.raises(BadInput) as caught:
        build(max_mb=0.001).execute(CONTEXT, payload(PDF))
    assert caught.value.reason == "too-large"


def test_what_the_source_found_wrong_is_said_as_it_says(build: Build, shelf: Shelf) -> None:
    given = payload(PDF).model_copy(update={"kind": "too-large", "note": "1 GiB, and 64 MiB are allowed"})
    with pytest.raises(BadInput, match="1 GiB, and 64 MiB are allowed") as caught:
        build().execute(CONTEXT, given)
    assert (caught.value.reason, shelf.kept) == ("too-large", 0)
    assert caught.value.next_step == "raise PENSTOCK_MAX_PAYLOAD_MB, then run the same again"


def test_another_cap_redoes_no_download() -> None:
    assert DownloadOptions(max_mb=5).model_dump() == DownloadOptions().model_dump()


@pytest.mark.parametrize(
    "content", [b"", b"{}", b'{"urls": []}', b'{"urls": "x"}', b"{", b"[" * 99_999, b'{"urls": [1]}']
)
def test_a_file_that_is_no_pdf_and_names_none_is_refused(build: Build, content: bytes) -> None:
    with pytest.raises(BadInput) as caught:
        build().execute(CONTEXT, payload(content, "folder/a.json"))
    assert caught.value.reason == "not-a-pdf"


def test_a_web_page_under_a_pdfs_name_is_told_by_its_title(build: Build) -> None:
    with pytest.raises(BadInput, match=r"folder/a\.pdf is a web page: “Please log in”") as caught:
        build().execute(CONTEXT, payload(b"<html><title>Please log in</title></html>", "folder/a.pdf"))
    assert caught.value.reason == "not-a-pdf"


@respx.mock
def test_a_record_that_names_no_place_is_not_asked_for_again(build: Build) -> None:
    """It came from where it says, and is no PDF."""
    with pytest.raises(BadInput) as caught:
        build().execute(CONTEXT, payload(b'{"is_oa": false}', "https://api.test/v2/10.1/x"))
    assert caught.value.reason == "not-available"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (404, BadInput),
        (403, BadInput),
        (206, BadInput),
        (304, BadInput),
        (429, RateLimited),
        (408, ServiceUnavailable),
        (503, ServiceUnavailable),
    ],
)
def test_statuses_are_the_documents_fault_or_the_services(build: Build, status: int, expected: type[Exception]) -> None:
    with respx.mock:
        respx.get(URL).respond(status)
        with pytest.raises(expected, match=str(status)):
            build().execute(CONTEXT, payload())


@pytest.mark.parametrize(
    ("fault", "expected"), [(httpx.ReadTimeout, AttemptTimeout), (httpx.ConnectError, ServiceUnavailable)]
)
def test_faults_of_the_network_are_transient(
    build: Build, fault: type[httpx.TransportError], expected: type[Exception]
) -> None:
    with respx.mock:
        respx.get(URL).mock(side_effect=fault("no"))
        with pytest.raises(expected):
            build().execute(CONTEXT, payload())


@respx.mock
def test_a_pdf_that_may_yet_be_had_is_no_dead_letter(build: Build, respx_mock: respx.MockRouter) -> None:
    respx_mock.get("https://a.test/").respond(404)
    respx_mock.get("https://b.test/").respond(503)
    with pytest.raises(ServiceUnavailable, match=r"a\.test.*404.*b\.test.*503"):
        build().execute(CONTEXT, named("https://a.test/", "https://b.test/"))


@respx.mock
def test_a_store_that_is_away_is_not_the_urls_fault(build: Build, respx_mock: respx.MockRouter) -> None:
    class Away(MemoryArtifacts):
        def put_stream(self, pieces: Iterable[bytes]) -> str:
            raise StoreBusy("away")

    other = respx_mock.get("https://b.test/").respond(content=PDF)
    respx_mock.get("https://a.test/").respond(content=PDF)
    with pytest.raises(StoreBusy):
        build(artifacts=Away()).execute(CONTEXT, named("https://a.test/", "https://b.test/"))
    assert other.call_count == 0


@respx.mock
def test_messages_hold_no_credentials(build: Build, respx_mock: respx.MockRouter) -> None:
    respx_mock.get(host="papers.test").respond(404)
    for url in ("https://papers.test/a.pdf?key=canary#canary", "https://user:canary@papers.test/a.pdf"):
        with pytest.raises(PenstockError) as caught:
            build().execute(CONTEXT, named(url))
        assert "canary" not in str(caught.value)


# -- a document that was downloaded before


def kept(shelf: Shelf, version: str, uri: str = URL) -> PDFFile:
    return PDFFile(artifact=shelf.put(PDF), size=len(PDF), origin=Origin(uri=uri, key="k", version=version))


@pytest.mark.parametrize(
    ("version", "header"),
    [('"v1"', "If-None-Match"), ('W/"v1"', "If-None-Match"), ("Sat, 21 Nov 2026 10:00:00 GMT", "If-Modified-Since")],
)
def test_what_has_not_changed_does_not_come_again(build: Build, shelf: Shelf, version: str, header: str) -> None:
    before = kept(shelf, version)
    with respx.mock:
        route = respx.get(URL, headers={header: version}).respond(304)
        file = build(before=before).execute(CONTEXT, payload())
    assert route.call_count == 1
    assert (file.artifact, file.size, file.origin.version) == (before.artifact, before.size, version)
    assert file.origin.fetched_at > before.origin.fetched_at


@respx.mock
def test_what_has_changed_comes_again(build: Build, shelf: Shelf, respx_mock: respx.MockRouter) -> None:
    respx_mock.get(URL).respond(content=PDF + b"more", headers={"Last-Modified": "today"})
    file = build(before=kept(shelf, '"v1"')).execute(CONTEXT, payload())
    assert (shelf.get(file.artifact), file.origin.version) == (PDF + b"more", "today")


@pytest.mark.parametrize(
    "before",
    [
        lambda shelf: kept(shelf, ""),
        lambda shelf: kept(shelf, '"v1"', "https://elsewhere.test/"),
        lambda shelf: kept(shelf, '"v1"').model_copy(update={"artifact": "0" * 64}),
    ],
    ids=["no version", "another URL", "lost bytes"],
)
def test_what_is_not_there_any_more_is_asked_for_whole(
    build: Build, shelf: Shelf, before: Callable[[Shelf], PDFFile]
) -> None:
    with respx.mock:
        route = respx.get(URL).respond(content=PDF)
        file = build(before=before(shelf)).execute(CONTEXT, payload())
    assert shelf.get(file.artifact) == PDF
    assert {"If-None-Match", "If-Modified-Since"} & set(route.calls.last.request.headers) == set()


@pytest.mark.parametrize("mark", ['"\xe9"'.encode("latin-1"), b'"' + b"x" * 9000 + b'"'])
def test_a_mark_that_could_not_be_sent_back_is_none(build: Build, mark: bytes) -> None:
    with respx.mock:
        respx.get(URL).mock(return_value=httpx.Response(200, headers=[(b"ETag", mark)], content=PDF))
        assert build().execute(CONTEXT, payload()).origin.version == ""


# -- whom a document waits for


@pytest.mark.parametrize(
    ("given", "host"),
    [
        (payload(PDF), ""),
        (payload(b"no", "a.txt"), ""),
        (payload(), "papers.test"),
        (payload(b"{}", urls=["HTTPS://user@Papers.test:8443/a?b#c", "https://b.test/"]), "papers.test:8443"),
    ],
)
def test_documents_of_one_host_wait_for_one_another(build: Build, given: RawPayload, host: str) -> None:
    assert build().lane(given) == host


@respx.mock
def test_a_plain_address_that_may_not_be_asked_is_asked_over_tls(build: Build) -> None:
    route = respx.get("https://papers.test/old.pdf").respond(content=PDF)
    file = build().execute(CONTEXT, payload(urls=["http://papers.test/old.pdf"]))
    assert route.called
    assert file.origin.uri == "https://papers.test/old.pdf"
