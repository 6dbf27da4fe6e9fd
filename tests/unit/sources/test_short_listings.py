"""A listing that comes up short of what its service says there is: asked again, then told, never taken for whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import respx

from paged import CURSORS, NAMES, Given, core_works
from penstock.errors import ListingShort, ServiceUnavailable
from penstock.ir import RawPayload
from penstock.sources.core import Core
from penstock.sources.openfda_label import OpenFDALabel
from penstock.sources.pmc_fulltext import BUCKET, PmcFulltext

Build = Callable[..., Any]
CORE = "https://api.core.ac.uk/v3/search/works/"
PMC = "https://eutils.ncbi.nlm.nih.gov/entrez/eutils/esearch.fcgi"
WORDS = {"query": "x"}
by_cursor = pytest.mark.parametrize("given", CURSORS, ids=lambda given: given.kind.name)


def page(given: Given, number: int, next: str | None = None, whole: int | None = None) -> httpx.Response:
    return given.page(NAMES[given.kind.name].format(number), next=next, whole=whole)


def listed(payloads: Iterator[RawPayload], lacking: int = 0) -> list[RawPayload]:
    """What is listed before the listing says how many records it came up short by."""
    if not lacking:
        return list(payloads)
    found: list[RawPayload] = []
    with pytest.raises(ListingShort, match=f"short by {lacking}:"):
        found.extend(payloads)
    return found


def ids(payloads: list[RawPayload]) -> list[str]:
    return [payload.source_id for payload in payloads]


def search(first: int, last: int, found: int, **more: object) -> httpx.Response:
    """CORE's works from the first-th to the last-th."""
    body = core_works(*map(str, range(first, last + 1)), whole=found).json()
    return httpx.Response(200, json=body | {"limit": 100, "offset": first - 1} | more)


def articles(first: int, last: int, found: int, **more: object) -> httpx.Response:
    """E-utilities' articles from the first-th to the last-th."""
    result = {"count": str(found), "idlist": [str(number) for number in range(first, last + 1)]}
    return httpx.Response(200, json={"esearchresult": result | more})


def asked(route: respx.Route, name: str) -> list[int]:
    """Where the pages that were asked for begin."""
    return [int(call.request.url.params[name]) for call in route.calls]


def empty_bucket() -> None:
    """PMC's open data, with nothing of any article."""
    respx.get(f"{BUCKET}/").respond(200, text="<ListBucketResult/>")


@respx.mock
@by_cursor
def test_a_last_page_before_the_end_is_asked_for_again(given: Given, build: Build) -> None:
    route = respx.get(given.url)
    route.mock(side_effect=[page(given, 1, "t1", 2), given.empty, page(given, 2)])
    assert len(listed(build(given.kind).list(WORDS))) == 2
    assert [call.request.url for call in route.calls][1:] == [route.calls[1].request.url] * 2


@respx.mock
@by_cursor
def test_a_listing_that_ends_too_early_says_so_whenever_it_is_gone_on_with(given: Given, build: Build) -> None:
    pages = [page(given, 1, "t1", 4), *[page(given, 2, whole=3)] * 2]
    route = respx.get(given.url).mock(side_effect=pages)
    payloads = listed(build(given.kind).list(WORDS), lacking=2)
    assert len(payloads) == 2
    assert listed(build(given.kind).list(WORDS, payloads[-1].cursor), lacking=2) == []
    assert route.call_count == 3
    respx.get(given.url).mock(side_effect=pages[1:])
    assert len(listed(build(given.kind).list(WORDS, payloads[0].cursor), lacking=2)) == 1


@respx.mock
@by_cursor
def test_what_a_limit_ends_is_not_short(given: Given, build: Build) -> None:
    route = respx.get(given.url).mock(side_effect=[page(given, 1, whole=9), page(given, 1, "t1", whole=9)])
    for _ in range(2):
        assert len(listed(build(given.kind).list({**WORDS, "limit": 1}))) == 1
    assert route.call_count == 2


@respx.mock
def test_a_service_that_knows_of_nothing_any_more_ends_no_listing(build: Build) -> None:
    nothing = httpx.Response(404, json={"error": {"code": "NOT_FOUND", "message": "No matches found!"}})
    (first,) = [given for given in CURSORS if given.kind is OpenFDALabel]
    respx.get(first.url).mock(side_effect=[page(first, 1, "t1", 30), nothing, nothing])
    assert len(listed(build(OpenFDALabel).list(WORDS), lacking=29)) == 1


@respx.mock
@pytest.mark.parametrize("limit", [100, 50], ids=["is said to be of 100", "is said to be of 50"])
def test_a_search_whose_pages_are_smaller_than_asked_for_is_whole_when_all_was_given(build: Build, limit: int) -> None:
    pages = [search(first, min(first + 49, 130), 130, limit=limit) for first in (1, 51, 101)]
    route = respx.get(CORE).mock(side_effect=pages)
    payloads = listed(build(Core).list(WORDS))
    assert ids(payloads) == [str(number) for number in range(1, 131)]
    assert asked(route, "offset") == [0, 50, 100]
    route.mock(side_effect=pages[1:])
    assert len(listed(build(Core).list(WORDS, payloads[49].cursor))) == 80


@respx.mock
def test_articles_in_pages_smaller_than_asked_for_are_all_there_are(build: Build) -> None:
    empty_bucket()
    route = respx.get(PMC).mock(side_effect=[articles(1, 12, 25), articles(13, 25, 25)])
    assert len(listed(build(PmcFulltext).list(WORDS))) == 25
    assert asked(route, "retstart") == [0, 12]


WITHHELD = {
    "here and there": set(range(20, 131, 20)),
    "the end of a page": set(range(96, 101)),
    "the beginning of the next": set(range(101, 106)),
    "across two": set(range(90, 112)),
    "the last ones": set(range(125, 131)),
    "most": set(range(2, 98)) | {100, 107},
}


@respx.mock
@pytest.mark.parametrize("withheld", WITHHELD.values(), ids=WITHHELD)
def test_what_a_search_counts_and_withholds_is_missed_though_others_come_twice(
    build: Build, withheld: set[int]
) -> None:
    """Its pages begin at a place among all it finds, so behind a short one some come again."""

    def serve(request: httpx.Request) -> httpx.Response:
        begin, size = (int(request.url.params[name]) for name in ("offset", "limit"))
        there = [str(number) for number in range(begin + 1, min(begin + size, 130) + 1) if number not in withheld]
        return httpx.Response(200, json=core_works(*there, whole=130).json() | {"limit": size, "offset": begin})

    respx.get(CORE).mock(side_effect=serve)
    lacking = len(withheld)
    payloads = listed(build(Core).list(WORDS), lacking)
    assert {int(each) for each in ids(payloads)} == set(range(1, 131)) - withheld
    for number, payload in enumerate(payloads, 1):
        rest = listed(build(Core).list(WORDS, payload.cursor), lacking)
        assert ids(payloads[:number] + rest) == ids(payloads)


@respx.mock
@pytest.mark.parametrize("found", [130, 131], ids=["from its second page on", "all along"])
def test_a_search_that_counts_one_more_than_it_has_ends_short(build: Build, found: int) -> None:
    nothing = search(131, 130, 131)
    route = respx.get(CORE).mock(side_effect=[search(1, 100, found), search(101, 130, 131), nothing, nothing])
    payloads = listed(build(Core).list(WORDS), lacking=1)
    assert ids(payloads) == [str(number) for number in range(1, 131)]
    assert asked(route, "offset") == [0, 100, 130, 130]
    route.mock(side_effect=[nothing, nothing])
    assert listed(build(Core).list(WORDS, payloads[-1].cursor), lacking=1) == []


@respx.mock
def test_a_search_of_one_article_more_than_there_is_ends_short(build: Build) -> None:
    empty_bucket()
    nothing = articles(26, 25, 26)
    route = respx.get(PMC).mock(side_effect=[articles(1, 20, 26), articles(21, 25, 26), nothing, nothing])
    assert len(listed(build(PmcFulltext).list(WORDS), lacking=1)) == 25
    assert asked(route, "retstart") == [0, 20, 25, 25]


@respx.mock
def test_an_empty_page_on_the_way_is_asked_for_again(build: Build) -> None:
    rest = search(101, 130, 130)
    route = respx.get(CORE).mock(side_effect=[search(1, 100, 130), search(101, 100, 130), rest])
    assert len(listed(build(Core).list(WORDS))) == 130
    assert asked(route, "offset") == [0, 100, 100]


@respx.mock
@pytest.mark.parametrize("found", [0, 60])
def test_what_a_search_no_longer_finds_on_the_way_is_missed(build: Build, found: int) -> None:
    """What is left of it has moved up, past where the next page begins."""
    fewer = search(101, found, found)
    respx.get(CORE).mock(side_effect=[search(1, 100, 130), fewer, fewer])
    assert len(listed(build(Core).list(WORDS), lacking=30)) == 100


@respx.mock
@pytest.mark.parametrize(
    "answer",
    [
        search(1, 100, 130),
        search(101, 131, 130),
        search(101, 130, 130, limit=-100),
    ],
    ids=["another page", "more than there are", "a page of less than nothing"],
)
def test_a_page_of_a_search_that_contradicts_itself_is_no_answer(build: Build, answer: httpx.Response) -> None:
    good = [search(1, 100, 130), search(101, 130, 130)]
    route = respx.get(CORE).mock(side_effect=[good[0], answer, good[1]])
    payloads = list(build(Core).list(WORDS))
    assert ids(payloads) == [str(number) for number in range(1, 131)]
    respx.get(CORE).mock(side_effect=[answer] * 3)
    with pytest.raises(ServiceUnavailable) as caught:
        list(build(Core).list(WORDS, payloads[99].cursor))
    assert (caught.value.reason, route.call_count) == ("bad-answer", 6)


@respx.mock
def test_a_search_of_articles_that_finds_fewer_on_the_way_is_short(build: Build) -> None:
    empty_bucket()
    route = respx.get(PMC).mock(side_effect=[articles(1, 20, 35), articles(1, 0, 0), articles(21, 35, 35)])
    assert len(listed(build(PmcFulltext).list(WORDS))) == 35
    route.mock(side_effect=[articles(1, 20, 35), articles(1, 0, 0), articles(1, 0, 0)])
    assert len(listed(build(PmcFulltext).list(WORDS), lacking=15)) == 20


@respx.mock
@pytest.mark.parametrize(
    "answer", [articles(1, 20, 35, retstart="0"), articles(20, 40, 35)], ids=["another page", "more than there are"]
)
def test_another_page_of_articles_than_was_asked_for_is_no_answer(build: Build, answer: httpx.Response) -> None:
    empty_bucket()
    good = [articles(1, 20, 35, retstart="0"), articles(21, 35, 35, retstart="20")]
    respx.get(PMC).mock(side_effect=[good[0], answer, good[1]])
    assert len(list(build(PmcFulltext).list(WORDS))) == 35


@respx.mock
def test_records_that_are_no_good_are_listed_before_a_listing_says_that_it_is_short(build: Build) -> None:
    respx.get(PMC).mock(side_effect=[articles(1, 2, 3), articles(3, 2, 2), articles(3, 2, 2)])
    respx.get(f"{BUCKET}/", params={"prefix": "metadata/PMC1."}).respond(200, text="<ListBucketResult/>")
    respx.get(f"{BUCKET}/", params={"prefix": "metadata/PMC2."}).respond(200, text="<oops")
    payloads = listed(build(PmcFulltext).list(WORDS), lacking=1)
    assert [payload.kind for payload in payloads] == ["not-found", "malformed"]
