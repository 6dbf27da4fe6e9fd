from __future__ import annotations

import asyncio
import gzip
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from typing import Any

import httpx
import pytest
import respx

from penstock.errors import (
    AttemptTimeout,
    BadInput,
    CircuitOpen,
    PenstockError,
    RateLimited,
    ServiceUnavailable,
    TerminalError,
)
from penstock.resilience.body import decoder_for
from penstock.resilience.classify import classify
from penstock.resilience.guard import Attempt
from penstock.resilience.http import Http
from penstock.resilience.limits import LocalLimits
from penstock.resilience.policy import CircuitBreakerPolicy, Policy
from wire import Server, drip, whole

URL = "https://api.example.org/works"
QUICK = Policy(max_attempts=3, backoff_strategy="none", timeout_seconds=5.0)
SHORT = Policy(max_attempts=2, backoff_strategy="none", timeout_seconds=0.15, deadline_seconds=0.6)


@pytest.fixture
def build() -> Iterator[Callable[..., Http]]:
    made: list[Http] = []

    def make(policy: Policy = QUICK, **options: Any) -> Http:
        options.setdefault("limits", LocalLimits())
        made.append(Http(policy, **options))
        return made[-1]

    yield make
    for http in made:
        http.close()


def by_client(http: Http, method: str, url: str, **more: Any) -> httpx.Response:
    with http.client() as client:
        return client.request(method, url, **more)


def by_async_client(http: Http, method: str, url: str, **more: Any) -> httpx.Response:
    async def ask() -> httpx.Response:
        async with http.async_client() as client:
            return await client.request(method, url, **more)

    return asyncio.run(ask())


both = pytest.mark.parametrize("ask", [by_client, by_async_client])
Ask = Callable[..., httpx.Response]


# -- statuses


@both
@respx.mock
def test_a_service_fault_is_tried_again(ask: Ask, build: Callable[..., Http]) -> None:
    route = respx.get(URL).mock(side_effect=[httpx.Response(502), httpx.Response(200, json={"ok": 1})])
    answer = ask(build(), "GET", URL)
    assert answer.json() == {"ok": 1}
    assert answer.extensions["attempts"] == route.call_count == 2


@both
@pytest.mark.parametrize("status", [408, 425, 500, 502, 503, 504])
@respx.mock
def test_after_the_last_attempt_the_fault_is_raised(ask: Ask, build: Callable[..., Http], status: int) -> None:
    route = respx.get(URL).respond(status)
    with pytest.raises(ServiceUnavailable) as caught:
        ask(build(), "GET", URL + "?api_key=s3cret")
    assert caught.value.status == status
    assert caught.value.attempts == route.call_count == 3
    assert "s3cret" not in caught.value.message


@both
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 422])
@respx.mock
def test_any_other_status_is_the_callers_and_asked_for_once(ask: Ask, build: Any, status: int) -> None:
    route = respx.get(URL).respond(status, json={"error": "no"})
    answer = ask(build(), "GET", URL)
    assert answer.status_code == status
    assert answer.json() == {"error": "no"}
    assert route.call_count == 1


@both
@respx.mock
def test_an_answer_that_its_judge_finds_wanting_is_a_failed_attempt(ask: Ask, build: Callable[..., Http]) -> None:
    big = b"x" * (3 << 20)
    route = respx.get(URL).mock(side_effect=[httpx.Response(200), httpx.Response(200, content=big)])
    seen = []

    def judge(answer: httpx.Response) -> None:
        seen.append(len(answer.content))
        if not answer.content:
            raise ServiceUnavailable("empty")

    answer = ask(build(), "GET", URL, extensions={"judge": judge})
    assert answer.content == big
    assert seen == [0, len(big)]
    assert answer.extensions["attempts"] == route.call_count == 2


@both
@respx.mock
def test_a_judge_that_finds_nothing_to_repeat_is_heard_once(ask: Ask, build: Callable[..., Http]) -> None:
    def judge(answer: httpx.Response) -> None:
        raise BadInput("another shape", reason="schema")

    route = respx.get(URL).respond(200)
    with pytest.raises(BadInput, match="another shape"):
        ask(build(), "GET", URL, extensions={"judge": judge})
    assert route.call_count == 1


@both
@respx.mock
def test_a_broken_connection_is_tried_again(ask: Ask, build: Callable[..., Http]) -> None:
    respx.get(URL).mock(side_effect=[httpx.ConnectError("refused"), httpx.ReadError("reset"), httpx.Response(204)])
    answer = ask(build(), "GET", URL)
    assert answer.status_code == 204
    assert answer.extensions["attempts"] == 3


@both
@pytest.mark.parametrize("form", ["seconds", "date"])
@respx.mock
def test_retry_after_is_kept_in_both_forms(ask: Ask, build: Callable[..., Http], form: str) -> None:
    limits = LocalLimits()
    value = "300" if form == "seconds" else formatdate(time.time() + 300, usegmt=True)
    route = respx.get(URL).respond(429, headers={"Retry-After": value})
    with pytest.raises(RateLimited) as caught:
        ask(build(limits=limits), "GET", URL)
    assert caught.value.retry_after == pytest.approx(300, abs=3)
    assert route.call_count == 1, "five minutes are not waited for in place"
    assert limits.paused("api.example.org") == pytest.approx(300, abs=3)


@respx.mock
def test_a_pause_one_policy_was_told_of_holds_for_another_policy_and_for_no_other_host(build: Any) -> None:
    limits = LocalLimits()
    respx.get(URL).respond(503, headers={"Retry-After": "300"})
    other = respx.get("https://other.example.org/").respond(200)
    with pytest.raises(RateLimited):
        by_client(build(limits=limits, name="one"), "GET", URL)
    second = build(limits=limits, name="two")
    with pytest.raises(RateLimited) as caught:
        by_client(second, "GET", URL)
    assert caught.value.reason == "paused"
    assert caught.value.attempts == 0
    by_client(second, "GET", "https://other.example.org/")
    assert other.call_count == 1


@respx.mock
def test_a_malformed_retry_after_is_no_reason_to_fail(build: Callable[..., Http]) -> None:
    respx.get(URL).mock(side_effect=[httpx.Response(429, headers={"Retry-After": "soon"}), httpx.Response(200)])
    assert by_client(build(), "GET", URL).status_code == 200


@respx.mock
def test_a_short_retry_after_is_waited_for(build: Callable[..., Http]) -> None:
    respx.get(URL).mock(side_effect=[httpx.Response(429, headers={"Retry-After": "0"}), httpx.Response(200)])
    assert by_client(build(), "GET", URL).extensions["attempts"] == 2


# -- what may be repeated


@both
@respx.mock
def test_a_post_is_not_repeated_when_it_may_have_been_carried_out(ask: Ask, build: Callable[..., Http]) -> None:
    route = respx.post(URL).respond(500)
    with pytest.raises(ServiceUnavailable):
        ask(build(), "POST", URL, json={"x": 1})
    assert route.call_count == 1


@pytest.mark.parametrize("first", [httpx.ConnectError("refused"), httpx.Response(429)])
@respx.mock
def test_a_post_is_repeated_when_it_was_surely_not_carried_out(build: Callable[..., Http], first: Any) -> None:
    respx.post(URL).mock(side_effect=[first, httpx.Response(201)])
    assert by_client(build(), "POST", URL, json={"x": 1}).extensions["attempts"] == 2


@both
@respx.mock
def test_a_post_that_may_be_repeated_is_with_its_body(ask: Ask, build: Callable[..., Http]) -> None:
    route = respx.post(URL).mock(side_effect=[httpx.Response(500), httpx.Response(200)])
    assert ask(build(retry_posts=True), "POST", URL, json={"x": 1}).extensions["attempts"] == 2
    assert [call.request.content for call in route.calls] == [b'{"x":1}'] * 2


@respx.mock
def test_a_post_with_an_idempotency_key_is_repeated(build: Callable[..., Http]) -> None:
    respx.post(URL).mock(side_effect=[httpx.Response(500), httpx.Response(200)])
    answer = by_client(build(), "POST", URL, headers={"Idempotency-Key": "1"})
    assert answer.extensions["attempts"] == 2


# -- hosts


@respx.mock
def test_each_host_has_a_breaker_of_its_own(build: Callable[..., Http]) -> None:
    breaker = CircuitBreakerPolicy(failure_threshold=2, reset_timeout_seconds=60.0)
    http = build(Policy(max_attempts=1, circuit_breaker=breaker))
    respx.get(URL).respond(500)
    respx.get("https://other.example.org/").respond(200)
    for _ in range(2):
        with pytest.raises(ServiceUnavailable):
            by_client(http, "GET", URL)
    with pytest.raises(CircuitOpen) as caught:
        by_client(http, "GET", URL)
    assert caught.value.retry_after == pytest.approx(60, abs=2)
    assert by_client(http, "GET", "https://other.example.org/").status_code == 200


@respx.mock
def test_each_attempt_is_reported_with_its_host(build: Callable[..., Http]) -> None:
    seen: list[Attempt] = []
    respx.get(URL).mock(side_effect=[httpx.Response(500), httpx.Response(200)])
    by_client(build(name="polite-api", on_attempt=seen.append), "GET", URL)
    assert [(attempt.guard, attempt.number, type(attempt.error)) for attempt in seen] == [
        ("polite-api@api.example.org", 1, ServiceUnavailable),
        ("polite-api@api.example.org", 2, type(None)),
    ]


@respx.mock
def test_only_a_bounded_number_of_hosts_is_remembered(build: Callable[..., Http], monkeypatch: Any) -> None:
    monkeypatch.setattr("penstock.resilience.http._MOST_HOSTS", 3)
    respx.route().respond(200)
    http = build()
    for number in range(10):
        by_client(http, "GET", f"https://host-{number}.example.org/")
    assert len(http._guards) == 3


@respx.mock
def test_more_than_five_redirects_are_not_followed(build: Callable[..., Http]) -> None:
    route = respx.get(URL).respond(302, headers={"Location": URL})
    with pytest.raises(httpx.TooManyRedirects) as caught:
        by_client(build(), "GET", URL)
    assert route.call_count == 6
    assert classify(caught.value).reason == "redirects"


@respx.mock
def test_a_redirect_is_checked_like_a_first_request(build: Callable[..., Http]) -> None:
    respx.get(URL).respond(302, headers={"Location": "http://169.254.169.254/latest/meta-data/"})
    with pytest.raises(TerminalError) as caught:
        by_client(build(), "GET", URL)
    assert caught.value.reason == "forbidden-url"


# -- real servers


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(speak: Callable[[socket.socket, int], None]) -> Server:
        servers.append(Server(speak))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@both
def test_a_real_answer_arrives(ask: Ask, build: Any, serve: Any) -> None:
    server = serve(lambda connection, _: connection.sendall(whole(b"hello")))
    assert ask(build(origins=[server.url]), "GET", server.url + "/a?b=1").content == b"hello"
    assert server.requests[0].startswith(b"GET /a?b=1 HTTP/1.1\r\n")
    assert b"Accept-Encoding: gzip, deflate\r\n" in server.requests[0]


@both
@pytest.mark.parametrize("part", ["headers", "body"])
def test_a_slow_drip_is_cut_off_though_no_gap_is_long(ask: Ask, build: Any, serve: Any, part: str) -> None:
    """httpx's own timeout is the gap between bytes: here it would wait for as long as the drip goes on."""

    def speak(connection: socket.socket, _: int) -> None:
        if part == "body":
            connection.sendall(whole(b"", length=100_000))
            drip(connection, b"x" * 100_000)
        drip(connection, b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 100_000)

    server = serve(speak)
    with pytest.raises(AttemptTimeout) as caught:
        ask(build(SHORT, origins=[server.url]), "GET", server.url)
    assert caught.value.attempts == server.connections == 2


@both
def test_a_hanging_server_is_given_up(ask: Ask, build: Any, serve: Any) -> None:
    server = serve(lambda connection, _: time.sleep(2))
    with pytest.raises(AttemptTimeout):
        ask(build(SHORT, origins=[server.url]), "GET", server.url)


@both
def test_a_truncated_body_is_asked_for_again(ask: Ask, build: Any, serve: Any) -> None:
    def speak(connection: socket.socket, number: int) -> None:
        connection.sendall(whole(b"half" if number == 1 else b"half a truth", length=12))

    server = serve(speak)
    answer = ask(build(origins=[server.url]), "GET", server.url)
    assert answer.content == b"half a truth"
    assert answer.extensions["attempts"] == 2


@both
def test_a_reset_in_the_middle_is_tried_again(ask: Ask, build: Any, serve: Any) -> None:
    def speak(connection: socket.socket, number: int) -> None:
        if number == 1:
            connection.sendall(whole(b"begun", length=1000))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        else:
            connection.sendall(whole(b"whole"))

    server = serve(speak)
    assert ask(build(origins=[server.url]), "GET", server.url).content == b"whole"
    assert server.connections == 2


def test_nobody_listening_is_a_refused_connection(build: Callable[..., Http]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    with pytest.raises(ServiceUnavailable) as caught:
        by_client(build(origins=[url]), "GET", url)
    assert caught.value.reason == "connect"
    assert caught.value.attempts == 3


@both
def test_an_answer_larger_than_the_cap_is_refused_once(ask: Ask, build: Any, serve: Any) -> None:
    server = serve(lambda connection, _: connection.sendall(whole(b"x" * 100_000)))
    with pytest.raises(BadInput) as caught:
        ask(build(origins=[server.url], max_bytes=50_000), "GET", server.url)
    assert caught.value.reason == "too-large"
    assert server.connections == 1


@both
def test_a_compressed_bomb_stops_at_the_cap(ask: Ask, build: Any, serve: Any) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    assert len(bomb) < 60_000
    server = serve(lambda connection, _: connection.sendall(whole(bomb, "Content-Encoding: gzip")))
    with pytest.raises(BadInput) as caught:
        ask(build(origins=[server.url], max_bytes=3_000_000), "GET", server.url)
    assert caught.value.reason == "too-large"


def test_a_bomb_is_inflated_piece_by_piece() -> None:
    pieces = [len(piece) for piece in decoder_for("gzip").decode(gzip.compress(bytes(50_000_000)))]
    assert sum(pieces) == 50_000_000
    assert max(pieces) <= 1 << 20


@both
@pytest.mark.parametrize("coding", ["gzip", "deflate", "bare deflate"])
def test_a_compressed_answer_comes_decoded(ask: Ask, build: Any, serve: Any, coding: str) -> None:
    text = bytes(range(256)) * 20_000
    bare = zlib.compressobj(wbits=-15)
    packed = {
        "gzip": gzip.compress(text),
        "deflate": zlib.compress(text),
        "bare deflate": bare.compress(text) + bare.flush(),
    }[coding]
    header = f"Content-Encoding: {coding.split()[-1]}"
    server = serve(lambda connection, _: connection.sendall(whole(packed, header)))
    answer = ask(build(origins=[server.url]), "GET", server.url)
    assert answer.content == text
    assert "content-encoding" not in answer.headers


def test_a_compressed_answer_that_ends_early_is_a_fault(build: Any, serve: Any) -> None:
    """Without a length nothing but the compression itself tells."""
    packed = gzip.compress(bytes(range(256)) * 100)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n"
    server = serve(lambda connection, _: connection.sendall(head + packed[: len(packed) // 2]))
    with pytest.raises(ServiceUnavailable):
        by_client(build(origins=[server.url]), "GET", server.url)
    assert server.connections == 3


def test_an_encoding_nobody_asked_for_is_refused(build: Any, serve: Any) -> None:
    server = serve(lambda connection, _: connection.sendall(whole(b"x", "Content-Encoding: zstd")))
    with pytest.raises(TerminalError) as caught:
        by_client(build(origins=[server.url]), "GET", server.url)
    assert caught.value.reason == "encoding"


@both
def test_a_large_answer_comes_whole(ask: Ask, build: Any, serve: Any) -> None:
    body = bytes(range(256)) * 20_000
    server = serve(lambda connection, _: connection.sendall(whole(body)))
    assert ask(build(origins=[server.url]), "GET", server.url).content == body


def test_a_large_answer_is_streamed_and_can_be_left_half_read(build: Any, serve: Any) -> None:
    sent: list[int] = []

    def speak(connection: socket.socket, _: int) -> None:
        connection.sendall(whole(b"", length=1 << 30))
        while True:
            sent.append(connection.send(bytes(1 << 16)))

    server = serve(speak)
    http = build(origins=[server.url], max_bytes=1 << 31)
    with http.client() as client, client.stream("GET", server.url) as response:
        assert sum(len(piece) for _, piece in zip(range(30), response.iter_bytes(1 << 16), strict=False)) > 1 << 20
    assert sum(sent) < 1 << 26


@both
def test_a_stream_that_stops_coming_ends_with_a_fault(ask: Ask, build: Any, serve: Any) -> None:
    def speak(connection: socket.socket, _: int) -> None:
        connection.sendall(whole(bytes(2 << 20), length=3 << 20))
        time.sleep(2)

    server = serve(speak)
    with pytest.raises(AttemptTimeout):
        ask(build(SHORT, origins=[server.url]), "GET", server.url)
    assert server.connections == 1


@both
def test_a_stream_that_drips_ends_at_the_deadline(ask: Ask, build: Any, serve: Any) -> None:
    def speak(connection: socket.socket, _: int) -> None:
        connection.sendall(whole(bytes(2 << 20), length=3 << 20))
        drip(connection, bytes(1000))

    server = serve(speak)
    with pytest.raises(AttemptTimeout):
        ask(build(SHORT, origins=[server.url]), "GET", server.url)


def test_a_stream_that_breaks_off_is_a_fault(build: Any, serve: Any) -> None:
    server = serve(lambda connection, _: connection.sendall(whole(bytes(2 << 20), length=3 << 20)))
    with pytest.raises(ServiceUnavailable):
        by_client(build(origins=[server.url]), "GET", server.url)


def test_what_is_declared_too_large_is_refused_before_it_comes(build: Any, serve: Any) -> None:
    def speak(connection: socket.socket, _: int) -> None:
        connection.sendall(whole(b"", length=2 << 30))
        connection.recv(1)

    server = serve(speak)
    with pytest.raises(BadInput) as caught:
        by_client(build(origins=[server.url], max_bytes=1 << 20), "GET", server.url)
    assert (caught.value.reason, caught.value.attempts) == ("too-large", 1)


def test_how_much_comes_within_the_attempt_can_be_said(build: Any, serve: Any) -> None:
    """Else a server that is slow, but gets there, would time out within the first MiB again and again."""

    def speak(connection: socket.socket, _: int) -> None:
        connection.sendall(whole(b"", length=100))
        drip(connection, bytes(100), 0.01)

    server = serve(speak)
    http = build(Policy(max_attempts=1, timeout_seconds=0.5), origins=[server.url])
    with http.client() as client, client.stream("GET", server.url, extensions={"at_once": 1}) as response:
        assert len(response.read()) == 100


def test_several_requests_can_be_given_one_end(build: Any, serve: Any) -> None:
    server = serve(lambda connection, _: connection.sendall(whole(b"", status="503 No")))
    http = build(Policy(max_attempts=50, backoff_initial_seconds=0.05), origins=[server.url])
    with pytest.raises(ServiceUnavailable) as caught:
        by_client(http, "GET", server.url, extensions={"due": time.monotonic() + 0.12})
    assert caught.value.attempts < 5
    with pytest.raises(AttemptTimeout) as late:
        by_client(http, "GET", server.url, extensions={"due": time.monotonic() - 1})
    assert (late.value.reason, late.value.attempts) == ("deadline", 0)


def test_plain_bytes_can_be_asked_for(build: Any, serve: Any) -> None:
    server = serve(lambda connection, _: connection.sendall(whole(b"hello")))
    by_client(build(origins=[server.url]), "GET", server.url, headers={"Accept-Encoding": "identity"})
    assert b"Accept-Encoding: identity\r\n" in server.requests[0]


def test_a_host_that_hangs_holds_up_no_other(build: Any, serve: Any) -> None:
    """A pool bounded over all hosts lets hanging requests use up its connections."""
    release = threading.Event()
    hanging = serve(lambda connection, _: release.wait(10) and connection.sendall(whole(b"", "Connection: close")))
    other = serve(lambda connection, _: connection.sendall(whole(b"quick")))
    http = build(origins=[hanging.url, other.url])
    with ThreadPoolExecutor(20) as pool:
        waiting = [pool.submit(by_client, http, "GET", hanging.url) for _ in range(20)]
        assert by_client(http, "GET", other.url).content == b"quick"
        release.set()
        assert [future.result().extensions["attempts"] for future in waiting] == [1] * 20


def test_connections_are_used_again(build: Any, serve: Any) -> None:
    def speak(connection: socket.socket, _: int) -> None:
        connection.sendall(whole(b"one"))
        while connection.recv(65536):
            connection.sendall(whole(b"more"))

    server = serve(speak)
    http = build(origins=[server.url])
    with http.client() as client:
        assert [client.get(server.url).content for _ in range(5)] == [b"one"] + [b"more"] * 4
    assert server.connections == 1


def test_a_redirect_from_a_configured_server_to_loopback_does_not_arrive(build: Any, serve: Any) -> None:
    canary = serve(lambda connection, _: None)
    port = canary.url.rpartition(":")[2]
    for target in (canary.url, f"https://localhost:{port}/", f"https://127.0.0.1:{port}/"):
        redirect = whole(b"", f"Location: {target}", status="302 Found")
        server = serve(lambda connection, _, redirect=redirect: connection.sendall(redirect))
        with pytest.raises(PenstockError) as caught:
            by_client(build(origins=[server.url]), "GET", server.url)
        assert caught.value.reason == "forbidden-url"
    assert canary.connections == 0


@both
@pytest.mark.parametrize("packed", [False, True])
def test_a_redirect_is_followed_and_its_body_left(ask: Ask, build: Any, serve: Any, packed: bool) -> None:
    """A client reads all of it before it follows."""
    bomb = gzip.compress(bytes(50_000_000)) if packed else b""

    def speak(connection: socket.socket, number: int) -> None:
        if number > 1:
            return connection.sendall(whole(b"there"))
        says = ("Location: /there", *(["Content-Encoding: gzip"] if packed else []))
        connection.sendall(whole(bomb, *says, status="302 Found", length=None if packed else 2 << 30))
        while not packed:
            connection.sendall(bytes(1 << 16))

    answer = ask(build(origins=[(server := serve(speak)).url]), "GET", server.url)
    assert (answer.content, server.connections) == (b"there", 2)
    assert len(answer.history[0].content) < 2 << 20


def test_a_redirect_with_little_to_say_keeps_its_connection(build: Any, serve: Any) -> None:
    def speak(connection: socket.socket, _: int) -> None:
        connection.sendall(whole(b"<a href=/there>moved</a>", "Location: /there", status="302 Found"))
        connection.recv(65536)
        connection.sendall(whole(b"there"))

    server = serve(speak)
    assert by_client(build(origins=[server.url]), "GET", server.url).content == b"there"
    assert server.connections == 1


def test_threads_and_loops_share_one_http(build: Any, serve: Any) -> None:
    server = serve(lambda connection, _: connection.sendall(whole(b"ok", "Connection: close")))
    http = build(origins=[server.url])
    with ThreadPoolExecutor(8) as pool:
        asks = [pool.submit([by_client, by_async_client][n % 2], http, "GET", server.url) for n in range(24)]
        assert {future.result().content for future in asks} == {b"ok"}


# -- the SDK that Haystack's embedders use


def test_the_openai_sdk_runs_on_it_and_its_error_leads_back_to_ours(build: Any, serve: Any) -> None:
    import openai

    def speak(connection: socket.socket, number: int) -> None:
        if number == 1:
            connection.sendall(whole(b"", status="500 Oops"))
        elif number == 2:
            data = b'{"object":"list","model":"m","data":[{"object":"embedding","index":0,"embedding":[1.0,2.0]}]}'
            connection.sendall(whole(data, "Content-Type: application/json", "Connection: close"))
        else:
            connection.sendall(whole(b"", "Retry-After: 600", status="429 Slow down"))

    server = serve(speak)
    http = build(origins=[server.url], retry_posts=True)
    client = openai.OpenAI(
        api_key="x", base_url=server.url, max_retries=0, http_client=httpx.Client(transport=http.transport())
    )
    answer = client.embeddings.create(model="m", input=["a"], encoding_format="float")
    assert answer.data[0].embedding == [1.0, 2.0]
    assert server.connections == 2
    with pytest.raises((PenstockError, openai.APIConnectionError)) as caught:  # by version the SDK wraps it or not
        client.embeddings.create(model="m", input=["a"], encoding_format="float")
    ours = classify(caught.value)
    assert isinstance(ours, RateLimited)
    assert ours.retry_after == 600.0
    assert ours.attempts == 1
