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
    """A paged source, and how its service speaks: `page(names, next, whole)`, with the token of the next page and how
    many records there are in all; `url` is asked for pages."""

    kind: type[PagedSource[Any]]
    url: str
    page: Callable[..., httpx.Response]
    empty: httpx.Response
    tokens: tuple[str, str] = ("t1", "t2")
    """What the next pages are asked with, where `page` was told of t1 and t2."""


def study(name: str) -> dict[str, Any]:
    return {"protocolSection": {"identificationModule": {"nctId": name}}}


def studies(*names: str, next: str | None = None, whole: int | None = None) -> httpx.Response:
    page: dict[str, Any] = {"studies": [study(name) for name in names]} | ({"totalCount": whole} if whole else {})
    return httpx.Response(200, json=page | ({"nextPageToken": next} if next else {}))


def works(*names: str, next: str | None = None, whole: int | None = None) -> httpx.Response:
    results = [{"id": f"https://openalex.org/{name}", "title": "T"} for name in names]
    return httpx.Response(200, json={"meta": {"count": whole, "next_cursor": next}, "results": results, "group_by": []})


def labels(*names: str, next: str | None = None, whole: int | None = None) -> httpx.Response:
    link = f'<https://api.fda.gov/drug/label.json?limit=25&skip=0&search_after={quote(next or "")}>; rel="next"'
    meta = {"results": {"skip": 0, "total": whole}}
    content = json.dumps({"meta": meta, "results": [{"set_id": name} for name in names]}, indent=2)
    return httpx.Response(200, text=content, headers={"Link": link} if next else {})


def core_works(*names: str, next: str | None = None, whole: int | None = None) -> httpx.Response:
    """Works that are called by their places in the search, from 1 on."""
    results = [{"dataProviders": [{"id": 7, "name": ""}], "downloadUrl": "", "id": name} for name in names]
    offset = int(names[0]) - 1 if names and names[0].isdecimal() else 0
    found = offset + len(names) + bool(next) if whole is None else whole
    envelope = {"totalHits": found, "limit": len(names), "offset": offset}
    return httpx.Response(200, json=envelope | {"results": results})


NO_CORE_WORKS = httpx.Response(200, json={"totalHits": 0, "limit": 100, "offset": 0, "results": []})
NOT_FOUND = httpx.Response(404, json={"error": {"code": "NOT_FOUND", "message": "No matches found!"}})

GIVEN = [
    Given(ClinicalTrials, "https://clinicaltrials.gov/api/v2/studies", studies, studies()),
    Given(OpenAlex, "https://api.openalex.org/works", works, works()),
    Given(OpenFDALabel, "https://api.fda.gov/drug/label.json", labels, NOT_FOUND),
    Given(Core, "https://api.core.ac.uk/v3/search/works/", core_works, NO_CORE_WORKS, ("2", "3")),
]
NAMES = {"clinicaltrials": "NCT0000000{}", "openalex": "W{}", "openfda-drug-label": "0-{}", "core": "{}"}
CURSORS = [given for given in GIVEN if given.kind is not Core]
"""Those whose service gives each page the token of the next."""
