from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import respx

from paged import studies
from penstock.errors import ListingShort, UsageError
from penstock.ir import RawPayload
from penstock.sources.clinicaltrials import FIELDS, ClinicalTrials

URL = "https://clinicaltrials.gov/api/v2/studies"
Build = Callable[..., Any]


def asked(build: Build, query: dict[str, object]) -> dict[str, str]:
    """The parameters of the first request."""
    with respx.mock:
        route = respx.get(URL).mock(return_value=studies())
        list(build(ClinicalTrials).list(query))
        return dict(route.calls[0].request.url.params)


def test_a_query_is_asked_in_the_services_own_words(build: Build) -> None:
    query = {
        "query": "metformin AND obesity",
        "condition": "diabetes",
        "intervention": "metformin",
        "status": "RECRUITING, COMPLETED",
        "filter": "AREA[Phase]PHASE3 OR AREA[Phase]PHASE4",
        "since": "2026-01-31",
        "fields": ["BriefTitle"],
    }
    assert asked(build, query) == {
        "query.term": "metformin AND obesity",
        "query.cond": "diabetes",
        "query.intr": "metformin",
        "filter.overallStatus": "RECRUITING,COMPLETED",
        "filter.advanced": "(AREA[Phase]PHASE3 OR AREA[Phase]PHASE4) AND AREA[LastUpdatePostDate]RANGE[2026-01-31,MAX]",
        "countTotal": "true",
        "pageSize": "50",
        "fields": "NCTId,BriefTitle",
    }


def test_what_is_not_asked_is_not_said(build: Build) -> None:
    wanted = {"query.term": "x", "countTotal": "true", "pageSize": "50", "fields": ",".join(FIELDS)}
    assert asked(build, {"query": "x"}) == wanted
    assert asked(build, {"filter": "AREA[Phase]PHASE3"})["filter.advanced"] == "AREA[Phase]PHASE3"


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"query": "x", "since": "last week"}, "since: "),
        ({"query": "x", "limit": 0}, "limit: "),
        ({"query": "x", "fields": ""}, "fields: "),
        ({"query": "x", "page": 3}, "unknown option 'page'"),
        ({"qeury": "x"}, "did you mean 'query'"),
    ],
)
def test_a_slip_is_told_at_once(build: Build, query: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=f"^source clinicaltrials: .*{said}"):
        build(ClinicalTrials).list(query)


@respx.mock
def test_the_recorded_pages_are_read_to_the_byte(build: Build, data: Path) -> None:
    """The first two of one listing, the third of another, which makes the first one short."""
    pages = [data / f"ctgov/api_search_phelan_{name}_20260811.json" for name in ("limit5", "next", "limit50")]
    bodies = [path.read_bytes() for path in pages]
    answers = [respx.MockResponse(200, content=body) for body in (*bodies, bodies[-1])]
    route = respx.get(URL).mock(side_effect=answers)
    found: list[RawPayload] = []
    with pytest.raises(ListingShort, match="short by 8:"):
        found.extend(build(ClinicalTrials).list({"condition": "Phelan-McDermid Syndrome"}))
    assert [len([p for p in found if p.content in body]) >= 3 for body in bodies] == [True] * 3
    assert len(found) == 13
    assert {payload.kind for payload in found} == {"clinicaltrials-study"}
    tokens = [call.request.url.params.get("pageToken") for call in route.calls]
    assert tokens[0] is None
    assert all(token.encode() in body for token, body in zip(tokens[1:3], bodies, strict=False))


@respx.mock
def test_a_study_is_named_by_its_number_and_dated_by_its_last_update(build: Build, data: Path) -> None:
    body = b'{"studies": ' + (data / "ctgov/ctg-studies_dgg32_10.json").read_bytes() + b"}"
    respx.get(URL).respond(200, content=body)
    payload = next(build(ClinicalTrials).list({"query": "x", "fields": "ProtocolSection"}))
    assert payload.source_id == payload.origin.key == "NCT05923281"
    assert payload.origin.uri == f"{URL}/NCT05923281?fields=ProtocolSection"
    assert payload.origin.version == "2023-06-28"
