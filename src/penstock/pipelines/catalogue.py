"""What the loader must know of the installed contracts and implementations: specs, no stage code."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, get_args, get_origin

from pydantic import BaseModel


def type_name(kind: object) -> str:
    """`Document`, `list[Chunk]`: the name of a flowing type as messages and diagrams show it."""
    arguments = get_args(kind)
    name = getattr(get_origin(kind) or kind, "__name__", str(kind))
    return f"{name}[{', '.join(type_name(a) for a in arguments)}]" if arguments else name


@dataclass(frozen=True, slots=True)
class Take:
    """One input of a contract: the field of the item it fills, and the flowing type."""

    field: str
    type: object
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Contract:
    """A kind of stage.

    `arity`: "listing" runs once a submission and yields payloads; "one" takes a document at a time; "many" takes a
    sequence of documents' (context, item) pairs and answers one output for each, in order.
    `item`: the record that several `takes` are put into; None where there is one, which is then the item itself.
    `gives`: the flowing type, storable by penstock.ir.codec. `sink`: the output is a receipt for a write elsewhere.
    `sets`: the ledger field that a finished stage of this contract sets to true.
    `check`: what else must hold between item and output: None, or what is wrong.
    """

    name: str
    protocol: type
    takes: tuple[Take, ...]
    gives: object
    arity: Literal["listing", "one", "many"] = "one"
    item: type | None = None
    sink: bool = False
    default: str = ""
    sets: str | None = None
    check: Callable[[Any, Any], str | None] | None = None


@dataclass(frozen=True, slots=True)
class LedgerField:
    """What a gate may wait for: a worker outside sets `name` on a job that has a `needs`, and thereby gives `gives`."""

    name: str
    needs: object
    gives: object
    worker: str
    """The command that starts such a worker, for messages."""


class Implementation(Protocol):
    """What every stage implementation declares on its class; `execute` is its contract's business.

    `needs` names the services its constructor takes by keyword after the options: "http" (a guarded httpx client;
    then every request is guarded rather than the call), "index", "graph", "sources", "artifacts".
    """

    name: str
    version: str
    contract: str
    needs: tuple[str, ...]
    Options: type[BaseModel]

    def __init__(self, options: Any, **services: Any) -> None: ...


class Catalogue(Protocol):
    """The installed contracts, implementations and sources. `load` imports one implementation, and only that one."""

    @property
    def contracts(self) -> Mapping[str, Contract]: ...

    @property
    def sources(self) -> Sequence[str]: ...

    @property
    def ledger_fields(self) -> Mapping[str, LedgerField]: ...

    def query(self, source: str) -> type[BaseModel]:
        """The model of what one of `sources` may be asked. Raises UsageError for one that can't be imported."""
        ...

    def implementations(self, contract: str) -> Sequence[str]:
        """Registered names for a contract, sorted, none of them imported."""
        ...

    def load(self, contract: str, name: str) -> type[Implementation]:
        """The class, checked against its contract.

        Raises NotFound for an unknown name, UsageError for one that can't be imported (with the extra to install)
        or lacks what its contract asks (saying what is missing).
        """
        ...


@dataclass(frozen=True)
class StaticCatalogue:
    """A catalogue of given things: for tests and for embedding."""

    contracts: Mapping[str, Contract] = field(default_factory=dict)
    classes: Mapping[tuple[str, str], type[Implementation]] = field(default_factory=dict)
    sources: Sequence[str] = ()
    ledger_fields: Mapping[str, LedgerField] = field(default_factory=dict)
    queries: Mapping[str, type[BaseModel]] = field(default_factory=dict)

    def query(self, source: str) -> type[BaseModel]:
        from penstock.errors import NotFound

        if source not in self.queries:
            raise NotFound(f"there is no telling what the source {source!r} may be asked")
        return self.queries[source]

    def implementations(self, contract: str) -> Sequence[str]:
        return sorted(name for kind, name in self.classes if kind == contract)

    def load(self, contract: str, name: str) -> type[Implementation]:
        from penstock.errors import NotFound

        try:
            return self.classes[contract, name]
        except KeyError:
            raise NotFound(f"{contract} has no implementation {name!r}") from None
