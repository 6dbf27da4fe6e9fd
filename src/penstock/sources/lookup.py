"""Sources that are asked for one record after another, by keys that a person gives or a search finds."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from penstock.errors import ListingShort, UsageError
from penstock.ir import Origin, RawPayload
from penstock.sources.api import Missing
from penstock.sources.identify import Identity, identify_json
from penstock.sources.service import BadAnswer, Page, Position, Q, ServiceSource, paged
from penstock.sources.sniff import FAULTS, READ

PAGE = 20
_KEPT = 1 << 20
"""Bytes that are kept of an answer that is no record."""
_BETWEEN = re.compile(r",?\s+|,(?=10\.|doi:|https?:|PMC)", re.IGNORECASE)
"""What parts keys in a text: not each comma, for DOIs and URLs may have some."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A record: its bytes, its URL at the service, and a cheap mark of its state (see Origin.version)."""

    content: bytes
    uri: str
    version: str


class LookupSource(ServiceSource[Q]):
    """A key that the service has no record for is listed all the same, as "not-found" with what the service says.

    One that it answers again and again with what is no record is "malformed" as soon as another one is answered well.
    Where nobody's is, or none of a whole page's number in a row, it is the service that is no good.

    A subclass says what is asked for (`_keys`) and how one record is (`_ask`).
    """

    KIND: ClassVar[str]
    """The kind that each of its records is."""

    @abstractmethod
    def _keys(self, asked: Q, token: str) -> Page[str]: ...

    @abstractmethod
    def _ask(self, key: str) -> Answered:
        """Raises Missing where the service has no such record."""
        ...

    def refetch(self, origin: Origin) -> RawPayload | None:
        """The record as the service holds it now; None when it has it no longer."""
        payload = self._looked_up(origin.key)
        return None if payload.kind == "not-found" else payload

    def _listed(self, asked: Q, at: Position) -> Iterator[RawPayload]:
        held: list[RawPayload] = []
        fault: BadAnswer | None = None
        short: ListingShort | None = None
        answered = False
        try:
            for key, after, last in paged(lambda token: self._keys(asked, token), at, asked.limit):
                try:
                    payload = self._looked_up(key, after, last=last)
                except BadAnswer as error:
                    fault = error
                    held.append(self._no_record(error, key, after, last=last))
                    if len(held) == PAGE:
                        raise
                    continue
                answered = True
                yield from (*held, payload)
                held.clear()
        except ListingShort as error:
            short = error
        if fault and held and not answered:
            raise fault
        yield from held
        if short:
            raise short

    def _no_record(self, error: BadAnswer, key: str, after: Position, *, last: bool) -> RawPayload:
        identity = Identity("malformed", note=error.message)
        return self._payload(identity, error.content[:_KEPT], key, self.api.url, after=after, last=last)

    def _looked_up(self, key: str, after: Position | None = None, *, last: bool = False) -> RawPayload:
        try:
            found = self._ask(key)
        except Missing as error:
            nothing = Identity("not-found", note=error.message)
            return self._payload(nothing, b"", key, self.api.url, after=after, last=last)
        identity = identify_json(found.content)
        if identity.kind != self.KIND and identity.kind not in FAULTS:
            identity = Identity("malformed", note=f"it is not {READ[self.KIND]}, or the service has changed")
        return self._payload(identity, found.content, key, found.uri, version=found.version, after=after, last=last)


def given(keys: Sequence[str], token: str) -> Page[str]:
    """The page of a list that begins at the index `token`. Raises UsageError for a token that is no index."""
    if token and not token.isdecimal():
        raise UsageError(f"{token[:80]!r} is no cursor of this listing")
    begin = int(token or 0)
    end = begin + PAGE
    return Page(tuple(keys[begin:end]), str(end) if end < len(keys) else None)


def each_once(read: Callable[[object], str], what: str, values: object) -> tuple[str, ...]:
    """The keys that a person names, in a text or as a list, each once and in their order.

    `read` gives the key that one value is, "" for one that is none, which raises ValueError as no `what`.
    """
    listed = _BETWEEN.split(values.strip()) if isinstance(values, str) else values
    found: dict[str, None] = {}
    for value in listed if isinstance(listed, list | tuple) else [listed]:
        key = read(str(value))
        if not key:
            raise ValueError(f"{str(value)[:80]!r} is no {what}")
        found[key] = None
    return tuple(found)
