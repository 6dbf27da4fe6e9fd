"""What holds for every source that lists in pages, whatever its service does."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable
from email.utils import formatdate
from typing import Any

import httpcore
import httpx
import pytest
import respx

from paged import CURSORS, KEY, NAMES, Given
from penstock.errors import AttemptTimeout, BadInput, NotFound, RateLimited, ServiceUnavailable, UsageError
from penstock.ir import RawPayload
from penstock.resilience.policy import Policy
from penstock.sources.api import GO_ON

Build = Callable[..., Any]
WORDS = {"query": "metformin"}
by_cursor = pytest.mark.parametrize("given", CURSORS, ids=lambda given: given.kind.name)


def names(given: Given, *numbers: int) -> list[str]:
    return [NAMES[given.kind.name].format(number) for number in numbers]


def page(given: Given, *numbers: int, next: str | None = None) -> httpx.Response:
    return given.page(*names(given, *numbers), next=next)


def ids(payloads: list[RawPayload]) -> list[str]:
    return [payload.source_id for payload in payloads]


def sent(request: httpx.Request) -> str:
    return f"{request.url} {dict(request.headers)}"


class Body(httpx.AsyncByteStream):
    """Pieces of a body, each after a while; then an end, or an error."""

    def __init__(self, *pieces: bytes, seconds: float = 0.0, error: Exception | None = None) -> None:
        self._pieces, self._seconds, self._error = pieces, seconds, error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            await asyncio.sleep(self._seconds)
            yield piece
        if self._error:
            raise self._error


@respx.mock
def test_pages_are_asked_for_one_after_another_when_they_are_needed(given: Given, build: Build) -> None:
    pages = [page(given, 1, 2, next="t1"), page(given, 3, next="t2"), page(given, 4)]
    route = respx.get(given.url).mock(side_effect=pages)
    listing = build(given.kind).list(WORDS)
    assert route.call_count == 0
    first = [next(listing), next(listing)]
    assert route.call_count == 1
    rest = list(listing)
    assert ids(first + rest) == names(given, 1, 2, 3, 4)
    assert [payload.page_end for payload in first + rest] == [False, True, True, True]
    names_of_tokens = ("pageToken", "cursor", "search_after", "offset")
    tokens = [call.request.url.params.get(name) for call in route.calls for name in names_of_tokens]
    assert tuple(token for token in tokens if token not in (None, "*", "0")) == given.tokens


@respx.mock
@by_cursor
def test_an_empty_last_page_ends_a_listing(given: Given, build: Build) -> None:
    respx.get(given.url).mock(side_effect=[page(given, 1, next="t1"), given.empty])
    assert ids(list(build(given.kind).list(WORDS))) == names(given, 1)


@respx.mock
def test_nothing_found_is_an_empty_listing(given: Given, build: Build) -> None:
    respx.get(given.url).mock(return_value=given.empty)
    assert list(build(given.kind).list(WORDS)) == []


@respx.mock
def test_a_payload_is_the_very_bytes_of_its_record(given: Given, build: Build) -> None:
    answer = page(given, 1, 2)
    respx.get(given.url).mock(return_value=answer)
    for payload in build(given.kind).list(WORDS):
        assert payload.content.startswith(b"{")
        assert payload.content in answer.content
        assert payload.origin.uri.startswith(given.kind.URL)


@respx.mock
@pytest.mark.parametrize("taken", [1, 2, 3])
def test_a_listing_goes_on_with_the_page_it_was_at(given: Given, build: Build, taken: int) -> None:
    """A page whose records were all taken is not fetched again."""
    first, second = page(given, 1, 2, next="t1"), page(given, 3)
    respx.get(given.url).mock(side_effect=[first, second])
    cursor = list(build(given.kind).list(WORDS))[taken - 1].cursor
    again = respx.get(given.url).mock(side_effect=[first, second] if taken == 1 else [second])
    before = again.call_count
    rest = list(build(given.kind).list(WORDS, cursor))
    assert ids(rest) == names(given, 1, 2, 3)[taken:]
    assert again.call_count - before == {1: 2, 2: 1, 3: 0}[taken]


@respx.mock
def test_a_limit_ends_a_listing_also_one_that_goes_on(given: Given, build: Build) -> None:
    pages = [page(given, 1, 2, next="t1"), page(given, 3, 4, next="t2")]
    route = respx.get(given.url).mock(side_effect=pages)
    limited = {**WORDS, "limit": 3}
    found = list(build(given.kind).list(limited))
    assert ids(found) == names(given, 1, 2, 3)
    sizes = {call.request.url.params.get(name) for call in route.calls for name in ("pageSize", "per_page", "limit")}
    assert sizes - {None} == {"3"}
    respx.get(given.url).mock(side_effect=pages[1:])
    assert ids(list(build(given.kind).list(limited, found[1].cursor))) == names(given, 3)


@respx.mock
def test_a_token_that_is_taken_no_more_begins_the_listing_again(given: Given, build: Build) -> None:
    whole = [page(given, 1, next="t1"), page(given, 2)]
    respx.get(given.url).mock(side_effect=whole)
    cursor = next(build(given.kind).list(WORDS)).cursor
    expired = httpx.Response(400, text="the page token is no longer valid")
    respx.get(given.url).mock(side_effect=[expired, *whole])
    assert ids(list(build(given.kind).list(WORDS, cursor))) == names(given, 1, 2)
    respx.get(given.url).mock(side_effect=[expired, whole[0], expired])
    with pytest.raises(UsageError, match="no longer valid"):
        list(build(given.kind).list(WORDS, cursor))


@respx.mock
@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_pause_that_the_service_asks_for_is_kept(given: Given, build: Build, form: str) -> None:
    value = "3600" if form == "seconds" else formatdate(time.time() + 3600, usegmt=True)
    route = respx.get(given.url).respond(429, headers={"Retry-After": value})
    source = build(given.kind)
    for _ in range(2):
        with pytest.raises(RateLimited) as caught:
            list(source.list(WORDS))
        assert caught.value.retry_after == pytest.approx(3600, abs=60)
    assert route.call_count == 1


@respx.mock
def test_a_service_that_was_away_is_asked_again(given: Given, build: Build) -> None:
    faults = [httpx.Response(503), httpx.Response(429), page(given, 1)]
    route = respx.get(given.url).mock(side_effect=faults)
    assert ids(list(build(given.kind).list(WORDS))) == names(given, 1)
    assert route.call_count == 3


@respx.mock
def test_a_service_that_stays_away_ends_the_listing_which_can_go_on_later(given: Given, build: Build) -> None:
    respx.get(given.url).mock(side_effect=[page(given, 1, next="t1"), *[httpx.Response(500)] * 3])
    listing = build(given.kind).list(WORDS)
    cursor = next(listing).cursor
    with pytest.raises(ServiceUnavailable) as caught:
        next(listing)
    assert caught.value.attempts == 3
    respx.get(given.url).mock(side_effect=[page(given, 2)])
    assert ids(list(build(given.kind).list(WORDS, cursor))) == names(given, 2)


@respx.mock
@pytest.mark.parametrize("error", [httpcore.ConnectError("refused"), socket.gaierror(-2, "no such name")])
def test_a_service_that_is_not_reached_is_told_without_all_that_was_asked(
    given: Given, build: Build, error: Exception
) -> None:
    respx.get(given.url).mock(side_effect=error)
    with pytest.raises(ServiceUnavailable) as caught:
        list(build(given.kind).list(WORDS))
    assert caught.value.message.startswith(f"source {given.kind.name}: ")
    assert httpx.URL(given.url).host in caught.value.message
    assert "metformin" not in caught.value.message
    assert caught.value.next_step == GO_ON


@respx.mock
def test_a_page_that_drips_is_cut_off_and_asked_for_again(given: Given, build: Build) -> None:
    drip = Body(*[b" "] * 10_000, seconds=0.01)
    answers = [httpx.Response(200, stream=drip), page(given, 1)]
    route = respx.get(given.url).mock(side_effect=answers)
    source = build(given.kind, Policy(max_attempts=2, backoff_strategy="none", timeout_seconds=0.3))
    assert ids(list(source.list(WORDS))) == names(given, 1)
    assert route.call_count == 2
    respx.get(given.url).mock(side_effect=[httpx.Response(200, stream=drip)] * 2)
    with pytest.raises(AttemptTimeout):
        list(source.list(WORDS))


BROKEN = {
    "cut off by the line": (lambda body: Body(body[:40], error=httpcore.RemoteProtocolError("closed")), {}),
    "cut off in a record": (lambda body: Body(body[:-10]), {}),
    "cut off behind the records": (lambda body: Body(body[:-1]), {}),
    "a web page": (lambda body: Body(b"<!doctype html><title>Maintenance</title>"), {"Content-Type": "text/html"}),
    "an error in spite of 200": (lambda body: Body(b'{"error": {"code": "OOPS", "message": "broken"}}'), {}),
    "nothing": (lambda body: Body(b""), {}),
}


@respx.mock
@pytest.mark.parametrize("what", BROKEN)
def test_an_answer_that_is_no_page_is_asked_for_again(given: Given, build: Build, what: str) -> None:
    make, headers = BROKEN[what]
    good = page(given, 1)

    def broken() -> httpx.Response:
        return httpx.Response(200, stream=make(good.content.rstrip()), headers=headers)

    route = respx.get(given.url).mock(side_effect=[broken(), good])
    assert ids(list(build(given.kind).list(WORDS))) == names(given, 1)
    assert route.call_count == 2
    respx.get(given.url).mock(side_effect=[broken() for _ in range(3)])
    with pytest.raises(ServiceUnavailable) as caught:
        list(build(given.kind).list(WORDS))
    assert caught.value.attempts == 3
    assert "\n" not in caught.value.message


@respx.mock
@pytest.mark.parametrize("content", ["[]", '{"items": [{"id": 1}]}', '{"studies": {}, "results": {}}', "3"])
def test_an_answer_of_another_shape_says_that_the_service_has_changed(given: Given, build: Build, content: str) -> None:
    route = respx.get(given.url).respond(200, text=content)
    with pytest.raises(BadInput, match="the service has changed") as caught:
        list(build(given.kind).list(WORDS))
    assert caught.value.reason == "schema"
    assert f"PENSTOCK_{given.kind.SERVICE}_URL" in caught.value.next_step
    assert route.call_count == 1


@respx.mock
@by_cursor
def test_a_page_that_names_itself_as_the_next_ends_nothing_in_a_circle(given: Given, build: Build) -> None:
    respx.get(given.url).mock(side_effect=[page(given, 1, next="t1"), page(given, 2, next="t1")])
    with pytest.raises(BadInput, match="itself"):
        list(build(given.kind).list(WORDS))


@respx.mock
def test_a_query_that_the_service_refuses_is_the_askers_mistake_in_its_words(given: Given, build: Build) -> None:
    error = {"error": "Invalid query", "message": "unbalanced (\nat 3"}
    route = respx.get(given.url).respond(400, json=error)
    with pytest.raises(UsageError, match=r"Invalid query: unbalanced \( at 3"):
        list(build(given.kind).list(WORDS))
    assert route.call_count == 1


@respx.mock
@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_told_by_the_name_of_its_setting(given: Given, build: Build, status: int) -> None:
    route = respx.get(given.url).respond(status, json={"error": f"API key required, not {KEY}"})
    with pytest.raises(ServiceUnavailable, match="API key required") as caught:
        list(build(given.kind).list(WORDS))
    assert caught.value.reason == "unauthorized"
    if "key" in given.kind.needs:
        assert f"PENSTOCK_{given.kind.SERVICE}_KEY" in caught.value.next_step
        assert KEY not in caught.value.message
    assert route.call_count == 1


@respx.mock
def test_a_base_url_where_no_such_service_is_says_so(given: Given, build: Build) -> None:
    respx.get(given.url).respond(404, json={"error": {"code": "NOT_FOUND", "message": "Cannot GET /drug/label.json"}})
    with pytest.raises(NotFound) as caught:
        list(build(given.kind).list(WORDS))
    assert f"PENSTOCK_{given.kind.SERVICE}_URL" in caught.value.next_step


@respx.mock
def test_the_key_is_sent_to_the_service_and_seen_nowhere(
    given: Given, build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    away = respx.get("https://elsewhere.example.org/x").mock(return_value=page(given, 2))
    moved = httpx.Response(302, headers={"Location": "https://elsewhere.example.org/x"})
    route = respx.get(given.url).mock(side_effect=[page(given, 1, next="t1"), moved, httpx.Response(400)])
    with caplog.at_level(logging.DEBUG):
        found = list(build(given.kind).list(WORDS))
        with pytest.raises(UsageError) as caught:
            list(build(given.kind).list(WORDS))
    has_key = "key" in given.kind.needs
    assert [KEY in sent(call.request) for call in route.calls] == [has_key] * 3
    assert KEY not in sent(away.calls[0].request)
    said = [record.getMessage() for record in caplog.records]
    assert any("HTTP Request" in line for line in said)
    told = f"{said} {caught.value.message} {[payload.model_dump() for payload in found]}"
    assert KEY not in told


@respx.mock
def test_a_record_too_large_is_listed_without_its_bytes(given: Given, build: Build) -> None:
    respx.get(given.url).mock(return_value=page(given, 1))
    (payload,) = build(given.kind, max_bytes=10).list(WORDS)
    assert (payload.kind, payload.content) == ("too-large", b"")
    assert payload.source_id == names(given, 1)[0]
    respx.get(given.url).mock(return_value=given.page("", "-"))
    nameless = list(build(given.kind, max_bytes=10).list(WORDS))
    assert len({payload.origin.key for payload in nameless}) == 2


@pytest.mark.parametrize("query", [{}, {"limit": 5}, {"query": ""}])
def test_everything_is_not_asked_for_by_accident(given: Given, build: Build, query: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="say what to look for"):
        build(given.kind).list(query)


@pytest.mark.parametrize("cursor", ["", "x", "[]", '{"a": 1}', '["t", "x", 0]'])
def test_a_cursor_of_something_else_is_refused_at_once(given: Given, build: Build, cursor: str) -> None:
    if cursor:
        with pytest.raises(UsageError, match="no cursor"):
            build(given.kind).list(WORDS, cursor)


@respx.mock
def test_what_is_gone_is_none_and_what_has_no_name_cannot_be_read_again(given: Given, build: Build) -> None:
    answer = given.page("", next=None)
    respx.get(given.url).mock(return_value=answer)
    (nameless,) = build(given.kind).list(WORDS)
    assert nameless.kind == "malformed"
    assert nameless.note == "it states no identifier"
    assert build(given.kind).refetch(nameless.origin) is None
