"""Sources whose service gives its records in pages, each with the token of the next."""

from __future__ import annotations

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import httpx
import orjson
from pydantic import BaseModel, ConfigDict, Field

from penstock.errors import BadInput, ServiceUnavailable, UsageError
from penstock.ir import Origin, RawPayload
from penstock.sources.api import Api, HttpService, Missing, Refused
from penstock.sources.contract import checked
from penstock.sources.identify import identify_json
from penstock.sources.jsontext import load_json
from penstock.sources.records import split_json
from penstock.sources.sniff import FAULTS

if TYPE_CHECKING:
    from pydantic import SecretStr

FIRST = ""
"""The token of the first page."""
_UNNAMED = "sha256:"


class PagedQuery(BaseModel):
    """What every paged source may be asked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    query: str = Field(default="", max_length=4000)
    """What to search for, in the service's own syntax."""
    limit: int | None = Field(default=None, ge=1)
    """How many records at most; None: all."""


def as_list(value: object) -> object:
    """A text as the list it spells with commas, anything else as it is: for a BeforeValidator."""
    return [part for each in value.split(",") if (part := each.strip())] if isinstance(value, str) else value


Q = TypeVar("Q", bound=PagedQuery)


def something_asked(query: Q) -> Q:
    """`query`, which must name more than a limit: the whole of a service is nothing to be asked for by accident."""
    if not any(getattr(query, name) for name in query.model_fields_set - {"limit", "fields", "select"}):
        raise ValueError("say what to look for, such as --query 'metformin'")
    return query


Place = Callable[[str], tuple[str, dict[str, str]]]
"""A record's key to the path and parameters it can be had by."""


@dataclass(frozen=True, slots=True)
class Page:
    """`records`: each as it was sent. `next`: the next page's token, None behind the last."""

    records: tuple[bytes, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class Position:
    """Where a listing goes on: the page with this token (None: nowhere, it is whole), behind so many of its records;
    `listed` counts those given so far, for the query's limit."""

    token: str | None
    skip: int = 0
    listed: int = 0

    def __str__(self) -> str:
        return orjson.dumps([self.token, self.skip, self.listed]).decode()

    @classmethod
    def read(cls, cursor: str, source: str) -> Position:
        try:
            token, skip, listed = orjson.loads(cursor)
            return cls(None if token is None else str(token), int(skip), int(listed))
        except (ValueError, TypeError):
            raise UsageError(f"source {source}: {cursor[:80]!r} is no cursor of its listings") from None


class PagedSource(ABC, Generic[Q]):
    """Lists a service page by page, a page in memory at a time.

    A payload is one record, its bytes as they were sent within the page; `origin.uri` is the record's own URL at the
    service, `origin.key` its identifier there. A stopped listing goes on with the page it was at; a token that the
    service takes no more begins it again from the start, where what was taken before is known to be unchanged.

    A subclass says where the pages are (`PATH`), what each is asked with (`_params`) and where the next one's token
    stands (`_next`); where one record is (`_place`), what names it and when it last changed (`ID` and `CHANGED`:
    patterns over its bytes, since both are wanted of a record that is no good JSON, too).
    """

    name: str
    Query: type[BaseModel]
    needs: ClassVar[tuple[str, ...]] = ("http", "url", "key")
    policy: ClassVar[str] = "polite-api"
    """The resilience policy of its requests, unless the topology says otherwise."""
    per_second: ClassVar[float | None] = None
    """Requests a second that the service allows, where that is less than the policy does."""
    resumable: ClassVar[bool] = True
    """A request whose listing was stopped is gone on with when it is made again."""
    watermark: str | None = None
    """The query's field that asks for what changed since a date; None: every listing is a complete one."""
    example: ClassVar[Mapping[str, object]]
    """A request that always has records, for a probe."""

    SERVICE: ClassVar[str]
    """What its settings begin with: PENSTOCK_<SERVICE>_URL, PENSTOCK_<SERVICE>_KEY."""
    URL: ClassVar[str]
    KEY: ClassVar[str] = ""
    """What the service's key is for; empty: it has none."""
    PATH: ClassVar[str]
    LIST: ClassVar[str]
    """The member of a page that holds its records."""
    PAGE: ClassVar[int]
    """Records a page: as many as make one or two MiB."""
    ID: ClassVar[re.Pattern[bytes]]
    CHANGED: ClassVar[re.Pattern[bytes]]

    def __init__(
        self, *, http: HttpService, url: str = "", key: SecretStr | None = None, max_bytes: int = 64 << 20
    ) -> None:
        """`url`: the service's base URL, when it is not `URL`. A record of more than `max_bytes` is "too-large"."""
        settings = (f"PENSTOCK_{self.SERVICE}_URL", f"PENSTOCK_{self.SERVICE}_KEY" if self.KEY else "")
        self.api = Api(self.name, url or self.URL, key, http, settings)
        self._max_bytes = max_bytes

    @abstractmethod
    def _params(self, asked: Q, token: str, size: int) -> dict[str, str]: ...

    @abstractmethod
    def _next(self, envelope: Mapping[str, Any], answer: httpx.Response) -> str | None:
        """The next page's token. `envelope` is the page's object, without its records."""
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

    def list(self, query: Mapping[str, object], cursor: str | None = None) -> Iterator[RawPayload]:
        """The records asked for, after `cursor`. Raises UsageError for a query or cursor that can't be taken.

        What is listed raises Refused where the service doesn't take the query, TransientErrors where it is away, and
        BadInput (schema) where its answers are no longer what they were.
        """
        asked: Any = checked(self.Query, query, self.name)
        return self._listed(asked, Position.read(cursor, self.name) if cursor else Position(FIRST))

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
        return None if content is None else self._payload(content, lambda key: (path, params), "")

    def _listed(self, asked: Q, at: Position) -> Iterator[RawPayload]:
        size = min(asked.limit or self.PAGE, self.PAGE)
        begun_again = False

        def place(key: str) -> tuple[str, dict[str, str]]:
            path, params = self._place(key)
            return path, params | self._shape(asked)

        while at.token is not None and not (asked.limit and at.listed >= asked.limit):
            try:
                page = self._page(asked, at.token, size)
            except Refused:
                if at.token == FIRST or begun_again:
                    raise
                at, begun_again = Position(FIRST), True
                continue
            listed = at.listed
            for number, content in enumerate(page.records[at.skip :], at.skip + 1):
                listed += 1
                last = number == len(page.records)
                after = Position(page.next, 0, listed) if last else Position(at.token, number, listed)
                yield self._payload(content, place, str(after), page_end=last)
                if listed == asked.limit:
                    return
            at = Position(page.next, 0, listed)

    def _page(self, asked: Q, token: str, size: int) -> Page:
        page = self.api.get(self.PATH, self._params(asked, token, size), self._read_page)
        if page.next == token:
            raise self._strange(f"the page behind {token[:40]!r} names itself as the next one")
        return page

    def _read_page(self, answer: httpx.Response) -> Page:
        """Raises ServiceUnavailable for what is no page, BadInput for one of another shape."""
        body = answer.content
        slices = [piece for piece in split_json([body], len(body)) if piece.nested]
        if slices and slices[-1].fault == "truncated":
            raise self._no_page(answer, "it ends too early")
        begin, end = (slices[0].start, slices[-1].start + len(slices[-1].content)) if slices else (0, 0)
        try:
            envelope = load_json(body[:begin] + body[end:])
        except BadInput as error:
            raise self._no_page(answer, error.message) from None
        if not isinstance(envelope, dict):
            raise self._strange("the answer is no JSON object")
        if "error" in envelope:
            raise self._no_page(answer, self.api.reason_in(body))
        if not isinstance(envelope.get(self.LIST), list):
            raise self._strange(f"the answer has no list {self.LIST!r}")
        return Page(tuple(piece.content for piece in slices), self._next(envelope, answer))

    def _read_one(self, answer: httpx.Response) -> bytes | None:
        """The record that an answer is; None where an answer says that there is none."""
        pieces = list(split_json([answer.content], len(answer.content)))
        if len(pieces) != 1 or pieces[0].fault:
            raise self._no_page(answer, "it is not one whole record")
        return pieces[0].content

    def _payload(self, content: bytes, place: Place, cursor: str, *, page_end: bool = False) -> RawPayload:
        identity = identify_json(content)
        kind, note = identity.kind, identity.note
        found = self.ID.search(content)
        key = identity.source_id or (found.group(1).decode() if found else "")
        if kind not in FAULTS and not key:
            kind, note = "malformed", "it states no identifier"
        version, digest = self._version(content), sha256(content).hexdigest()
        if len(content) > self._max_bytes:
            kind, note, content = "too-large", f"more than {self._max_bytes:,} bytes", b""
        path, params = place(key) if key else (self.PATH, {})
        key = key or _UNNAMED + digest[:20]
        uri = httpx.URL(self.api.url + path, params=params) if params else self.api.url + path
        return RawPayload(
            source=self.name,
            source_id=key,
            kind=kind,
            media_type="application/json",
            origin=Origin(uri=str(uri), key=key, version=version, fetched_at=int(time.time() * 1000)),
            content=content,
            cursor=cursor,
            note=note,
            page_end=page_end,
        )

    def _no_page(self, answer: httpx.Response, why: str) -> ServiceUnavailable:
        kind = answer.headers.get("content-type", "no type").partition(";")[0]
        return ServiceUnavailable(f"source {self.name}: an answer that is no good ({kind}): {why}", reason="bad-answer")

    def _strange(self, why: str) -> BadInput:
        return BadInput(
            f"source {self.name}: {why}; the service has changed",
            reason="schema",
            next_step=f"check PENSTOCK_{self.SERVICE}_URL, or upgrade Penstock",
        )
