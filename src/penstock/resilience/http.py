"""HTTP under a policy: transports for httpx clients, and for SDKs built on them, whose every request is guarded.

All connections live on the process's one event loop, whoever calls; that is what makes a total deadline possible, since
a request there can be cancelled at any point. Each host has a guard of its own, so none holds up another.

`timeout_seconds` is one attempt's: connecting, the headers and the first MiB of the body. What is larger goes on as a
stream, with `timeout_seconds` as the longest gap and `deadline_seconds` (or an hour) as its end. A caller's own httpx
timeouts are ignored. An answer within the first MiB that breaks off or drips is therefore tried again; in a stream the
caller gets the TransientError.

A request that brings a `judge` (httpx's `extensions={"judge": …}`, called with the whole answer, on the event loop's
thread) is answered whole within the attempt, and what the judge raises is the attempt's failure: an answer that is no
good in spite of its status is asked for again like any other fault. One that brings `at_once` (bytes) has so many read
within the attempt instead of the first MiB; one that brings `due` (time.monotonic()) is through by then at the latest,
as several requests for the same thing should be. A request with `Accept-Encoding: identity` is sent so.

429, 408, 425 and 5xx are raised as TransientErrors once the attempts are used up. All other answers are given to the
caller as they are, decoded; of a redirect's body no more than its beginning, since nobody reads it and clients take all
of it into memory.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import httpcore
import httpx

from penstock.errors import BadInput, RateLimited, TerminalError, TransientError
from penstock.resilience.asked import Asked
from penstock.resilience.body import ACCEPTED, Body, decoder_for
from penstock.resilience.guard import Attempt, Guard
from penstock.resilience.limits import Limits
from penstock.resilience.loop import loop_thread
from penstock.resilience.process import one_per_process
from penstock.resilience.reach import PinnedBackend, Reach, Resolver
from penstock.resilience.redaction import redact
from penstock.resilience.retry_after import window_spent
from penstock.resilience.status import service_fault

if TYPE_CHECKING:
    import ssl

    from penstock.resilience.policy import Policy

MAX_REDIRECTS = 5
MAX_BYTES = 128 << 20
_IN_ONE_ATTEMPT = 1 << 20
_OF_A_REDIRECT = 1 << 14  # most say less, and leave their connection to be used again
_STREAM_SECONDS = 3600.0
_MOST_HOSTS = 1024
_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})
_NEVER_SENT = frozenset({"connect", "connect-timeout", "dns", "paused"})


class _Answer(NamedTuple):
    """`rest` is None when `content` is all of the body."""

    status: int
    headers: httpx.Headers
    extensions: dict[str, Any]
    content: bytes
    rest: Body | None


class Http:
    """The `http` service: one per policy in a process, shared by all its threads.

    `name` is the policy's. `origins` are base URLs that the operator configured and that may be anywhere, `plain_http`
    hosts that may be asked without TLS; everything else must be public and https (reach.py). `retry_posts` says that
    POSTs here may be repeated, as an embedding request may; else they are repeated only when they were surely not
    carried out, or carry an Idempotency-Key. `max_bytes` caps each answer after decoding. `on_attempt` is called on the
    event loop's thread.
    """

    def __init__(
        self,
        policy: Policy,
        name: str = "http",
        *,
        origins: Iterable[str] = (),
        plain_http: Iterable[str] = (),
        retry_posts: bool = False,
        max_bytes: int = MAX_BYTES,
        limits: Limits | None = None,
        on_attempt: Callable[[Attempt], None] | None = None,
        ssl_context: ssl.SSLContext | None = None,
        resolve: Resolver | None = None,
        network: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        self._policy = policy
        self._name = name
        self._reach = Reach(origins, plain_http)
        self._retry_posts = retry_posts
        self._max_bytes = max_bytes
        self._limits = limits
        self._on_attempt = on_attempt
        self._ssl_context = ssl_context
        self._backend = PinnedBackend(self._reach, resolve, network)
        self._guards: OrderedDict[str, Guard] = OrderedDict()
        self._pool: httpcore.AsyncConnectionPool | None = None

    def transport(self) -> httpx.BaseTransport:
        """For `httpx.Client(transport=…)`, and SDKs that take such a client; give those no retries of their own."""
        return GuardedTransport(self)

    def async_transport(self) -> httpx.AsyncBaseTransport:
        """For `httpx.AsyncClient(transport=…)`, on any event loop."""
        return AsyncGuardedTransport(self)

    def client(self, **options: Any) -> httpx.Client:
        """A client that follows at most five redirects, each checked like a first request."""
        return httpx.Client(**self._client_options(options), transport=self.transport())

    def async_client(self, **options: Any) -> httpx.AsyncClient:
        return httpx.AsyncClient(**self._client_options(options), transport=self.async_transport())

    @property
    def attempts(self) -> int:
        """How often one thing is asked for at most, by the policy."""
        return self._policy.max_attempts

    def due(self) -> float:
        """When (time.monotonic()) what begins now must be through, by the policy."""
        return time.monotonic() + (self._policy.deadline_seconds or _STREAM_SECONDS)

    def may_ask(self, url: str) -> bool:
        """Whether a URL is not refused for what it looks like; where it leads is another question."""
        try:
            self._reach.check(httpx.URL(url))
        except (TerminalError, httpx.InvalidURL):
            return False
        return True

    def host(self, url: httpx.URL | str) -> str:
        """Who is asked by a URL, as TransientErrors name him: host and port. Raises httpx.InvalidURL."""
        return httpx.URL(url).netloc.decode("ascii").rpartition("@")[2]

    def close(self) -> None:
        """Close idle connections. The service can be used again."""
        pool, self._pool = self._pool, None
        if pool is not None:
            loop_thread().run(pool.aclose())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _client_options(self, options: dict[str, Any]) -> dict[str, Any]:
        return {"follow_redirects": True, "max_redirects": MAX_REDIRECTS, "trust_env": False} | options

    async def _exchange(self, request: httpx.Request) -> _Answer:
        """Only on the loop's thread; the request's body must have been read."""
        self._reach.check(request.url)
        left = min(self.due(), request.extensions.get("due", math.inf)) - time.monotonic()
        due = asyncio.get_running_loop().time() + left
        plain = request.headers.get("accept-encoding") == "identity"
        headers = [(name, value) for name, value in request.headers.raw if name.lower() != b"accept-encoding"]
        headers.append((b"Accept-Encoding", b"identity" if plain else ACCEPTED.encode()))
        asked = Asked(redact(f"{request.method} {request.url}"), self.host(request.url))
        judge = request.extensions.get("judge")
        at_once = self._max_bytes + 1 if judge else request.extensions.get("at_once", _IN_ONE_ATTEMPT)

        async def attempt(seconds: float) -> _Answer:
            answer = await self._attempt(request, headers, asked, seconds, due, at_once)
            if judge:
                judge(httpx.Response(answer.status, headers=answer.headers, content=answer.content))
            return answer

        guard, may_retry = self._guard(asked.host), self._may_retry(request)
        answer, attempts = await guard.call_async(attempt, asked.what, may_retry=may_retry, deadline=left)
        if pause := window_spent(answer.headers):
            guard.limits.pause(guard.host, pause)
        answer.extensions["attempts"] = attempts
        return answer

    async def _attempt(
        self,
        request: httpx.Request,
        headers: list[tuple[bytes, bytes]],
        asked: Asked,
        seconds: float,
        due: float,
        at_once: int,
    ) -> _Answer:
        """One attempt. Up to about `at_once` bytes of the body are read within it."""
        url, what = request.url, asked.what
        sent = httpcore.Request(
            request.method,
            httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=headers,
            content=request.content,
            extensions={"timeout": dict.fromkeys(("connect", "read", "write", "pool"), seconds)},
        )
        with asked.told():  # a library's own message names no host
            response = await self._connections().handle_async_request(sent)
        try:
            received = httpx.Headers(response.headers)
            fault = service_fault(response.status, received, what)
            if fault is not None:
                raise fault
            redirect = httpx.codes.is_redirect(response.status)
            sized = request.method != "HEAD" and not redirect
            if sized and int(received.get("content-length", "0")) > self._max_bytes:
                raise BadInput(f"{what} is larger than {self._max_bytes / (1 << 20):g} MiB", reason="too-large")
            encoding = received.get("content-encoding", "")
            body = Body(response, decoder_for(encoding), asked, most=self._max_bytes, gap=seconds, due=due)
            content, complete = await body.read(min(at_once, _OF_A_REDIRECT) if redirect else at_once)
            if redirect and not complete:
                await body.aclose()
                complete = True
        except BaseException:
            await response.aclose()
            raise
        if encoding:  # what the caller gets is decoded
            del received["content-encoding"]
            received.pop("content-length", None)
        said = {key: value for key, value in response.extensions.items() if key in ("http_version", "reason_phrase")}
        return _Answer(response.status, received, said, content, None if complete else body)

    def _guard(self, host: str) -> Guard:
        guard = self._guards.pop(host, None) or Guard(
            self._policy, f"{self._name}@{host}", host=host, limits=self._limits, on_attempt=self._on_attempt
        )
        self._guards[host] = guard
        if len(self._guards) > _MOST_HOSTS:
            self._guards.popitem(last=False)
        return guard

    def _may_retry(self, request: httpx.Request) -> Callable[[TransientError], bool]:
        if request.method in _IDEMPOTENT or self._retry_posts or "idempotency-key" in request.headers:
            return lambda error: True
        return lambda error: isinstance(error, RateLimited) or error.reason in _NEVER_SENT

    def _connections(self) -> httpcore.AsyncConnectionPool:
        if self._pool is None:
            self._pool = httpcore.AsyncConnectionPool(
                ssl_context=self._ssl_context or _system_trust(),
                max_connections=None,  # a bound over all hosts would let one that hangs hold up the others
                max_keepalive_connections=20,
                keepalive_expiry=30.0,
                network_backend=self._backend,
            )
        return self._pool


class GuardedTransport(httpx.BaseTransport):
    """Sends through an Http, blocking the calling thread. Closing it leaves the Http as it is."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Raises a PenstockError; its `attempts` says how many were made."""
        request.read()
        answer = loop_thread().run(self._http._exchange(request))
        return _response(answer, _BlockingRest(answer.content, answer.rest) if answer.rest else None)


class AsyncGuardedTransport(httpx.AsyncBaseTransport):
    """Sends through an Http from any event loop; the work itself is done on the process's own."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises a PenstockError; its `attempts` says how many were made."""
        await request.aread()
        answer = await asyncio.wrap_future(loop_thread().submit(self._http._exchange(request)))
        return _response(answer, _AwaitedRest(answer.content, answer.rest) if answer.rest else None)


class _BlockingRest(httpx.SyncByteStream):
    def __init__(self, begin: bytes, rest: Body) -> None:
        self._begin, self._rest = begin, rest

    def __iter__(self) -> Iterator[bytes]:
        yield self._begin
        while piece := loop_thread().run(self._rest.next()):
            yield piece

    def close(self) -> None:
        loop_thread().run(self._rest.aclose())


class _AwaitedRest(httpx.AsyncByteStream):
    def __init__(self, begin: bytes, rest: Body) -> None:
        self._begin, self._rest = begin, rest

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._begin
        while piece := await asyncio.wrap_future(loop_thread().submit(self._rest.next())):
            yield piece

    async def aclose(self) -> None:
        await asyncio.wrap_future(loop_thread().submit(self._rest.aclose()))


def _response(answer: _Answer, rest: httpx.SyncByteStream | httpx.AsyncByteStream | None) -> httpx.Response:
    return httpx.Response(
        answer.status,
        headers=answer.headers,
        stream=rest or httpx.ByteStream(answer.content),
        extensions=answer.extensions,
    )


@one_per_process
def _system_trust() -> ssl.SSLContext:
    return httpx.create_ssl_context()
