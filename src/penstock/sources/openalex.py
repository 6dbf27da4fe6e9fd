"""OpenAlex works (https://developers.openalex.org)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, ClassVar, Self
from urllib.parse import quote

import httpx
from pydantic import BaseModel, BeforeValidator, Field, model_validator

from penstock.errors import RateLimited
from penstock.sources.paging import PagedQuery, PagedSource, as_list, number_at, something_asked
from penstock.sources.service import FIRST, Page

SELECT = (
    "id",
    "doi",
    "title",
    "display_name",
    "publication_date",
    "ids",
    "language",
    "primary_location",
    "type",
    "is_retracted",
    "authorships",
    "topics",
    "keywords",
    "concepts",
    "mesh",
    "awards",
    "funders",
    "referenced_works",
    "abstract_inverted_index",
)
"""What is read of a work. Counts, scores and dates that OpenAlex computes anew every few days are left out: with them
a work would be another one each time."""


class OpenAlexQuery(PagedQuery):
    filter: str = ""
    """Filters in the service's own syntax, such as type:article,from_publication_date:2024-01-01."""
    since: date | None = None
    """Changed at OpenAlex on that day or later, which only its paid plans may ask for."""
    select: Annotated[tuple[str, ...], BeforeValidator(as_list)] = Field(default=SELECT, min_length=1)
    """The fields of a work that are wanted; its id always comes with them."""

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        return something_asked(self)


class OpenAlex(PagedSource[OpenAlexQuery]):
    """Works, in the service's own order (by relevance where words are searched).

    Each answer tells what is left of the day's allowance; when that is less than another page costs, the listing stops
    before it is refused, with the time to go on.
    """

    name = "openalex"
    needs = ("http", "url", "key", "updates")
    Query: type[BaseModel] = OpenAlexQuery
    example: ClassVar[Mapping[str, object]] = {"query": "metformin"}

    SERVICE = "OPENALEX"
    URL = "https://api.openalex.org"
    KEY = "lists of more than a few works (free: openalex.org/settings/api)"
    PATH = "/works"
    LIST = "results"
    PAGE = 100
    ID = re.compile(rb'"id"\s*:\s*"https://openalex\.org/(W\d{1,15})"')
    CHANGED = re.compile(rb'"updated_date"\s*:\s*"([^"]{1,40})"')

    def __init__(self, *, updates: bool = False, **services: Any) -> None:
        """`updates`: the key's plan may ask for what was updated since a day."""
        super().__init__(**services)
        self.watermark = "since" if updates else None
        self._spent: RateLimited | None = None

    def _params(self, asked: OpenAlexQuery, token: str, size: int) -> dict[str, str]:
        filters = [asked.filter, f"from_updated_date:{asked.since.isoformat()}" if asked.since else ""]
        wanted = {"search": asked.query, "filter": ",".join(filter(None, filters))}
        paging = {"per_page": str(size), "cursor": "*" if token == FIRST else token}
        return {name: value for name, value in wanted.items() if value} | paging | self._shape(asked)

    def _shape(self, asked: OpenAlexQuery) -> dict[str, str]:
        return {"select": ",".join(asked.select if "id" in asked.select else ("id", *asked.select))}

    def _turned(
        self, records: tuple[bytes, ...], envelope: Mapping[str, Any], answer: httpx.Response, params: Mapping[str, str]
    ) -> Page[bytes]:
        meta = envelope.get("meta")
        if not isinstance(meta, dict):
            raise self._strange("the answer has no 'meta'")
        token = meta.get("next_cursor")
        return Page(records, str(token) if token else None, number_at(meta, "count"))

    def _place(self, key: str) -> tuple[str, dict[str, str]]:
        return f"{self.PATH}/{quote(key, safe='')}", {}

    def _page(self, asked: OpenAlexQuery, token: str, size: int) -> Page[bytes]:
        if self._spent is not None:
            spent, self._spent = self._spent, None
            raise spent
        return super()._page(asked, token, size)

    def _read_page(self, answer: httpx.Response, params: Mapping[str, str]) -> Page[bytes]:
        page = super()._read_page(answer, params)
        self._spent = allowance_spent(answer.headers)
        return page


def allowance_spent(headers: Mapping[str, str]) -> RateLimited | None:
    """What stands in the way of another request like the one answered: too little left of the day's allowance.

    OpenAlex counts in dollars, and before that in credits; what was paid in advance is used after the allowance.
    """
    for left, paid, cost, unit in (
        ("x-ratelimit-remaining-usd", "x-ratelimit-prepaid-remaining-usd", "x-ratelimit-cost-usd", "$"),
        ("x-ratelimit-remaining", "", "x-ratelimit-credits-used", "credits "),
    ):
        have, needed = _number(headers.get(left)), _number(headers.get(cost))
        if have is None or needed is None:
            continue
        if have + (_number(headers.get(paid)) or 0.0) >= needed:
            return None
        return RateLimited(
            f"OpenAlex: the day's allowance is spent (left {unit}{have:g}, a page costs {unit}{needed:g})",
            retry_after=_number(headers.get("x-ratelimit-reset")),
            next_step="run the same again after midnight UTC, and it goes on there; PENSTOCK_OPENALEX_KEY allows more",
        )
    return None


def _number(value: str | None) -> float | None:
    try:
        return float((value or "").strip().lstrip("$"))
    except ValueError:
        return None
