from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx

from paged import works
from penstock.errors import BadInput, RateLimited, UsageError
from penstock.sources.openalex import SELECT, OpenAlex

URL = "https://api.openalex.org/works"
Build = Callable[..., Any]


def asked(build: Build, query: dict[str, object], **services: Any) -> dict[str, str]:
    """The parameters of the first request."""
    with respx.mock:
        route = respx.get(URL).mock(return_value=works())
        list(build(OpenAlex, key=None, **services).list(query))
        return dict(route.calls[0].request.url.params)


def test_a_query_is_asked_in_the_services_own_words(build: Build) -> None:
    query = {"query": "metformin", "filter": "type:article", "since": "2026-01-31", "select": "title,doi"}
    assert asked(build, query) == {
        "search": "metformin",
        "filter": "type:article,from_updated_date:2026-01-31",
        "per_page": "100",
        "cursor": "*",
        "select": "id,title,doi",
    }
    wanted = {"search": "x", "per_page": "7", "cursor": "*", "select": ",".join(SELECT)}
    assert asked(build, {"query": "x", "limit": 7}) == wanted


def test_changes_can_be_listed_only_where_the_plan_has_them(build: Build) -> None:
    assert build(OpenAlex).watermark is None
    assert build(OpenAlex, updates=True).watermark == "since"


@respx.mock
def test_the_recorded_walk_ends_with_its_empty_page(build: Build, data: Path) -> None:
    bodies = [(data / f"openalex/prosnowball__0{n}.json").read_bytes() for n in (2, 4)]
    route = respx.get(URL).mock(side_effect=[httpx.Response(200, content=body) for body in bodies])
    found = list(build(OpenAlex).list({"filter": "openalex:W3045921891|W3046863325"}))
    assert [payload.source_id for payload in found] == ["W3046863325", "W3045921891"]
    assert all(payload.content in bodies[0] and payload.kind == "openalex-work" for payload in found)
    assert route.calls[1].request.url.params["cursor"].encode() in bodies[0]


@respx.mock
def test_a_page_without_its_cursor_is_of_another_shape(build: Build) -> None:
    respx.get(URL).respond(200, json={"meta": None, "results": []})
    with pytest.raises(BadInput, match="'meta'"):
        list(build(OpenAlex).list({"query": "x"}))


@respx.mock
def test_a_recorded_refusal_is_told_in_the_services_words(build: Build, data: Path) -> None:
    body = (data / "openalex/prosnowball__00.json").read_bytes()
    respx.get(URL).respond(400, content=body)
    with pytest.raises(UsageError, match="DOESNTEXIST is not a valid field") as caught:
        list(build(OpenAlex).list({"filter": "DOESNTEXIST:1"}))
    assert len(caught.value.message) < 400


@respx.mock
def test_a_work_is_read_again_with_the_fields_it_was_listed_with(build: Build, data: Path) -> None:
    body = (data / "openalex/single__00.json").read_bytes()
    respx.get(URL).mock(return_value=works("W2162348455"))
    one = respx.get(f"{URL}/W2162348455").respond(200, content=body)
    (payload,) = build(OpenAlex).list({"query": "x", "select": "id,title,updated_date"})
    again = build(OpenAlex).refetch(payload.origin)
    assert again.content == body.strip()
    assert again.origin.version == "2026-03-01T08:55:55.761014"
    assert again.origin.uri == payload.origin.uri
    assert one.calls[0].request.url.params["select"] == "id,title,updated_date"


DOLLARS = {"X-RateLimit-Remaining-USD": "0.0004", "X-RateLimit-Cost-USD": "0.001", "X-RateLimit-Reset": "3600"}
CREDITS = {"X-RateLimit-Remaining": "9", "X-RateLimit-Credits-Used": "10", "X-RateLimit-Reset": "3600"}


@respx.mock
@pytest.mark.parametrize("headers", [DOLLARS, CREDITS])
def test_a_listing_stops_before_it_is_refused_when_the_days_allowance_is_spent(
    build: Build, headers: dict[str, str]
) -> None:
    first = works("W1", next="t1")
    first.headers.update(headers)
    route = respx.get(URL).mock(side_effect=[first, works("W2")])
    source = build(OpenAlex)
    listing = source.list({"query": "x"})
    cursor = next(listing).cursor
    with pytest.raises(RateLimited, match="allowance is spent") as caught:
        next(listing)
    assert caught.value.retry_after == 3600
    assert "PENSTOCK_OPENALEX_KEY" in caught.value.next_step
    assert route.call_count == 1
    assert [payload.source_id for payload in source.list({"query": "x"}, cursor)] == ["W2"]


@respx.mock
@pytest.mark.parametrize(
    "headers",
    [
        {**DOLLARS, "X-RateLimit-Remaining-USD": "0.001"},
        {**DOLLARS, "X-RateLimit-Prepaid-Remaining-USD": "5"},
        {**CREDITS, "X-RateLimit-Remaining": "10"},
        {**DOLLARS, "X-RateLimit-Cost-USD": "much"},
        {},
    ],
)
def test_what_is_left_of_the_allowance_is_used(build: Build, headers: dict[str, str]) -> None:
    first = works("W1", next="t1")
    first.headers.update(headers)
    respx.get(URL).mock(side_effect=[first, works("W2")])
    assert len(list(build(OpenAlex).list({"query": "x"}))) == 2
