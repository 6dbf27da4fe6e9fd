from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx

from paged import labels
from penstock.errors import BadInput, ListingShort
from penstock.ir import RawPayload
from penstock.sources.openfda_label import OpenFDALabel

URL = "https://api.fda.gov/drug/label.json"
Build = Callable[..., Any]


def asked(build: Build, query: dict[str, object]) -> dict[str, str]:
    """The parameters of the first request."""
    with respx.mock:
        route = respx.get(URL).mock(return_value=labels("a"))
        list(build(OpenFDALabel, key=None).list(query))
        return dict(route.calls[0].request.url.params)


def test_a_query_is_asked_in_the_services_own_words(build: Build) -> None:
    assert asked(build, {"query": "boxed_warning:lactic AND metformin"}) == {
        "search": "boxed_warning:lactic AND metformin",
        "limit": "25",
    }
    assert asked(build, {"query": "a OR b", "since": "2026-01-31", "limit": 3}) == {
        "search": "(a OR b) AND effective_time:[20260131 TO 99991231]",
        "limit": "3",
    }
    assert asked(build, {"since": "2026-01-31"})["search"] == "effective_time:[20260131 TO 99991231]"


@respx.mock
def test_the_next_page_is_asked_for_by_what_its_link_says(build: Build) -> None:
    route = respx.get(URL).mock(side_effect=[labels("a", next="0=1068;1=safety%23x"), labels("b")])
    assert len(list(build(OpenFDALabel, key=None).list({"query": "x"}))) == 2
    second = dict(route.calls[1].request.url.params)
    assert second == {"search": "x", "limit": "25", "skip": "0", "search_after": "0=1068;1=safety%23x"}


@respx.mock
def test_a_link_that_ends_at_25000_is_not_followed(build: Build) -> None:
    answer = labels("a")
    answer.headers["Link"] = f'<{URL}?skip=25>; rel="next"'
    respx.get(URL).mock(return_value=answer)
    with pytest.raises(BadInput, match="search_after"):
        list(build(OpenFDALabel).list({"query": "x"}))


@respx.mock
def test_recorded_labels_are_read_to_the_byte_whatever_they_lack(build: Build, data: Path) -> None:
    names = ("vyvanse", "aspirin", "empty", "missingopenfda")
    bodies = [(data / f"openfda/label_{name}.json").read_bytes() for name in names]
    answers = [
        httpx.Response(200, content=body, headers=dict(labels("a", next=str(n)).headers))
        for n, body in enumerate(bodies)
    ]
    for answer, body in zip(answers, bodies, strict=True):
        answer.headers["content-length"] = str(len(body))
    nothing = httpx.Response(404, content=(data / "openfda/label_404.json").read_bytes())
    respx.get(URL).mock(side_effect=[*answers, nothing, nothing])
    found: list[RawPayload] = []
    with pytest.raises(ListingShort, match="short by 641:"):
        found.extend(build(OpenFDALabel).list({"query": "x"}))
    assert [payload.kind for payload in found] == ["openfda-drug-label"] * 2 + ["malformed"] * 2
    assert all(payload.content in body for payload, body in zip(found, bodies, strict=True))
    assert [payload.origin.version for payload in found[:2]] == ["20150401", "20121114"]


@respx.mock
def test_one_label_is_a_page_of_its_own(build: Build) -> None:
    respx.get(URL).mock(
        side_effect=[labels("ab-1"), labels("ab-1"), httpx.Response(404, json={"error": {"code": "NOT_FOUND"}})]
    )
    source = build(OpenFDALabel)
    (payload,) = source.list({"query": "x"})
    assert httpx.URL(payload.origin.uri).params["search"] == 'set_id:"ab-1"'
    assert source.refetch(payload.origin).content == payload.content
    assert source.refetch(payload.origin) is None
