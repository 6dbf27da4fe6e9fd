"""What every source offers, and how its query is checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Protocol, TypeVar, runtime_checkable

from pydantic import BaseModel, ValidationError

from penstock.errors import UsageError
from penstock.ir import Origin, RawPayload

Q = TypeVar("Q", bound=BaseModel)


@runtime_checkable
class Source(Protocol):
    """An external system that lists records and can read any one of them again.

    A listing never ends over one bad record: what can't be taken is listed too, with one of `sources.sniff.FAULTS` as
    its kind, the bytes as far as there are any, and a `note`; parsing refuses it, which keeps the bytes and the reason.
    """

    name: str
    Query: type[BaseModel]
    """The model of what may be asked; unknown keys are refused."""

    def list(self, query: Mapping[str, object], cursor: str | None = None) -> Iterator[RawPayload]:
        """The records asked for, in an order that a rerun repeats.

        `cursor` is that of a payload listed before: exactly what followed it is given. The query is checked before the
        first record is asked for. Raises UsageError for a query that can't be taken (NotFound for what isn't there),
        and ListingShort at the end of a listing that gave less than there is: then nothing is retired by it, and no
        later listing asks only for what changed since.
        """
        ...

    def refetch(self, origin: Origin) -> RawPayload | None:
        """What the same place holds now; None when it is gone."""
        ...


def checked(model: type[Q], query: Mapping[str, object], source: str) -> Q:
    """`query` as `model`. Raises UsageError naming each key that can't be taken, with the nearest known one."""
    try:
        return model.model_validate(dict(query))
    except ValidationError as error:
        raise UsageError(f"source {source}: " + "; ".join(_problems(model, error))) from None


def _problems(model: type[BaseModel], error: ValidationError) -> Iterator[str]:
    for problem in error.errors():
        key = ".".join(map(str, problem["loc"])) or "query"
        if problem["type"] == "extra_forbidden":
            near = get_close_matches(key, model.model_fields, n=1)
            yield f"unknown option {key!r}" + (
                f": did you mean {near[0]!r}?" if near else f" (known: {', '.join(model.model_fields)})"
            )
        else:
            said = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
            yield f"{key}: {said.replace('a valid tuple', 'a list')}"
