"""What a fault of HTTP says: what was asked, whose fault it is, and until when to leave it alone. By real servers."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from penstock.errors import PenstockError, RateLimited, TerminalError, TransientError
from penstock.resilience.classify import classify
from penstock.resilience.http import Http
from penstock.resilience.limits import LocalLimits
from penstock.resilience.policy import CircuitBreakerPolicy, Policy
from wire import Server, Speak, whole

LARGE = bytes(2 << 20)
"""More than what comes within one attempt: the rest is a stream."""

FAULTS: dict[str, Speak] = {
    "silence": lambda connection, _: time.sleep(2),
    "goodbye": lambda connection, _: None,
    "no HTTP": lambda connection, _: connection.sendall(b"%PDF-1.7\r\n\r\n"),
    "503": lambda connection, _: connection.sendall(whole(b"", status="503 No")),
    "429": lambda connection, _: connection.sendall(whole(b"", "Retry-After: 600", status="429 No")),
    "half a body": lambda connection, _: connection.sendall(whole(b"half", length=8)),
    "half a stream": lambda connection, _: connection.sendall(whole(LARGE, length=2 * len(LARGE))),
    "a stream that stops": lambda connection, _: (
        connection.sendall(whole(LARGE, length=2 * len(LARGE))),
        time.sleep(2),
    ),
    "no gzip": lambda connection, _: connection.sendall(whole(b"no gzip", "Content-Encoding: gzip")),
}
POLICY = Policy(max_attempts=1, timeout_seconds=0.4)


def failure(url: str, policy: Policy = POLICY, times: int = 1, **options: Any) -> PenstockError:
    """What the last of so many requests fails with."""
    with Http(policy, limits=LocalLimits(), **options) as http, http.client() as client:
        for _ in range(times):
            with pytest.raises(PenstockError) as caught:
                client.get(url)
    return caught.value


@pytest.mark.parametrize("fault", list(FAULTS))
def test_a_fault_says_what_was_asked_and_whose_it_is(serve: Callable[[Speak], Server], fault: str) -> None:
    server = serve(FAULTS[fault])
    error = failure(server.url + "/a.pdf?token=canary", origins=[server.url])
    assert isinstance(error, TransientError)
    assert error.message.count(f"GET {server.url}/a.pdf?token=***") == 1
    assert error.host == server.url.removeprefix("http://")


def test_a_name_that_nobody_knows_is_told_with_it() -> None:
    async def nobody(host: str, port: int) -> list[str]:
        raise socket.gaierror(-2, "Name or service not known")

    error = failure("https://papers.test:8443/a.pdf", resolve=nobody)
    assert isinstance(error, TransientError)
    assert (error.reason, error.host) == ("dns", "papers.test:8443")
    assert error.message.startswith("GET https://papers.test:8443/a.pdf: ")


def test_a_host_that_is_left_alone_is_told_too(serve: Callable[[Speak], Server]) -> None:
    breaker = CircuitBreakerPolicy(failure_threshold=1, reset_timeout_seconds=60)
    server = serve(FAULTS["503"])
    error = failure(server.url, POLICY.model_copy(update={"circuit_breaker": breaker}), 2, origins=[server.url])
    assert isinstance(error, TransientError)
    assert (error.reason, error.host) == ("circuit-open", server.url.removeprefix("http://"))


@pytest.mark.parametrize(("times", "reason"), [(1, "rate-limited"), (2, "paused")])
def test_who_asks_for_a_pause_is_told_until_when(serve: Callable[[Speak], Server], times: int, reason: str) -> None:
    server = serve(lambda connection, _: connection.sendall(whole(b"", "Retry-After: 7200", status="429 No")))
    error = failure(server.url, times=times, origins=[server.url])
    assert isinstance(error, RateLimited)
    assert error.reason == reason
    when = error.message.partition(" asked for a pause, until ")[2]
    left = datetime.strptime(when, "%Y-%m-%d %H:%M %Z").replace(tzinfo=UTC) - datetime.now(UTC)
    assert 7100 < left.total_seconds() <= 7260, "rounded up: who comes then comes late enough"


def test_a_deadline_that_passes_between_two_attempts_hides_no_fault(serve: Callable[[Speak], Server]) -> None:
    policy = Policy(
        max_attempts=9, backoff_strategy="none", timeout_seconds=0.4, deadline_seconds=0.5, rate_limit_per_second=0.1
    )
    server = serve(FAULTS["503"])
    assert "answered 503" in failure(server.url, policy, origins=[server.url]).message


@pytest.mark.parametrize("url", ["https://xn--/", "https://xn--a.test/a.pdf"])
def test_what_is_no_name_of_a_host_is_not_asked(url: str) -> None:
    with Http(POLICY) as http, http.client() as client:
        assert not http.may_ask(url)
        with pytest.raises(UnicodeError) as caught:
            client.get(url)
    known = classify(caught.value)
    assert isinstance(known, TerminalError)
    assert known.reason == "forbidden-url"
