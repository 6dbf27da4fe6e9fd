"""Sources whose service gives its records in pages, each with the token of the next."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from typing import Any, ClassVar, TypeVar

import httpx
from pydantic import Field

from penstock.errors import BadInput
from penstock.ir import Origin, RawPayload
from penstock.sources.api import Missing
from penstock.sources.identify import Identity, identify_json
from penstock.sources.jsontext import load_json
from penstock.sources.records import split_json
from penstock.sources.service import LimitedQuery, Page, Position, ServiceSource, paged
from penstock.sources.sniff import FAULTS

_UNNAMED = "sha256:"


class PagedQuery(LimitedQuery):
    """What every paged source may be asked."""

    query: str = Field(default="", max_length=4000)
    """What to search for, in the service's own syntax."""


def as_list(value: object) -> object:
    """A text as the list it spells with commas, anything else as it is: for a BeforeValidator."""
    return [part for each in value.split(",") if (part := each.strip())] if isinstance(value, str) else value


def number_at(value: object, *names: str) -> int:
    """The number that stands under these names in objects within objects; 0 where none does."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, int) else 0


Q = TypeVar("Q", bound=PagedQuery)


def something_asked(query: Q) -> Q:
    """`query`, which must name more than a limit: the whole of a service is nothing to be asked for by accident."""
    if not any(getattr(query, name) for name in query.model_fields_set - {"limit", "fields", "select"}):
        raise ValueError("say what to look for, such as --query 'metformin'")
    return query


Place = Callable[[str], tuple[str, dict[str, str]]]
"""A record's key to the path and parameters it can be had by."""


class PagedSource(ServiceSource[Q]):
    """Lists a service page by page, a page in memory at a time.

    A payload's bytes are those of its record within the page. A stopped listing goes on with the page it was at; a
    token that the service takes no more begins it again from the start, where what was taken before is known to be
    unchanged.

    A subclass says where the pages are (`PATH`), what each is asked with (`_params`) and how the listing goes on behind
    it (`_turned`); where one record is (`_place`), what names it and when it last changed (`ID` and `CHANGED`: patterns
    over its bytes, since both are wanted of a record that is no good JSON, too).
    """

    PATH: ClassVar[str]
    LIST: ClassVar[str]
    """The member of a page that holds its records."""
    PAGE: ClassVar[int]
    """Records a page: as many as make one or two MiB."""
    ID: ClassVar[re.Pattern[bytes]]
    CHANGED: ClassVar[re.Pattern[bytes]]

    @abstractmethod
    def _params(self, asked: Q, token: str, size: int) -> dict[str, str]: ...

    @abstractmethod
    def _turned(
        self, records: tuple[bytes, ...], envelope: Mapping[str, Any], answer: httpx.Response, params: Mapping[str, str]
    ) -> Page[bytes]:
        """The page that has these records. `envelope` is its object, without them; `params` what it was asked with."""
        ...

    @abstractmethod
    def _place(self, key: str) -> tuple[str, dict[str, str]]:
        """Path and parameters of one record."""
        ...

    def _shape(self, asked: Q) -> dict[str, str]:
        """The parameters that say which of a record's fields are wanted: the same for a page and for one record."""
        return {}

    def _version(self, content: bytes) -> str:
        """When the record last changed, as far as it says."""
        found = self.CHANGED.search(content)
        return found.group(1).decode() if found else ""

    def refetch(self, origin: Origin) -> RawPayload | None:
        """The record as the service holds it now; None when it has it no longer."""
        if origin.key.startswith(_UNNAMED):
            return None
        path, _ = self._place(origin.key)
        params = dict(httpx.URL(origin.uri).params)
        try:
            content = self.api.get(path, params, self._read_one)
        except Missing:
            return None
        return None if content is None else self._listing_of(content, lambda key: (path, params))

    def _listed(self, asked: Q, at: Position) -> Iterator[RawPayload]:
        size = min(asked.limit or self.PAGE, self.PAGE)

        def place(key: str) -> tuple[str, dict[str, str]]:
            path, params = self._place(key)
            return path, params | self._shape(asked)

        def ask(token: str) -> Page[bytes]:
            return self._page(asked, token, size)

        for content, after, last in paged(ask, at, asked.limit, lambda content: self._identified(content)[1]):
            yield self._listing_of(content, place, after, last=last)

    def _page(self, asked: Q, token: str, size: int) -> Page[bytes]:
        params = self._params(asked, token, size)
        page = self.api.get(self.PATH, params, lambda answer: self._read_page(answer, params))
        if page.next == token:
            raise self._strange(f"the page behind {token[:40]!r} names itself as the next one")
        return page

    def _read_page(self, answer: httpx.Response, params: Mapping[str, str]) -> Page[bytes]:
        """Raises ServiceUnavailable for what is no page, BadInput for one of another shape."""
        body = answer.content
        slices = [piece for piece in split_json([body], len(body)) if piece.nested]
        if slices and slices[-1].fault == "truncated":
            raise self._no_answer(answer, "it ends too early")
        begin, end = (slices[0].start, slices[-1].start + len(slices[-1].content)) if slices else (0, 0)
        try:
            envelope = load_json(body[:begin] + body[end:])
        except BadInput as error:
            raise self._no_answer(answer, error.message) from None
        if not isinstance(envelope, dict):
            raise self._strange("the answer is no JSON object")
        if "error" in envelope:
            raise self._no_answer(answer, self.api.reason_in(body))
        if not isinstance(envelope.get(self.LIST), list):
            raise self._strange(f"the answer has no list {self.LIST!r}")
        return self._turned(tuple(piece.content for piece in slices), envelope, answer, params)

    def _read_one(self, answer: httpx.Response) -> bytes | None:
        """The record that an answer is; None where an answer says that there is none."""
        return self._one(answer)

    def _listing_of(
        self, content: bytes, place: Place, after: Position | None = None, *, last: bool = False
    ) -> RawPayload:
        identity, key = self._identified(content)
        path, params = (self.PATH, {}) if key.startswith(_UNNAMED) else place(key)
        uri = httpx.URL(self.api.url + path, params=params) if params else self.api.url + path
        return self._payload(identity, content, key, str(uri), version=self._version(content), after=after, last=last)

    def _identified(self, content: bytes) -> tuple[Identity, str]:
        """What a record is, and its key: one of its bytes where it names none."""
        identity = identify_json(content)
        found = self.ID.search(content)
        key = identity.source_id or (found.group(1).decode() if found else "")
        if identity.kind not in FAULTS and not key:
            identity = Identity("malformed", note="it states no identifier")
        return identity, key or _UNNAMED + sha256(content).hexdigest()[:20]
