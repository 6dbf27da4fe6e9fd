"""Documents at addresses that a person names."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, Field

from penstock.ir import Origin, RawPayload
from penstock.sources.contract import checked
from penstock.sources.lookup import each_once, given
from penstock.sources.service import LimitedQuery, Position, paged

LONGEST = 2000


def _address(text: str) -> str:
    """An http(s) URL without its fragment; "" for anything else, and for one with a password in it."""
    try:
        url = urlsplit(text.strip())
        known = url.scheme in ("http", "https") and url.hostname and url.port != 0
    except ValueError:
        return ""
    if not known or "@" in url.netloc or len(text) > LONGEST or any(c.isspace() or not c.isprintable() for c in text):
        return ""
    return url._replace(netloc=url.netloc.lower(), fragment="").geturl()


class UrlsQuery(LimitedQuery):
    urls: Annotated[tuple[str, ...], BeforeValidator(partial(each_once, _address, "http(s) URL")), Field(min_length=1)]


class Urls:
    """An address each, as a list of one (text/uri-list, RFC 2483): nothing is asked before its download."""

    name = "urls"
    needs: tuple[str, ...] = ()
    Query: type[BaseModel] = UrlsQuery

    def __init__(self, *, max_bytes: int = 64 << 20) -> None:
        """`max_bytes` is every source's; an address is always shorter."""

    def list(self, query: Mapping[str, object], cursor: str | None = None) -> Iterator[RawPayload]:
        """The addresses as they are named. Raises UsageError for a query or cursor that can't be taken."""
        asked = checked(UrlsQuery, query, self.name)
        return self._listed(asked, Position.read(cursor, self.name))

    def refetch(self, origin: Origin) -> RawPayload:
        """The address, which stays what it is; what is there now is seen when it is downloaded."""
        return _payload(origin.key)

    def _listed(self, asked: UrlsQuery, at: Position) -> Iterator[RawPayload]:
        for url, after, last in paged(lambda token: given(asked.urls, token), at, asked.limit):
            yield _payload(url).model_copy(update={"cursor": str(after), "page_end": last})


def _payload(url: str) -> RawPayload:
    return RawPayload(
        source=Urls.name,
        source_id=url,
        kind="uri-list",
        media_type="text/uri-list",
        origin=Origin(uri=url, key=url, fetched_at=int(time.time() * 1000)),
        content=f"{url}\r\n".encode(),
        urls=(url,),
    )
