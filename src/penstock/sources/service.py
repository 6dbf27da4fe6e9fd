"""What all sources that ask an HTTP service have in common: positions in a listing, and how an answer is judged."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field

from penstock.errors import BadInput, ListingShort, ServiceUnavailable, UsageError
from penstock.ir import Origin, RawPayload
from penstock.sources.api import Api, HttpService, Refused
from penstock.sources.contract import checked
from penstock.sources.identify import Identity
from penstock.sources.jsontext import load_json
from penstock.sources.records import split_json
from penstock.sources.sniff import FAULTS

if TYPE_CHECKING:
    import httpx
    from pydantic import SecretStr

FIRST = ""
"""The token of the first page."""

T = TypeVar("T")


class BadAnswer(ServiceUnavailable):
    """Nothing of what was asked for, in spite of status 200. `content` is what came, without the key."""

    reason = "bad-answer"
    content = b""


class LimitedQuery(BaseModel):
    """What every source of a service may be asked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: int | None = Field(default=None, ge=1)
    """How many records at most; None: all."""


Q = TypeVar("Q", bound=LimitedQuery)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """`records`: what the page lists. `next`: the next page's token, None behind the last.

    `found`: how many the whole listing has, by what the service says; 0 where it doesn't. `short`: it has fewer records
    than it ought to have.
    """

    records: tuple[T, ...]
    next: str | None
    found: int = 0
    short: bool = False


@dataclass(frozen=True, slots=True)
class Position:
    """Where a listing goes on: the page with this token (None: nowhere, it is whole), behind so many of its records;
    `listed` counts those given so far, each once, `due` those that a whole listing gives: the most that its service has
    said. `last` names the record that the page before ended with, where that page was short: a service that counts what
    it withholds begins the next one before it.
    """

    token: str | None
    skip: int = 0
    listed: int = 0
    due: int = 0
    last: str = ""

    def __str__(self) -> str:
        return orjson.dumps([self.token, self.skip, self.listed, self.due, self.last]).decode()

    def known(self, page: Page[T], name: Callable[[T], str]) -> int:
        """How many of the page's records, from its beginning on, have been given before."""
        again = (number for number, record in enumerate(page.records, 1) if name(record) == self.last)
        return max(self.skip, next(again, 0) if self.last else 0)

    def behind(self, page: Page[T], name: Callable[[T], str]) -> Position:
        """Where it goes on when the rest of the page has been given."""
        listed = self.listed + max(0, len(page.records) - self.known(page, name))
        last = name(page.records[-1]) if page.short and page.records else ""
        return Position(page.next, 0, listed, max(self.due, page.found), last)

    def lacks(self, limit: int | None) -> int:
        """How many records are missing where a listing is at its end; 0 where it is not, or has as many as wanted."""
        return max(0, min(self.due, limit or self.due) - self.listed) if self.token is None else 0

    @classmethod
    def read(cls, cursor: str | None, source: str) -> Position:
        """Raises UsageError for what is no cursor of a listing; None is a listing's beginning."""
        if not cursor:
            return cls(FIRST)
        try:
            said = orjson.loads(cursor)
            token, skip, listed, due, last = said + [0, ""][len(said) - 3 :]
            return cls(None if token is None else str(token), int(skip), int(listed), int(due), str(last))
        except (ValueError, TypeError):
            raise UsageError(f"source {source}: {cursor[:80]!r} is no cursor of its listings") from None


def paged(
    ask: Callable[[str], Page[T]], at: Position, limit: int | None, name: Callable[[T], str] = str
) -> Iterator[tuple[T, Position, bool]]:
    """Each record behind `at`, with the position behind it, and whether it is the last of its page.

    `ask` gives the page of a token. One that the service takes no more (Refused) begins the listing again, once. A page
    that is the last one before all records were given is asked for once more, then taken as it is. Raises ListingShort
    at the end where that leaves some out. `name` gives a record's own name, by which one that comes again is known: it
    is listed, but not counted.
    """
    begun_again = False
    while at.token is not None and not (limit and at.listed >= limit):
        try:
            page = ask(at.token)
            if at.behind(page, name).lacks(limit):
                page = ask(at.token)
        except Refused:
            if at.token == FIRST or begun_again:
                raise
            at, begun_again = Position(FIRST), True
            continue
        known, behind = at.known(page, name), at.behind(page, name)
        for number, record in enumerate(page.records[at.skip :], at.skip + 1):
            listed = at.listed + max(0, number - known)
            last = number == len(page.records)
            yield record, behind if last else Position(at.token, number, listed, at.due, at.last), last
            if listed == limit:
                return
        at = behind
    if lacking := at.lacks(limit):
        raise ListingShort(
            f"the listing came up short by {lacking:,}: so many more records there are, by what the service says"
        )


class ServiceSource(ABC, Generic[Q]):
    """A source whose records an HTTP service has, a payload each: its bytes as they were sent.

    `origin.key` is the record's identifier at the service, `origin.uri` its own URL there.
    """

    name: str
    Query: type[BaseModel]
    needs: ClassVar[tuple[str, ...]] = ("http", "url", "key")
    policy: ClassVar[str] = "polite-api"
    """The resilience policy of its requests, unless the topology says otherwise."""
    per_second: ClassVar[float | None] = None
    """Requests a second that the service allows, where that is less than the policy does."""
    per_second_with_key: ClassVar[float | None] = None
    """The same for who gives a key."""
    resumable: ClassVar[bool] = True
    """A request whose listing was stopped is gone on with when it is made again."""
    watermark: str | None = None
    """The query's field that asks for what changed since a date; None: every listing is a complete one."""
    example: ClassVar[Mapping[str, object]]
    """A request that always has records, for a probe."""

    SERVICE: ClassVar[str]
    """What its settings begin with: PENSTOCK_<SERVICE>_URL, PENSTOCK_<SERVICE>_<CREDENTIAL>."""
    URL: ClassVar[str]
    KEY: ClassVar[str] = ""
    """What the service's key is for; empty: it has none."""
    CREDENTIAL: ClassVar[str] = "KEY"
    KEYLESS: ClassVar[bool] = True
    """Whether it answers at all without a key."""
    SENT_AS: ClassVar[str] = "api_key"
    """The parameter that holds the key, or api.BEARER."""

    def __init__(
        self, *, http: HttpService, url: str = "", key: SecretStr | None = None, max_bytes: int = 64 << 20
    ) -> None:
        """`url`: the service's base URL, when it is not `URL`. A record of more than `max_bytes` is "too-large"."""
        settings = (f"PENSTOCK_{self.SERVICE}_URL", f"PENSTOCK_{self.SERVICE}_{self.CREDENTIAL}" if self.KEY else "")
        self.api = Api(self.name, url or self.URL, key, http, settings, self.SENT_AS)
        self._max_bytes = max_bytes

    def list(self, query: Mapping[str, object], cursor: str | None = None) -> Iterator[RawPayload]:
        """The records asked for, after `cursor`. Raises UsageError for a query or cursor that can't be taken.

        What is listed raises Refused where the service doesn't take the query, TransientErrors where it is away, and
        BadInput (schema) where its answers are no longer what they were; ListingShort at the end, where the service has
        more by its own count.
        """
        asked: Any = checked(self.Query, query, self.name)
        return self._listed(asked, Position.read(cursor, self.name))

    @abstractmethod
    def _listed(self, asked: Q, at: Position) -> Iterator[RawPayload]: ...

    def _urls(self, content: bytes) -> tuple[str, ...]:
        """Where the full text of a good record may be had, best first."""
        return ()

    def _one(self, answer: httpx.Response) -> bytes:
        """The record that an answer is, good or bad. Raises ServiceUnavailable for what is none at all."""
        pieces = list(split_json([answer.content], len(answer.content)))
        if len(pieces) != 1 or pieces[0].fault:
            raise self._no_answer(answer, "it is not one whole record")
        content = pieces[0].content
        with suppress(BadInput):
            record = load_json(content)
            if isinstance(record, dict) and record.get("error"):
                raise self._no_answer(answer, self.api.reason_in(content))
        return content

    def _payload(
        self,
        identity: Identity,
        content: bytes,
        key: str,
        uri: str,
        *,
        version: str = "",
        after: Position | None = None,
        last: bool = False,
    ) -> RawPayload:
        """`after`: the listing's position behind it; None where none is listed."""
        if len(content) > self._max_bytes:
            identity = Identity("too-large", identity.source_id, f"more than {self._max_bytes:,} bytes")
            content = b""
        return RawPayload(
            source=self.name,
            source_id=key,
            kind=identity.kind,
            media_type="application/json",
            origin=Origin(uri=uri, key=key, version=version, fetched_at=int(time.time() * 1000)),
            content=content,
            urls=() if identity.kind in FAULTS else self._urls(content),
            cursor="" if after is None else str(after),
            note=identity.note,
            page_end=last,
        )

    def _at_offset(self, answer: httpx.Response, records: tuple[T, ...], begin: int, size: int, found: int) -> Page[T]:
        """The page of a search that finds `found`, of which it was to give `size` from `begin` on.

        The next one begins behind what is there, so that a page that was cut leaves nothing out; behind an empty one
        there is nothing more. Raises ServiceUnavailable for an answer that contradicts itself.
        """
        to_come = max(0, found - begin)
        if len(records) > to_come:
            raise self._no_answer(answer, f"it has {len(records):,} records where only {to_come:,} are still to come")
        if to_come and not records and not begin:
            raise self._no_answer(answer, f"it is empty, and {to_come:,} records are still to come")
        end = begin + len(records)
        return Page(records, str(end) if records and end < found else None, found, len(records) < min(size, to_come))

    def _no_answer(self, answer: httpx.Response, why: str) -> BadAnswer:
        kind = answer.headers.get("content-type", "no type").partition(";")[0]
        error = BadAnswer(f"source {self.name}: an answer that is no good ({kind}): {why}")
        error.content = self.api.keyless(answer.content)
        return error

    def _strange(self, why: str) -> BadInput:
        return BadInput(
            f"source {self.name}: {why}; the service has changed",
            reason="schema",
            next_step=f"check PENSTOCK_{self.SERVICE}_URL, or upgrade Penstock",
        )
