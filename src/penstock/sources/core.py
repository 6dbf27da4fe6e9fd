"""CORE works (https://api.core.ac.uk/docs/v3)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import httpx
from pydantic import BaseModel, model_validator

from penstock.errors import UsageError
from penstock.sources.api import BEARER
from penstock.sources.jsontext import load_json, objects
from penstock.sources.paging import PagedQuery, PagedSource, something_asked
from penstock.sources.service import FIRST, Page

MOST = 10_000
"""How many of a search CORE lists by offset."""
_ARXIV = re.compile(r"https?://(?:www\.)?arxiv\.org/abs/")


class CoreQuery(PagedQuery):
    """`query` is in CORE's syntax: words, or field:"text", with AND and OR (yearPublished>=2020)."""

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        return something_asked(self)


class Core(PagedSource[CoreQuery]):
    """Works, the best match first, each with where its full text may be had; without CORE's own copy of the text.

    Each answer says how many tokens are left, and when there are more: the guarded client waits for that, or a listing
    stops there, with the time to go on.
    """

    name = "core"
    Query: type[BaseModel] = CoreQuery
    example: ClassVar[Mapping[str, object]] = {"query": "metformin"}

    SERVICE = "CORE"
    URL = "https://api.core.ac.uk/v3"
    KEY = "more than a few searches a minute (free: core.ac.uk/services/api)"
    SENT_AS = BEARER
    PATH = "/search/works/"
    LIST = "results"
    PAGE = 100
    ID = re.compile(rb'"id"\s*:\s*"?(\d{1,15})(?!\d|\s*,\s*"name")')
    """Not that of a data provider, which has a name."""
    CHANGED = re.compile(rb'"updatedDate"\s*:\s*"([^"]{1,40})"')

    def _params(self, asked: CoreQuery, token: str, size: int) -> dict[str, str]:
        offset = int(token or 0) if token.isdecimal() or token == FIRST else MOST
        size = min(size, MOST - offset)
        if size <= 0:
            raise UsageError(
                f"source core: CORE lists no more than the first {MOST:,} of a search",
                next_step=f"narrow the query, as by AND yearPublished>=2020, or say --limit {MOST}",
            )
        return {"q": asked.query, "limit": str(size), "offset": str(offset)} | self._shape(asked)

    def _shape(self, asked: CoreQuery) -> dict[str, str]:
        return {"exclude": "fullText"}

    def _place(self, key: str) -> tuple[str, dict[str, str]]:
        return f"/works/{key}", {}

    def _turned(
        self, records: tuple[bytes, ...], envelope: Mapping[str, Any], answer: httpx.Response, params: Mapping[str, str]
    ) -> Page[bytes]:
        try:
            found, offset, limit = int(envelope["totalHits"]), int(envelope["offset"]), int(envelope["limit"])
        except (KeyError, TypeError, ValueError):
            raise self._strange("the answer does not say where it stands ('totalHits', 'offset', 'limit')") from None
        begin, size = int(params["offset"]), int(params["limit"])
        if offset != begin or limit < 0:
            raise self._no_answer(answer, f"{size} works from {begin:,} on were asked for, not {limit} from {offset:,}")
        return self._at_offset(answer, records, begin, min(size, limit), found)

    def _urls(self, content: bytes) -> tuple[str, ...]:
        record = load_json(content)
        stated = record.get("sourceFulltextUrls")
        links = [link.get("url") for link in objects(record.get("links")) if link.get("type") == "download"]
        found = [record["downloadUrl"], *(stated if isinstance(stated, list) else [stated]), *links]
        return tuple(
            dict.fromkeys(_ARXIV.sub("https://arxiv.org/pdf/", url) for url in found if isinstance(url, str) and url)
        )
