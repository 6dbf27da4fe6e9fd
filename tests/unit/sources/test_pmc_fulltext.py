from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx

from paged import KEY
from penstock.errors import BadInput, ServiceUnavailable, UsageError
from penstock.ir import RawPayload
from penstock.sources.pmc_fulltext import BUCKET, PmcFulltext

SEARCH = "https://eutils.ncbi.nlm.nih.gov/entrez/eutils/esearch.fcgi"
Build = Callable[..., Any]


@pytest.fixture
def source(build: Build) -> PmcFulltext:
    made: PmcFulltext = build(PmcFulltext)
    return made


def found(*ids: object, count: int | None = None) -> httpx.Response:
    result = {"count": str(len(ids) if count is None else count), "idlist": [str(each) for each in ids]}
    return httpx.Response(200, json={"header": {}, "esearchresult": result})


def listing(*keys: str) -> httpx.Response:
    contents = "".join(f"<Contents><Key>{key}</Key><Size>9</Size></Contents>" for key in keys)
    space = "http://s3.amazonaws.com/doc/2006-03-01/"
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="{space}">{contents}</ListBucketResult>'
    return httpx.Response(200, text=text, headers={"Content-Type": "application/xml"})


def record(name: str, **more: object) -> httpx.Response:
    pmcid, _, version = name.partition(".")
    body = {"pmcid": pmcid, "version": int(version), "is_pmc_openaccess": True, "license_code": "CC BY", **more}
    return httpx.Response(200, json=body, headers={"ETag": f'"{name}"'})


def bucket(*names: str, **more: object) -> None:
    """A bucket that has these article versions."""
    pmcids = {name.partition(".")[0] for name in names}
    for pmcid in pmcids:
        keys = [f"metadata/{name}.json" for name in names if name.startswith(f"{pmcid}.")]
        respx.get(f"{BUCKET}/", params={"prefix": f"metadata/{pmcid}."}).mock(return_value=listing(*keys))
    for name in names:
        respx.get(f"{BUCKET}/metadata/{name}.json").mock(return_value=record(name, **more))


def ids(payloads: list[RawPayload]) -> list[str]:
    return [payload.source_id for payload in payloads]


@respx.mock
def test_the_recorded_search_and_the_recorded_record(source: PmcFulltext, data: Path) -> None:
    search = respx.get(SEARCH).respond(200, content=(data / "jats_pubmed/pubmed/esearch_braf.json").read_bytes())
    body = (data / "jats_pubmed/pmc_oa/pmc3040717.1.json").read_bytes()
    bucket("PMC123.1", "PMC456.1")
    assert ids(list(source.list({"query": "BRAF"}))) == ["PMC123", "PMC456"]
    assert dict(search.calls[0].request.url.params) == {
        "db": "pmc",
        "term": "(BRAF) AND open_access[Filter]",
        "retmode": "json",
        "tool": "penstock",
        "retstart": "0",
        "retmax": "20",
        "api_key": KEY,
    }
    bucket("PMC3040717.1")
    respx.get(f"{BUCKET}/metadata/PMC3040717.1.json").respond(200, content=body, headers={"ETag": '"e"'})
    (payload,) = source.list({"pmcids": 3040717})
    assert payload.content == body.strip()
    assert (payload.kind, payload.source_id, payload.urls) == ("pmc-record", "PMC3040717", ())
    assert (payload.origin.uri, payload.origin.version) == (f"{BUCKET}/metadata/PMC3040717.1.json", '"e"')
    assert all(KEY not in str(call.request.url) for call in respx.calls if call.request.url.host in BUCKET)


@respx.mock
def test_the_newest_version_is_had_and_its_pdf_is_in_the_bucket(source: PmcFulltext) -> None:
    bucket("PMC7.9", "PMC7.10", "PMC7.2", pdf_url="s3://pmc-oa-opendata/PMC7.10/PMC7.10.pdf?md5=00ff")
    (payload,) = source.list({"pmcids": ["pmc7"]})
    assert payload.origin.uri == f"{BUCKET}/metadata/PMC7.10.json"
    assert payload.urls == (f"{BUCKET}/PMC7.10/PMC7.10.pdf",)
    again = source.refetch(payload.origin)
    assert again is not None
    assert again.content == payload.content


@respx.mock
@pytest.mark.parametrize("pdf", [None, 7, "", "https://elsewhere.example.org/a.pdf", "file:///etc/passwd"])
def test_a_pdf_that_is_not_in_the_bucket_is_none(source: PmcFulltext, pdf: object) -> None:
    bucket("PMC7.1", pdf_url=pdf)
    (payload,) = source.list({"pmcids": "PMC7"})
    assert (payload.kind, payload.urls) == ("pmc-record", ())


@respx.mock
def test_a_search_is_asked_for_page_by_page_and_goes_on_where_it_stood(source: PmcFulltext) -> None:
    numbers = list(range(1, 43))
    pages = [found(*numbers[at : at + 20], count=42) for at in (0, 20, 40)]
    search = respx.get(SEARCH).mock(side_effect=pages)
    bucket(*(f"PMC{n}.1" for n in numbers))
    everything = list(source.list({"query": "x"}))
    assert ids(everything) == [f"PMC{n}" for n in numbers]
    assert [call.request.url.params["retstart"] for call in search.calls] == ["0", "20", "40"]
    assert [payload.source_id for payload in everything if payload.page_end] == ["PMC20", "PMC40", "PMC42"]
    search.mock(side_effect=[pages[1], pages[2]])
    assert ids(list(source.list({"query": "x"}, everything[24].cursor))) == [f"PMC{n}" for n in numbers[25:]]
    search.mock(side_effect=[found(1, 2, 3, count=42)])
    assert ids(list(source.list({"query": "x", "limit": 3}))) == ["PMC1", "PMC2", "PMC3"]
    assert search.calls[-1].request.url.params["retmax"] == "3"


@respx.mock
def test_nothing_found_is_an_empty_listing(source: PmcFulltext) -> None:
    respx.get(SEARCH).mock(return_value=found())
    assert list(source.list({"query": "x"})) == []


@respx.mock
def test_an_article_that_is_not_among_the_open_data_goes_through(source: PmcFulltext) -> None:
    bucket("PMC1.1")
    respx.get(f"{BUCKET}/", params={"prefix": "metadata/PMC2."}).mock(return_value=listing())
    first, second = source.list({"pmcids": "PMC2 PMC1"})
    assert (first.kind, first.content, second.kind) == ("not-found", b"", "pmc-record")
    assert "PMC2 is not among PMC's open data" in first.note
    assert source.refetch(first.origin) is None


BROKEN = {
    "away": httpx.Response(503),
    "too many": httpx.Response(429, json={"error": "API rate limit exceeded", "count": "4"}),
    "too many in spite of 200": httpx.Response(200, json={"error": "API rate limit exceeded", "count": "4"}),
    "cut": httpx.Response(200, text='{"esearchresult": {"count": "1", "idl'),
    "a web page": httpx.Response(200, text="<!doctype html><title>NCBI is down</title>"),
    "fewer than it says": found(count=1),
}


@respx.mock
@pytest.mark.parametrize("what", BROKEN)
def test_an_answer_that_is_no_page_is_asked_for_again(source: PmcFulltext, what: str) -> None:
    search = respx.get(SEARCH).mock(side_effect=[BROKEN[what], found(1)])
    bucket("PMC1.1")
    assert ids(list(source.list({"query": "x"}))) == ["PMC1"]
    assert search.call_count == 2


@respx.mock
@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"esearchresult": []},
        {"esearchresult": {"count": "x", "idlist": []}},
        {"esearchresult": {"count": "1", "idlist": ["abc"]}},
        {"esearchresult": {"count": "1", "idlist": 5}},
    ],
)
def test_a_search_of_another_shape_says_that_the_service_has_changed(source: PmcFulltext, body: object) -> None:
    respx.get(SEARCH).respond(200, json=body)
    with pytest.raises(BadInput, match="the service has changed") as caught:
        list(source.list({"query": "x"}))
    assert caught.value.reason == "schema"


@respx.mock
def test_what_e_utilities_refuse_is_told_in_their_words(source: PmcFulltext) -> None:
    respx.get(SEARCH).respond(200, json={"esearchresult": {"ERROR": "Search Backend failed: phrase too long"}})
    with pytest.raises(UsageError, match="phrase too long"):
        list(source.list({"query": "x"}))


@respx.mock
def test_more_than_can_be_listed_is_refused_before_anything_is(source: PmcFulltext) -> None:
    search = respx.get(SEARCH).mock(return_value=found(*range(1, 21), count=10_001))
    with pytest.raises(UsageError, match="10,001 articles match") as caught:
        list(source.list({"query": "x"}))
    assert "pmcrdat" in caught.value.next_step
    assert search.call_count == 1
    bucket("PMC1.1")
    assert ids(list(source.list({"query": "x", "limit": 1}))) == ["PMC1"]


@respx.mock
@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("<ListBucketResult><Contents>", ServiceUnavailable),
        ("", ServiceUnavailable),
        ("<Error><Code>SlowDown</Code></Error>", BadInput),
        ('<!DOCTYPE x [<!ENTITY a "b"><!ENTITY c SYSTEM "file:///etc/passwd">]><x>&a;&c;</x>', BadInput),
    ],
)
def test_a_listing_of_the_bucket_that_is_none(source: PmcFulltext, text: str, error: type[Exception]) -> None:
    respx.get(f"{BUCKET}/").respond(200, text=text)
    with pytest.raises(error):
        list(source.list({"pmcids": "PMC1"}))


@respx.mock
def test_keys_of_other_things_are_no_versions(source: PmcFulltext) -> None:
    keys = ("metadata/PMC1.1.json.bak", "metadata/PMC1.x.json", "PMC1.7/PMC1.7.json", "metadata/PMC1.2.json")
    respx.get(f"{BUCKET}/").mock(return_value=listing(*keys))
    respx.get(f"{BUCKET}/metadata/PMC1.2.json").mock(return_value=record("PMC1.2"))
    (payload,) = source.list({"pmcids": "PMC1"})
    assert json.loads(payload.content)["version"] == 2


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({}, "say what to look for"),
        ({"limit": 5}, "say what to look for"),
        ({"query": "x", "pmcids": "PMC1"}, "either a query or pmcids"),
        ({"pmcids": "PMC1 x"}, "'x' is no PMCID"),
    ],
)
def test_a_query_names_one_thing(source: PmcFulltext, query: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        source.list(query)


@respx.mock
@pytest.mark.parametrize("query", [{"query": "x"}, {"pmcids": "PMC1"}])
def test_a_cursor_of_something_else_is_refused(source: PmcFulltext, query: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="no cursor"):
        list(source.list(query, '["x", 0, 0]'))
