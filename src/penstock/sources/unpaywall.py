"""Unpaywall: where a DOI's open copies are (https://unpaywall.org/products/api)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Annotated, Any, ClassVar
from urllib.parse import quote

from pydantic import BaseModel, BeforeValidator, Field, SecretStr

from penstock.errors import UsageError
from penstock.ir import RawPayload
from penstock.sources.api import Missing, Refused
from penstock.sources.identify import stated_doi
from penstock.sources.jsontext import load_json, objects
from penstock.sources.lookup import Answered, LookupSource, each_once, given
from penstock.sources.service import LimitedQuery, Page

_CHANGED = re.compile(rb'"updated"\s*:\s*"(\d[^"]{1,40})"[^\[\]]*\Z')
"""When the record last changed; what comes before a list is said of something in it."""


class UnpaywallQuery(LimitedQuery):
    dois: Annotated[tuple[str, ...], BeforeValidator(partial(each_once, stated_doi, "DOI")), Field(min_length=1)]
    """DOIs, as they are or as https://doi.org/… addresses."""


class Unpaywall(LookupSource[UnpaywallQuery]):
    """The records of DOIs, in the order they are named, each with where its PDF may be had: the best open location's,
    those of the others, then the pages they are linked from."""

    name = "unpaywall"
    needs = ("http", "url", "email")
    Query: type[BaseModel] = UnpaywallQuery
    example: ClassVar[Mapping[str, object]] = {"dois": ["10.1038/nature12373"]}

    SERVICE = "UNPAYWALL"
    URL = "https://api.unpaywall.org/v2"
    KEY = "every request (your e-mail address; it is sent to Unpaywall only)"
    CREDENTIAL = "EMAIL"
    KEYLESS = False
    SENT_AS = "email"
    KIND = "unpaywall-record"

    def __init__(self, *, email: SecretStr | None = None, **services: Any) -> None:
        super().__init__(key=email, **services)
        self._named = email is not None

    def list(self, query: Mapping[str, object], cursor: str | None = None) -> Iterator[RawPayload]:
        """As for every source; raises UsageError also where the e-mail address isn't set."""
        if not self._named:
            raise UsageError(
                "source unpaywall: it answers only who names an e-mail address: set PENSTOCK_UNPAYWALL_EMAIL to yours"
            )
        return super().list(query, cursor)

    def _keys(self, asked: UnpaywallQuery, token: str) -> Page[str]:
        return given(asked.dois, token)

    def _ask(self, key: str) -> Answered:
        path = f"/{quote(key, safe='/:;()')}"
        try:
            content = self.api.get(path, {}, self._one)
        except Refused as error:  # 422, which it says of what is no DOI, and of an address that it doesn't take
            if "email" in error.message.lower():
                raise UsageError(error.message, next_step="correct PENSTOCK_UNPAYWALL_EMAIL") from None
            raise Missing(error.message) from None
        changed = _CHANGED.search(content)
        return Answered(content, self.api.url + path, changed[1].decode(errors="replace") if changed else "")

    def _urls(self, content: bytes) -> tuple[str, ...]:
        record = load_json(content)
        places = [*objects([record["best_oa_location"]]), *objects(record["oa_locations"])]
        found = (place.get(key) for key in ("url_for_pdf", "url", "url_for_landing_page") for place in places)
        return tuple(dict.fromkeys(url for url in found if url and isinstance(url, str)))
