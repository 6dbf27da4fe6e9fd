"""openFDA drug labels (https://open.fda.gov/apis/drug/label/)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any, ClassVar, Self

import httpx
from pydantic import BaseModel, model_validator

from penstock.sources.api import Missing
from penstock.sources.paging import PagedQuery, PagedSource, number_at, something_asked
from penstock.sources.service import FIRST, Page


class OpenFDALabelQuery(PagedQuery):
    """`query` is in openFDA's syntax: words, or field:term, joined by AND and OR."""

    since: date | None = None
    """Effective on that day or later. A label may come to openFDA months after it became effective."""

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        return something_asked(self)


class OpenFDALabel(PagedSource[OpenFDALabelQuery]):
    """Labels of prescription and over-the-counter drugs, in the order of openFDA's index.

    It has no date of a label's last change, so every listing is a complete one. It says 404 where nothing is found.
    """

    name = "openfda-drug-label"
    Query: type[BaseModel] = OpenFDALabelQuery
    per_second = 4.0
    example: ClassVar[Mapping[str, object]] = {"query": "openfda.generic_name:metformin"}

    SERVICE = "OPENFDA"
    URL = "https://api.fda.gov"
    KEY = "more than 1,000 requests a day (free: open.fda.gov/apis/authentication)"
    PATH = "/drug/label.json"
    LIST = "results"
    PAGE = 25
    ID = re.compile(rb'"set_id"\s*:\s*"([\w.-]{1,64})"')
    CHANGED = re.compile(rb'"effective_time"\s*:\s*"(\d{8})"')

    def _params(self, asked: OpenFDALabelQuery, token: str, size: int) -> dict[str, str]:
        since = f"effective_time:[{asked.since:%Y%m%d} TO 99991231]" if asked.since else ""
        words = [f"({asked.query})" if since and asked.query else asked.query, since]
        paging = {"limit": str(size)} if token == FIRST else {"limit": str(size), "skip": "0", "search_after": token}
        return {"search": " AND ".join(filter(None, words))} | paging

    def _turned(
        self, records: tuple[bytes, ...], envelope: Mapping[str, Any], answer: httpx.Response, params: Mapping[str, str]
    ) -> Page[bytes]:
        """It goes on by the Link header, as beyond 25,000 records nothing else does."""
        url = answer.links.get("next", {}).get("url")
        token = None if url is None else httpx.URL(url).params.get("search_after", "")
        if token == "":
            raise self._strange("the next page's link has no search_after")
        return Page(records, token, number_at(envelope, "meta", "results", "total"))

    def _place(self, key: str) -> tuple[str, dict[str, str]]:
        return self.PATH, {"search": f'set_id:"{key}"'}

    def _page(self, asked: OpenFDALabelQuery, token: str, size: int) -> Page[bytes]:
        try:
            return super()._page(asked, token, size)
        except Missing as error:
            if "No matches found" not in error.message:  # then there is no such API
                raise
            return Page((), None)

    def _read_one(self, answer: httpx.Response) -> bytes | None:
        records = self._read_page(answer, {}).records
        return records[0] if records else None
