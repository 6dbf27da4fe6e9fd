"""The paged sources, each with pages as its service answers them; no server is asked (respx)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from penstock.sources.clinicaltrials import ClinicalTrials
from penstock.sources.core import Core
from penstock.sources.openalex import OpenAlex
from penstock.sources.openfda_label import OpenFDALabel
from penstock.sources.paging import PagedSource

KEY = "k3y-canary"


@dataclass(frozen=True)
class Given:
    """A paged source, and how its service speaks: `page(names, token of the next page)`; `url` is asked for pages."""

    kind: type[PagedSource[Any]]
    url: str
    page: Callable[..., httpx.Response]
    empty: httpx.Response
    tokens: tuple[str, str] = ("t1", "t2")
    """What the next pages are asked with, where `page` was told of t1 and t2."""


def study(name: str) -> dict[str, Any]:
    return {"protocolSection": {"identificationModule": {"nctId": name}}}


def studies(*names: str, next: str | None = None) -> httpx.Response:
    page: dict[str, Any] = {"studies": [study(name) for name in names]}
    return httpx.Response(200, json=page | ({"nextPageToken": next} if next else {}))


def works(*names: str, next: str | None = None) -> httpx.Response:
    results = [{"id": f"https://openalex.org/{name}", "title": "T"} for name in names]
    return httpx.Response(200, json={"meta": {"count": 9, "next_cursor": next}, "results": results, "group_by": []})


def labels(*names: str, next: str | None = None) -> httpx.Response:
    link = f'<https://api.fda.gov/drug/label.json?limit=25&skip=0&search_after={quote(next or "")}>; rel="next"'
    content = json.dumps({"meta": {"results": {"skip": 0}}, "results": [{"set_id": name} for name in names]}, indent=2)
    return httpx.Response(200, text=content, headers={"Link": link} if next else {})


def core_works(*names: str, next: str | None = None) -> httpx.Response:
    number = int((next or "t9")[1:])
    results = [{"dataProviders": [{"id": 7, "name": ""}], "downloadUrl": "", "id": name} for name in names]
    envelope = {"totalHits": 900, "limit": 100, "offset": 100 * (number - 1)}
    return httpx.Response(200, json=envelope | {"results": results})


NO_CORE_WORKS = httpx.Response(200, json={"totalHits": 0, "limit": 100, "offset": 0, "results": []})
NOT_FOUND = httpx.Response(404, json={"error": {"code": "NOT_FOUND", "message": "No matches found!"}})

GIVEN = [
    Given(ClinicalTrials, "https://clinicaltrials.gov/api/v2/studies", studies, studies()),
    Given(OpenAlex, "https://api.openalex.org/works", works, works()),
    Given(OpenFDALabel, "https://api.fda.gov/drug/label.json", labels, NOT_FOUND),
    Given(Core, "https://api.core.ac.uk/v3/search/works/", core_works, NO_CORE_WORKS, ("100", "200")),
]
NAMES = {"clinicaltrials": "NCT0000000{}", "openalex": "W{}", "openfda-drug-label": "0-{}", "core": "{}"}
