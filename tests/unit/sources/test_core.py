from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import formatdate
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx

from paged import KEY, core_works
from penstock.errors import BadInput, RateLimited, ServiceUnavailable, UsageError
from penstock.sources.core import Core

URL = "https://api.core.ac.uk/v3/search/works/"
Build = Callable[..., Any]


def work(**more: object) -> httpx.Response:
    record = {"id": 1, "dataProviders": [], "downloadUrl": "", **more}
    return httpx.Response(200, json={"totalHits": 1, "limit": 100, "offset": 0, "results": [record]})


@respx.mock
def test_the_recorded_search(build: Build, data: Path) -> None:
    body = (data / "scholarly/core/fastpaper_core_search.json").read_bytes()
    route = respx.get(URL).respond(200, content=body)
    (payload,) = build(Core).list({"query": "speech", "limit": 1})
    assert payload.content in body
    assert (payload.kind, payload.source_id) == ("core-work", "58971691")
    assert payload.origin.version == "2021-08-10T16:23:19"
    assert payload.origin.uri == "https://api.core.ac.uk/v3/works/58971691?exclude=fullText"
    assert payload.urls == ("https://arxiv.org/pdf/1904.10788",)
    sent = route.calls[0].request
    assert dict(sent.url.params) == {"q": "speech", "limit": "1", "offset": "0", "exclude": "fullText"}
    assert sent.headers["Authorization"] == f"Bearer {KEY}"
    respx.get("https://api.core.ac.uk/v3/works/58971691").respond(200, content=payload.content)
    again = build(Core).refetch(payload.origin)
    assert (again.content, again.urls) == (payload.content, payload.urls)


@respx.mock
@pytest.mark.parametrize(
    ("record", "urls"),
    [
        ({"downloadUrl": "https://a.org/1"}, ("https://a.org/1",)),
        (
            {
                "downloadUrl": "https://core.ac.uk/download/1.pdf",
                "sourceFulltextUrls": ["https://b.org/1", None, 7],
                "links": [
                    {"type": "download", "url": "https://c.org/1"},
                    {"type": "display", "url": "https://d.org"},
                    3,
                ],
            },
            ("https://core.ac.uk/download/1.pdf", "https://b.org/1", "https://c.org/1"),
        ),
        ({"downloadUrl": None, "sourceFulltextUrls": "https://b.org/1", "links": {}}, ("https://b.org/1",)),
        ({"downloadUrl": None, "sourceFulltextUrls": None, "links": None}, ()),
    ],
)
def test_where_the_text_may_be_had(build: Build, record: dict[str, object], urls: tuple[str, ...]) -> None:
    respx.get(URL).mock(return_value=work(**record))
    (payload,) = build(Core).list({"query": "x"})
    assert payload.urls == urls


@respx.mock
def test_a_broken_record_is_not_called_by_its_data_providers_number(build: Build) -> None:
    record = b'{"dataProviders": [{"id": 144, "name": ""}], "downloadUrl": NaN, "id": %b}'
    body = b'{"totalHits": 2, "limit": 100, "offset": 0, "results": [%b, %b]}' % (record % b"7", record % b"null")
    respx.get(URL).respond(200, content=body)
    named, nameless = build(Core).list({"query": "x"})
    assert (named.kind, named.source_id) == ("malformed", "7")
    assert nameless.source_id.startswith("sha256:")


@respx.mock
@pytest.mark.parametrize("missing", ["totalHits", "offset", "limit"])
def test_a_page_that_does_not_say_where_it_stands_is_of_another_shape(build: Build, missing: str) -> None:
    page = core_works("1").json()
    page[missing] = None
    respx.get(URL).respond(200, json=page)
    with pytest.raises(BadInput, match="where it stands"):
        list(build(Core).list({"query": "x"}))


@respx.mock
def test_an_empty_first_page_of_a_search_that_finds_something_is_no_answer(build: Build) -> None:
    empty = {"totalHits": 250, "limit": 100, "offset": 0, "results": []}
    route = respx.get(URL).respond(200, json=empty)
    with pytest.raises(ServiceUnavailable, match="250 records are still to come") as caught:
        list(build(Core).list({"query": "x"}))
    assert (caught.value.reason, route.call_count) == ("bad-answer", 3)


@respx.mock
def test_beyond_what_core_lists_the_listing_ends_with_what_to_do(build: Build) -> None:
    page = core_works(*map(str, range(9_951, 10_001)), whole=20_000).json()
    route = respx.get(URL).respond(200, json=page)
    listing = build(Core).list({"query": "x"}, '["9950", 0, 9950]')
    assert [next(listing).source_id for _ in range(50)][-1] == "10000"
    with pytest.raises(UsageError, match="first 10,000") as caught:
        next(listing)
    assert "yearPublished" in caught.value.next_step
    (asked,) = route.calls
    assert asked.request.url.params["limit"] == "50"


def at(form: str, seconds: float) -> str:
    moment = time.time() + seconds
    return {
        "seconds": f"{seconds:.0f}",
        "epoch": f"{moment:.0f}",
        "date": formatdate(moment, usegmt=True),
        "iso": datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S+0000"),
    }[form]


@respx.mock
@pytest.mark.parametrize("form", ["seconds", "epoch", "iso", "date"])
def test_the_window_that_core_names_is_waited_for(build: Build, form: str) -> None:
    headers = {"X-RateLimit-Retry-After": at(form, 3600)}
    route = respx.get(URL).respond(429, headers=headers)
    source = build(Core)
    for _ in range(2):
        with pytest.raises(RateLimited) as caught:
            list(source.list({"query": "x"}))
        assert caught.value.retry_after == pytest.approx(3600, abs=60)
    assert route.call_count == 1


@respx.mock
@pytest.mark.parametrize("name", ["X-RateLimitRemaining", "X-RateLimit-Remaining"])
def test_when_no_tokens_are_left_nothing_more_is_asked_before_the_next_window(build: Build, name: str) -> None:
    last = core_works("1", next="t1")
    last.headers.update({name: "0", "X-RateLimit-Retry-After": at("iso", 3600), "X-RateLimit-Limit": "10"})
    route = respx.get(URL).mock(side_effect=[last, core_works("2")])
    listing = build(Core).list({"query": "x"})
    assert next(listing).source_id == "1"
    with pytest.raises(RateLimited) as caught:
        next(listing)
    assert caught.value.retry_after == pytest.approx(3600, abs=60)
    assert route.call_count == 1


@respx.mock
@pytest.mark.parametrize(
    "headers",
    [
        {"X-RateLimitRemaining": "7", "X-RateLimit-Retry-After": "3600"},
        {"X-RateLimitRemaining": "0"},
        {"X-RateLimitRemaining": "0", "X-RateLimit-Retry-After": "soon"},
        {"X-RateLimitRemaining": "0", "X-RateLimit-Retry-After": "2001-01-01T00:00:00"},
    ],
)
def test_tokens_that_are_left_are_used(build: Build, headers: dict[str, str]) -> None:
    first = core_works("1", next="t1")
    first.headers.update(headers)
    respx.get(URL).mock(side_effect=[first, core_works("2")])
    assert len(list(build(Core).list({"query": "x"}))) == 2
