"""ClinicalTrials.gov, API v2 (https://clinicaltrials.gov/data-api/api)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, ClassVar, Self
from urllib.parse import quote

import httpx
from pydantic import BaseModel, BeforeValidator, Field, model_validator

from penstock.sources.paging import PagedQuery, PagedSource, as_list, number_at, something_asked
from penstock.sources.service import FIRST, Page

FIELDS = (
    "ProtocolSection",
    "ResultsSection",
    "AnnotationSection",
    "DocumentSection",
    "ConditionBrowseModule",
    "InterventionBrowseModule",
    "HasResults",
)
"""All of a study but `derivedSection.miscInfoModule`, which holds the day the study was asked for: with it, every study
would be another one every day."""


class ClinicalTrialsQuery(PagedQuery):
    condition: str = ""
    intervention: str = ""
    status: Annotated[tuple[str, ...], BeforeValidator(as_list)] = ()
    """Overall statuses, such as RECRUITING."""
    filter: str = ""
    """An expression in the service's own syntax (Essie), such as AREA[Phase]PHASE3."""
    since: date | None = None
    """Last updated on that day or later."""
    fields: Annotated[tuple[str, ...], BeforeValidator(as_list)] = Field(default=FIELDS, min_length=1)
    """The parts of a study that are wanted, by the service's names; the NCT number always comes with them."""

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        return something_asked(self)


class ClinicalTrials(PagedSource[ClinicalTrialsQuery]):
    """Studies, in the service's own order (by relevance where words are searched)."""

    name = "clinicaltrials"
    needs = ("http", "url")
    Query: type[BaseModel] = ClinicalTrialsQuery
    watermark = "since"
    example: ClassVar[Mapping[str, object]] = {"query": "metformin"}

    SERVICE = "CLINICALTRIALS"
    URL = "https://clinicaltrials.gov/api/v2"
    PATH = "/studies"
    LIST = "studies"
    PAGE = 50
    ID = re.compile(rb'"nctId"\s*:\s*"(NCT\d{8})"')
    CHANGED = re.compile(rb'"lastUpdatePostDateStruct"\s*:\s*\{[^{}]*?"date"\s*:\s*"([\d-]{4,10})"')

    def _params(self, asked: ClinicalTrialsQuery, token: str, size: int) -> dict[str, str]:
        since = f"AREA[LastUpdatePostDate]RANGE[{asked.since.isoformat()},MAX]" if asked.since else ""
        filters = [f"({asked.filter})" if since and asked.filter else asked.filter, since]
        wanted = {
            "query.term": asked.query,
            "query.cond": asked.condition,
            "query.intr": asked.intervention,
            "filter.overallStatus": ",".join(asked.status),
            "filter.advanced": " AND ".join(filter(None, filters)),
            "pageToken": "" if token == FIRST else token,
            "countTotal": "true" if token == FIRST else "",
        }
        return {name: value for name, value in wanted.items() if value} | {"pageSize": str(size)} | self._shape(asked)

    def _shape(self, asked: ClinicalTrialsQuery) -> dict[str, str]:
        named = {"NCTId", "IdentificationModule", "ProtocolSection"} & set(asked.fields)
        return {"fields": ",".join(asked.fields if named else ("NCTId", *asked.fields))}

    def _turned(
        self, records: tuple[bytes, ...], envelope: Mapping[str, Any], answer: httpx.Response, params: Mapping[str, str]
    ) -> Page[bytes]:
        """Of all pages the first one says how many studies there are."""
        token = envelope.get("nextPageToken")
        return Page(records, str(token) if token else None, number_at(envelope, "totalCount"))

    def _place(self, key: str) -> tuple[str, dict[str, str]]:
        return f"{self.PATH}/{quote(key, safe='')}", {}
