from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import respx
from pydantic import SecretStr

from penstock.errors import RateLimited, ServiceUnavailable, UsageError
from penstock.ir import RawPayload
from penstock.sources.unpaywall import Unpaywall

URL = "https://api.unpaywall.org/v2/"
EMAIL = "canary@example.org"
Build = Callable[..., Any]


@pytest.fixture
def source(build: Build) -> Unpaywall:
    made: Unpaywall = build(Unpaywall, email=SecretStr(EMAIL))
    return made


def record(doi: str, *places: dict[str, object], best: dict[str, object] | None = None) -> httpx.Response:
    return httpx.Response(200, json={"doi": doi, "best_oa_location": best, "oa_locations": list(places), "updated": ""})


def refused(status: int, message: str) -> httpx.Response:
    return httpx.Response(status, json={"HTTP_status_code": status, "error": True, "message": message})


RECORDED = {
    "fastpaper_unpaywall_lookup": "https://www.nature.com/articles/nature12373.pdf",
    "unpywall_0": "https://doi.org/10.1016/j.tmaid.2020.101663",
    "unpywall_1": "https://doi.org/10.1016/j.envint.2020.105730",
    "unpywall_2": "https://dash.harvard.edu/bitstream/1/12285462/1/Nanometer-Scale%20Thermometry.pdf",
    "pqa_doi_search_paper_attributes0___01_200": "https://doi.org/10.1016/j.xgen.2025.100814",
    "pqa_doi_search_paper_attributes1___01_200": None,
}


@respx.mock
@pytest.mark.parametrize(("name", "first"), RECORDED.items())
def test_a_recorded_answer_is_a_payload_to_the_byte(
    source: Unpaywall, data: Path, name: str, first: str | None
) -> None:
    body = (data / f"scholarly/unpaywall/{name}.json").read_bytes()
    doi = json.loads(body)["doi"]
    respx.get(URL + doi).respond(200, content=body)
    (payload,) = source.list({"dois": [doi]})
    assert payload.content == body.strip()
    assert (payload.kind, payload.source_id, payload.note) == ("unpaywall-record", doi, "")
    assert payload.origin.uri == URL + doi
    assert (payload.urls[0] if payload.urls else None) == first
    stated = json.loads(body)["oa_locations"]
    assert {place[key] for place in stated for key in ("url", "url_for_pdf") if place[key]} <= set(payload.urls)


@respx.mock
def test_an_answer_of_the_search_is_no_record(source: Unpaywall, data: Path) -> None:
    body = (data / "scholarly/unpaywall/pqa_title_search_paper_attributes0___04_200.json").read_bytes()
    respx.get(URL + "10.1/x").respond(200, content=body)
    with pytest.raises(UsageError, match="is no DOI"):
        source.list({"dois": ["10.1/x"]})
    respx.get(URL + "10.1063/1.4938384").respond(200, content=body)
    (payload,) = source.list({"dois": "10.1063/1.4938384"})
    assert (payload.kind, payload.urls) == ("malformed", ())
    assert "has changed" in payload.note


@respx.mock
def test_pdfs_come_before_pages_and_the_best_place_before_others(source: Unpaywall) -> None:
    best = {"url_for_pdf": None, "url": "https://a.org/page", "url_for_landing_page": "https://a.org/page"}
    other = {
        "url_for_pdf": "https://b.org/b.pdf",
        "url": "https://b.org/b.pdf",
        "url_for_landing_page": "https://b.org/",
    }
    odd = {"url_for_pdf": 7, "url": ["https://c.org"], "url_for_landing_page": ""}
    respx.get(URL + "10.5555/1").mock(return_value=record("10.5555/1", best, other, odd, best=best))
    (payload,) = source.list({"dois": "10.5555/1"})
    assert payload.urls == ("https://b.org/b.pdf", "https://a.org/page", "https://b.org/")


@pytest.mark.parametrize(
    ("given", "dois"),
    [
        ("10.5555/A", ["10.5555/a"]),
        ("10.5555/a 10.5555/b\n10.5555/a", ["10.5555/a", "10.5555/b"]),
        ("10.5555/a,b, https://doi.org/10.5555/c,doi:10.5555/d", ["10.5555/a,b", "10.5555/c", "10.5555/d"]),
        (["10.5555/a b"], None),
        (["10.5555/a", "x"], None),
        ([7], None),
        ([], None),
        ("", None),
    ],
)
def test_dois_may_be_named_in_many_ways(source: Unpaywall, given: object, dois: list[str] | None) -> None:
    if dois is None:
        with pytest.raises(UsageError, match="dois: "):
            source.list({"dois": given})
        return
    with respx.mock:
        respx.get(url__startswith=URL).mock(return_value=record("10.5555/x"))
        assert [payload.origin.key for payload in source.list({"dois": given})] == dois


@respx.mock
def test_a_doi_that_unpaywall_does_not_know_goes_through(source: Unpaywall) -> None:
    respx.get(URL + "10.5555/1").mock(return_value=refused(404, "'10.5555/1' isn't in Unpaywall. See …"))
    respx.get(URL + "10.5555/2").mock(return_value=refused(422, "'10.5555/2' is an invalid doi. See …"))
    respx.get(URL + "10.5555/3").mock(return_value=record("10.5555/3"))
    found = list(source.list({"dois": ["10.5555/1", "10.5555/2", "10.5555/3"]}))
    assert [payload.kind for payload in found] == ["not-found", "not-found", "unpaywall-record"]
    assert "answered 404: '10.5555/1' isn't in Unpaywall" in found[0].note
    assert "is an invalid doi" in found[1].note
    assert source.refetch(found[0].origin) is None


def test_without_an_address_nothing_is_asked(build: Build) -> None:
    with pytest.raises(UsageError, match="set PENSTOCK_UNPAYWALL_EMAIL to yours"):
        build(Unpaywall).list({"dois": "10.5555/1"})


@respx.mock
def test_an_address_that_is_refused_ends_the_listing(source: Unpaywall) -> None:
    route = respx.get(URL + "10.5555/1").mock(return_value=refused(422, f"Please use your own email, not {EMAIL}"))
    with pytest.raises(UsageError, match=r"answered 422: Please use your own email, not \*\*\*") as caught:
        list(source.list({"dois": "10.5555/1 10.5555/2"}))
    assert caught.value.next_step == "correct PENSTOCK_UNPAYWALL_EMAIL"
    assert route.call_count == 1


@respx.mock
def test_the_address_is_sent_and_seen_nowhere(source: Unpaywall, caplog: pytest.LogCaptureFixture) -> None:
    route = respx.get(URL + "10.5555/1").mock(return_value=record("10.5555/1"))
    with caplog.at_level(logging.DEBUG):
        (payload,) = source.list({"dois": "10.5555/1"})
    assert route.calls[0].request.url.params["email"] == EMAIL
    said = f"{payload.model_dump()} {[entry.getMessage() for entry in caplog.records]}"
    assert EMAIL not in said
    assert "canary" not in said


@respx.mock
@pytest.mark.parametrize(
    "broken",
    [
        httpx.Response(503),
        httpx.Response(429),
        httpx.Response(429, headers={"Retry-After": "0"}),
        httpx.Response(200, text='{"doi": "10.5555/1", "oa_loc'),
        httpx.Response(200, text="<!doctype html><title>Maintenance</title>", headers={"Content-Type": "text/html"}),
        httpx.Response(200, text=""),
        refused(200, "Something broke"),
    ],
    ids=lambda response: f"{response.status_code} {response.text[:12]}",
)
def test_what_is_no_record_is_asked_for_again(source: Unpaywall, broken: httpx.Response) -> None:
    route = respx.get(URL + "10.5555/1").mock(side_effect=[broken, record("10.5555/1")])
    (payload,) = source.list({"dois": "10.5555/1"})
    assert (payload.kind, route.call_count) == ("unpaywall-record", 2)
    respx.get(URL + "10.5555/1").mock(side_effect=[broken] * 3)
    with pytest.raises((ServiceUnavailable, RateLimited)) as caught:
        list(source.list({"dois": "10.5555/1"}))
    assert caught.value.attempts == 3


NO_RECORDS = {
    "a web page": httpx.Response(200, html=f"<!doctype html><p>{EMAIL}<p>?email={quote(EMAIL)}"),
    "null": httpx.Response(200, text="null"),
    "an error": refused(200, "Something broke"),
    "nothing": httpx.Response(200, text=""),
}


@respx.mock
@pytest.mark.parametrize("what", NO_RECORDS)
@pytest.mark.parametrize("bad", [0, 1, 19, 20, 24])
def test_a_doi_whose_answer_is_never_a_record_holds_up_no_other(source: Unpaywall, what: str, bad: int) -> None:
    dois = [f"10.5555/{n}" for n in range(25)]
    routes = [respx.get(URL + doi).mock(return_value=record(doi)) for doi in dois]
    routes[bad].mock(return_value=NO_RECORDS[what])
    found = list(source.list({"dois": dois}))
    assert [payload.origin.key for payload in found] == dois
    assert [payload.kind == "unpaywall-record" for payload in found] == [n != bad for n in range(25)]
    assert [n for n, payload in enumerate(found) if payload.page_end] == [19, 24]
    dead = found[bad]
    assert (dead.kind, dead.source_id, dead.urls) == ("malformed", dois[bad], ())
    hidden = NO_RECORDS[what].text.replace(EMAIL, "***").replace(quote(EMAIL), "***")
    assert dead.content.decode() == hidden
    assert "canary" not in hidden + dead.note
    assert "an answer that is no good" in dead.note
    assert routes[bad].call_count == 3
    rest = source.list({"dois": dois}, dead.cursor)
    assert [payload.origin.key for payload in rest] == dois[bad + 1 :]


@respx.mock
@pytest.mark.parametrize("good", [0, 1])
def test_where_no_doi_is_answered_with_a_record_it_is_the_service(source: Unpaywall, good: int) -> None:
    """A whole page of them, or all there are."""
    dois = [f"10.5555/{n}" for n in range(good * 5 + 20)]
    for doi in dois[: good * 5]:
        respx.get(URL + doi).mock(return_value=record(doi))
    respx.get(url__startswith=URL).mock(return_value=NO_RECORDS["null"])
    found: list[RawPayload] = []
    with pytest.raises(ServiceUnavailable, match="no good"):
        found.extend(source.list({"dois": dois}))
    assert [payload.origin.key for payload in found] == dois[: good * 5]


@respx.mock
def test_a_record_that_is_read_again_and_is_none_is_the_services_fault(source: Unpaywall) -> None:
    route = respx.get(URL + "10.5555/1").mock(return_value=record("10.5555/1"))
    (payload,) = source.list({"dois": "10.5555/1"})
    route.mock(return_value=NO_RECORDS["null"])
    with pytest.raises(ServiceUnavailable, match="no good"):
        source.refetch(payload.origin)


@respx.mock
def test_a_listing_that_broke_off_goes_on_with_the_doi_it_was_at(source: Unpaywall) -> None:
    dois = [f"10.5555/{n}" for n in range(45)]
    routes = [respx.get(URL + doi).mock(return_value=record(doi)) for doi in dois]
    routes[30].mock(side_effect=[httpx.Response(500)] * 3)
    found: list[RawPayload] = []
    with pytest.raises(ServiceUnavailable):
        found.extend(source.list({"dois": dois}))
    routes[30].mock(return_value=record(dois[30]))
    rest = list(source.list({"dois": dois}, found[-1].cursor))
    assert [payload.source_id for payload in found + rest] == dois
    assert [payload.page_end for payload in found + rest].count(True) == 3
    assert all(route.call_count == 1 for route in routes[:30])
    assert len(list(source.list({"dois": dois, "limit": 22}))) == 22


@pytest.mark.parametrize("cursor", ["x", "[]", '["x", 0, 0]'])
def test_a_cursor_of_something_else_is_refused(source: Unpaywall, cursor: str) -> None:
    with pytest.raises(UsageError, match="no cursor"):
        list(source.list({"dois": "10.5555/1"}, cursor))
