"""A PDF's way through a network as it is: real servers that break off, drip, lie, or lead where nobody may go."""

from __future__ import annotations

import gzip
import re
import socket
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import AttemptTimeout, BadInput, PenstockError, ServiceUnavailable, TerminalError
from penstock.ir import Origin, PDFFile, RawPayload, StageContext
from penstock.resilience.http import Http
from penstock.resilience.limits import LocalLimits
from penstock.resilience.policy import Policy
from penstock.stages.download import DownloadOptions, HttpDownload
from penstock.stores.artifacts import ArtifactStore, FileArtifacts, MemoryArtifacts
from wire import NASTY, Canary, LoopbackOnly, Names, Server, drip, whole

CONTEXT = StageContext("default", "d", "c")
PDF = b"%PDF-1.7\n" + bytes(range(256)) * 1400 + b"%%EOF"
PART = 100_000
"""More than what comes within one attempt of the guarded client, so that breaking off is the transfer's affair."""
QUICK = Policy(max_attempts=4, backoff_strategy="none", timeout_seconds=5.0)

Fetch = Callable[..., PDFFile]


@pytest.fixture
def artifacts() -> ArtifactStore:
    return MemoryArtifacts()


@pytest.fixture
def fetch(artifacts: ArtifactStore) -> Iterator[Fetch]:
    """Downloads a URL. `trusted` are servers that may be at a private address."""
    made: list[Http] = []

    def execute(*urls: str, policy: Policy = QUICK, max_mb: float = 1, **options: Any) -> PDFFile:
        options.setdefault("origins", [url for url in urls if url.startswith("http://127.")])
        made.append(Http(policy, limits=LocalLimits(), max_bytes=int(max_mb * (1 << 20)), **options))
        stage = HttpDownload(
            DownloadOptions(max_mb=max_mb), http=made[-1], artifacts=artifacts, last_download=lambda ctx: None
        )
        origin = Origin(uri="record", key="k")
        payload = RawPayload(source="s", source_id="1", kind="x", origin=origin, content=b"{}", urls=urls)
        return stage.execute(CONTEXT, payload)

    yield execute
    for http in made:
        http.close()


class Library(Server):
    """Has `PDF`, of which it sends `PART` bytes at a time and then breaks off.

    `says` are the headers of its answers, `range_says` those of a range where they are not by the book.
    """

    def __init__(self, *says: str, range_says: tuple[str, ...] = (), part: int = PART) -> None:
        self._says, self._range_says, self._part = says, range_says, part
        super().__init__(self._answer)

    @property
    def asked(self) -> list[tuple[str, ...]]:
        """The Range and If-Range of each request."""
        found = (re.findall(rb"^(?:If-)?Range: ([^\r]*)", request, re.MULTILINE) for request in self.requests)
        return [tuple(field.decode() for field in fields) for fields in found]

    def _answer(self, connection: socket.socket, number: int) -> None:
        asked = re.search(rb"^Range: bytes=(\d+)-", self.requests[number - 1], re.MULTILINE)
        begin = int(asked[1]) if asked else 0
        status, says = "200 OK", self._says
        if begin:
            status = "206 Partial Content"
            says = self._range_says or (*says, f"Content-Range: bytes {begin}-{len(PDF) - 1}/{len(PDF)}")
        connection.sendall(whole(PDF[begin : begin + self._part], *says, status=status, length=len(PDF) - begin))


@pytest.fixture
def library() -> Iterator[Callable[..., Library]]:
    made: list[Library] = []

    def open_(*says: str, **options: Any) -> Library:
        made.append(Library(*says, **options))
        return made[-1]

    yield open_
    for server in made:
        server.close()


BY_THE_BOOK = ("Accept-Ranges: bytes", 'ETag: "v1"')


def test_what_breaks_off_is_gone_on_with(fetch: Fetch, library: Any, artifacts: ArtifactStore) -> None:
    server = library(*BY_THE_BOOK)
    file = fetch(server.url)
    assert artifacts.get(file.artifact) == PDF
    assert (file.size, file.origin.version) == (len(PDF), '"v1"')
    assert server.asked == [(), *((f"bytes={n * PART}-", '"v1"') for n in (1, 2, 3))]


@pytest.mark.parametrize(
    "says",
    [
        (),
        ('ETag: "v1"',),
        ("Accept-Ranges: bytes",),
        ("Accept-Ranges: bytes", 'ETag: W/"v1"'),
        ("Accept-Ranges: none",),
    ],
)
def test_where_a_range_would_prove_nothing_it_begins_again(fetch: Fetch, library: Any, says: tuple[str, ...]) -> None:
    server = library(*says)
    with pytest.raises(ServiceUnavailable):
        fetch(server.url)
    assert server.asked == [()] * QUICK.max_attempts


RIGHT = f"Content-Range: bytes {PART}-{len(PDF) - 1}/{len(PDF)}"


@pytest.mark.parametrize(
    "range_says",
    [
        ("Content-Range: bytes 5-10/11", BY_THE_BOOK[1]),
        (f"Content-Range: bytes {PART}-{len(PDF)}/{len(PDF) + 1}", BY_THE_BOOK[1]),
        BY_THE_BOOK,
        (RIGHT, 'ETag: "v2"'),
        (RIGHT,),
    ],
)
def test_a_range_of_something_else_is_not_taken(fetch: Fetch, library: Any, range_says: tuple[str, ...]) -> None:
    server = library(*BY_THE_BOOK, range_says=range_says)
    with pytest.raises(ServiceUnavailable):
        fetch(server.url)
    assert server.asked == [(), (f"bytes={PART}-", '"v1"')] * 3 + [()]


@pytest.mark.parametrize("more", [5000, -5000])
def test_a_range_that_is_not_as_long_as_it_says_is_not_taken(
    fetch: Fetch, serve: Any, artifacts: ArtifactStore, more: int
) -> None:
    rest = PDF[PART:] + bytes(5000) if more > 0 else PDF[PART:more]

    def speak(connection: socket.socket, number: int) -> None:
        if number == 2:
            connection.sendall(whole(rest, RIGHT, BY_THE_BOOK[1], status="206 Partial Content"))
        else:
            connection.sendall(whole(PDF[:PART] if number == 1 else PDF, *BY_THE_BOOK, length=len(PDF)))

    server = serve(speak)
    file = fetch(server.url)
    assert artifacts.get(file.artifact) == PDF
    assert (file.size, len(server.requests)) == (len(PDF), 3)


def test_a_file_that_changed_meanwhile_is_taken_whole(fetch: Fetch, serve: Any, artifacts: ArtifactStore) -> None:
    newer = PDF[::-1].replace(b"FOE%%", b"%PDF-")

    def speak(connection: socket.socket, number: int) -> None:
        if number == 1:
            connection.sendall(whole(PDF[:PART], *BY_THE_BOOK, length=len(PDF)))
        else:  # the one that answers If-Range is left half read
            connection.sendall(whole(newer, "Accept-Ranges: bytes", 'ETag: "v2"'))

    server = serve(speak)
    file = fetch(server.url)
    assert (artifacts.get(file.artifact), file.origin.version) == (newer, '"v2"')


def test_a_compressed_body_is_unpacked_and_never_gone_on_with(
    fetch: Fetch, serve: Any, artifacts: ArtifactStore
) -> None:
    packed = gzip.compress(PDF, 0)
    headers = ("Content-Encoding: gzip", *BY_THE_BOOK)

    def speak(connection: socket.socket, number: int) -> None:
        connection.sendall(whole(packed if number == 2 else packed[:PART], *headers, length=len(packed)))

    server = serve(speak)
    assert artifacts.get(fetch(server.url).artifact) == PDF
    assert [b"Range" in request for request in server.requests] == [False] * 2
    assert b"Accept-Encoding: identity\r\n" in server.requests[0]


def test_a_body_that_never_comes_whole_is_given_up_and_not_kept(fetch: Fetch, library: Any) -> None:
    server = library(*BY_THE_BOOK, part=80_000)
    with pytest.raises(ServiceUnavailable):
        fetch(server.url)
    assert len(server.requests) == QUICK.max_attempts


def test_a_drip_ends_at_the_deadline_however_it_is_gone_on_with(fetch: Fetch, serve: Any) -> None:
    def speak(connection: socket.socket, _: int) -> None:
        connection.sendall(whole(PDF[:PART], length=len(PDF)))
        drip(connection, PDF[PART:])

    policy = Policy(max_attempts=100, backoff_strategy="none", timeout_seconds=0.2, deadline_seconds=0.5)
    server = serve(speak)
    with pytest.raises(AttemptTimeout, match=f"GET {server.url}.* did not come in time"):
        fetch(server.url, policy=policy)


def test_two_gigabytes_are_refused_when_they_are_announced(fetch: Fetch, serve: Any) -> None:
    def speak(connection: socket.socket, _: int) -> None:
        connection.sendall(whole(b"", length=2 << 30))
        connection.recv(1)

    server = serve(speak)
    with pytest.raises(BadInput) as caught:
        fetch(server.url, max_mb=100)
    assert (caught.value.reason, server.connections) == ("too-large", 1)


def test_what_does_not_say_how_large_it_is_stops_at_the_cap(fetch: Fetch, serve: Any) -> None:
    def speak(connection: socket.socket, _: int) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(PDF)

    with pytest.raises(BadInput) as caught:
        fetch(serve(speak).url)
    assert caught.value.reason == "too-large"


def test_a_large_file_is_never_all_in_memory(
    fetch: Fetch, serve: Any, artifacts: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FileArtifacts(tmp_path)
    monkeypatch.setattr(artifacts, "put_stream", store.put_stream)
    size = 48 << 20

    def speak(connection: socket.socket, _: int) -> None:
        connection.sendall(whole(PDF, length=size))
        left = size - len(PDF)
        while left:
            left -= connection.send(bytes(min(left, 1 << 18)))

    server = serve(speak)
    tracemalloc.start()
    try:
        file = fetch(server.url, max_mb=100)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert (tmp_path / file.artifact[:2] / file.artifact).stat().st_size == file.size == size


# -- where nobody may go


@pytest.fixture
def canary() -> Iterator[Canary]:
    canary = Canary()
    yield canary
    canary.close()


def test_no_nasty_url_of_a_document_reaches_the_canary(fetch: Fetch, canary: Canary) -> None:
    network = LoopbackOnly()
    for nasty in NASTY:
        with pytest.raises(PenstockError) as caught:
            fetch(nasty.format(port=canary.port), network=network, origins=[])
        assert caught.value.reason in ("forbidden-url", "not-available", "unsupported", "dns"), nasty
    assert (network.asked, canary.hits) == ([], 0)


def test_a_redirect_of_a_trusted_server_does_not_reach_the_canary(fetch: Fetch, serve: Any, canary: Canary) -> None:
    for nasty in NASTY:
        location = nasty.format(port=canary.port).encode(errors="ignore").decode("latin-1")
        answer = whole(b"", f"Location: {location}", status="302 Found")
        server = serve(lambda connection, _, answer=answer: connection.sendall(answer))
        with pytest.raises(PenstockError) as caught:
            fetch(server.url, policy=Policy(max_attempts=1, timeout_seconds=5.0))
        assert caught.value.reason not in ("unexpected", "not-a-pdf"), nasty
    assert canary.hits == 0


def test_a_name_that_rebinds_between_attempts_does_not_reach_the_canary(fetch: Fetch, canary: Canary) -> None:
    names, network = Names(["93.184.216.34"], ["127.0.0.1"]), LoopbackOnly()
    with pytest.raises(TerminalError, match=r"127\.0\.0\.1"):
        fetch(f"https://rebinding.example:{canary.port}/", resolve=names, network=network)
    assert (network.asked, canary.hits) == (["93.184.216.34"], 0)
