"""What is installed: contracts, implementations and sources, by entry point, ours through the same door as others'.

Names are listed without importing anything; a thing is imported, and checked, when it is first asked for. So a plugin
that is broken, or registered twice, breaks only what names it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, cached_property
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

from pydantic import BaseModel

from penstock.errors import NotFound, UsageError
from penstock.pipelines.catalogue import Contract, Implementation, LedgerField
from penstock.pipelines.problems import suggest
from penstock.stages.contracts import LEDGER_FIELDS

CONTRACTS, STAGES, SOURCES = "penstock.contracts", "penstock.stages", "penstock.sources"

ADAPTERS = {"ChunkStage": "penstock.stages.chunk_haystack", "EmbedStage": "penstock.stages.embed"}
"""Contracts whose `use:` may be a Haystack component by dotted path, and the module whose `adapt(path)` wraps it."""


class EntryPointCatalogue:
    """A `penstock.pipelines.catalogue.Catalogue` of the installed entry points (or of given ones)."""

    def __init__(self, points: Callable[[str], Iterable[EntryPoint]] | None = None) -> None:
        """`points`: group → its entry points; by default those of the installed distributions."""
        find = points or (lambda group: entry_points(group=group))
        self._doors = {group: _Door(group, find) for group in (CONTRACTS, STAGES, SOURCES)}
        self._classes: dict[tuple[str, str], type[Implementation]] = {}

    @cached_property
    def contracts(self) -> Mapping[str, Contract]:
        return _Contracts(self._doors[CONTRACTS])

    @property
    def sources(self) -> list[str]:
        return sorted(self._doors[SOURCES].names)

    @property
    def ledger_fields(self) -> Mapping[str, LedgerField]:
        return LEDGER_FIELDS

    def implementations(self, contract: str) -> list[str]:
        prefix = f"{contract}."
        return sorted(name.removeprefix(prefix) for name in self._doors[STAGES].names if name.startswith(prefix))

    def load(self, contract: str, name: str) -> type[Implementation]:
        """The class, checked against its contract; of a dotted name, the adapter of that Haystack component.

        Raises NotFound for an unknown name, UsageError for one that can't be imported or lacks what it must have.
        """
        if (contract, name) not in self._classes:
            self._classes[contract, name] = self._load(contract, name)
        return self._classes[contract, name]

    def _load(self, contract: str, name: str) -> type[Implementation]:
        spec = self.contracts[contract]
        registered = f"{contract}.{name}" in self._doors[STAGES].names
        if registered:
            found = self._doors[STAGES].load(f"{contract}.{name}")
        elif "." in name:
            found = _adapt(contract, name)
        else:
            fix = suggest(name, self.implementations(contract))
            raise NotFound(f"{contract} has no implementation {name!r}", next_step=fix)
        missing = check(found, spec)
        if registered and not missing and found.name != name:
            missing = [f"is registered as {name!r}, but its name is {found.name!r}"]
        if missing:
            where = f"{getattr(found, '__module__', '?')}.{getattr(found, '__qualname__', found)}"
            raise UsageError(f"{where} can't be a {contract}: it {'; it '.join(missing)}", next_step="mend the class")
        return cast(type[Implementation], found)

    def source(self, name: str) -> Any:
        """The class of a source. Raises NotFound or UsageError as `load` does."""
        if name not in self._doors[SOURCES].names:
            raise NotFound(f"there is no source {name!r}", next_step=suggest(name, self.sources))
        return self._doors[SOURCES].load(name)

    def query(self, source: str) -> type[BaseModel]:
        """The model of what a source may be asked. Raises NotFound or UsageError as `load` does."""
        model = getattr(self.source(source), "Query", None)
        if not (inspect.isclass(model) and issubclass(model, BaseModel)):
            raise UsageError(f"the source {source!r} lacks `Query`, a pydantic model", next_step="mend the class")
        return model

    def build(
        self, contract: str, name: str, options: BaseModel | None, services: Mapping[str, object]
    ) -> Implementation:
        """An implementation with the services it needs. Raises UsageError for a need that `services` has not."""
        found = self.load(contract, name)
        lacking = sorted(set(found.needs) - set(services))
        if lacking:
            there = ", ".join(sorted(services)) or "none"
            message = f"{contract} {name!r} needs the service {' and '.join(map(repr, lacking))}; there is: {there}"
            raise UsageError(message, next_step="correct the class's `needs`")
        return found(found.Options() if options is None else options, **{need: services[need] for need in found.needs})


def check(found: object, contract: Contract) -> list[str]:
    """What a class lacks to implement a contract, each as a phrase to follow "it"; empty when nothing."""
    if not inspect.isclass(found):
        return ["is not a class"]
    if inspect.isabstract(found):
        return [f"is abstract: {', '.join(sorted(getattr(found, '__abstractmethods__', ())))}"]
    missing = [
        f"lacks `{name}`, a text"
        for name in ("name", "version")
        if not _is_text(inspect.getattr_static(found, name, None))
    ]
    if getattr(found, "contract", None) != contract.name:
        missing.append(f"lacks contract = {contract.name!r}")
    options = getattr(found, "Options", None)
    if not (inspect.isclass(options) and issubclass(options, BaseModel)):
        missing.append("lacks `Options`, a pydantic model")
    needs = getattr(found, "needs", None)
    if not (isinstance(needs, tuple) and all(isinstance(need, str) for need in needs)):
        missing.append("lacks `needs`, a tuple of service names (empty: `needs = ()`)")
    elif not _takes(found, 1, needs):
        wanted = ", ".join(["options", *(f"{need}=…" for need in needs)])
        missing.append(f"can't be constructed as {found.__name__}({wanted})")
    for method, arguments in _methods(contract.protocol).items():
        problem = _method_problem(found, method, arguments)
        if problem:
            missing.append(problem)
    return missing


def _methods(protocol: type) -> dict[str, int]:
    """The public methods of a Protocol, and how many arguments each takes after self."""
    methods: dict[str, int] = {}
    for base in reversed(protocol.__mro__):
        for name, member in vars(base).items():
            if inspect.isfunction(member) and not name.startswith("_"):
                methods[name] = len(inspect.signature(member).parameters) - 1
    return methods


def _method_problem(found: type, name: str, arguments: int) -> str:
    method = getattr(found, name, None)
    if not callable(method):
        return f"lacks the method `{name}`"
    if inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method):
        return f"has an async `{name}`; it must be a plain method"
    bound = isinstance(inspect.getattr_static(found, name), staticmethod | classmethod)
    if not _takes(method, arguments + (not bound), ()):
        return f"has a `{name}` that does not take {arguments} arguments after self"
    return ""


def _takes(function: Callable[..., Any], positional: int, keywords: Iterable[str]) -> bool:
    try:
        inspect.signature(function).bind(*[None] * positional, **dict.fromkeys(keywords))
    except (TypeError, ValueError):
        return False
    return True


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _adapt(contract: str, path: str) -> Any:
    if contract not in ADAPTERS:
        able = " and ".join(ADAPTERS)
        raise UsageError(
            f"{contract} takes no Haystack component ({path}); {able} do", next_step="use a registered name"
        )
    try:
        return import_module(ADAPTERS[contract]).adapt(path)
    except UsageError:
        raise
    except Exception as error:  # the component's own import may raise anything
        raise UsageError(f"{path} can't be imported: {type(error).__name__}: {error}") from error


class _Door:
    """One group of entry points: names now, things when asked for."""

    def __init__(self, group: str, find: Callable[[str], Iterable[EntryPoint]]) -> None:
        self._group = group
        self._find = find

    @cached_property
    def names(self) -> dict[str, list[EntryPoint]]:
        """Name → its registrations: one, unless distributions quarrel."""
        found: dict[str, dict[tuple[str, str], EntryPoint]] = {}
        for point in self._find(self._group):
            found.setdefault(point.name, {})[_distribution(point), point.value] = point
        return {name: list(points.values()) for name, points in found.items()}

    def load(self, name: str) -> Any:
        """The thing of a name there is. Raises UsageError when it is registered twice or can't be imported."""
        points = self.names[name]
        if len(points) > 1:
            who = " and ".join(sorted(f"{_distribution(point)} ({point.value})" for point in points))
            raise UsageError(
                f"{name!r} is registered twice in {self._group}: by {who}", next_step="uninstall one of them"
            )
        return _import(points[0])


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist else "an unknown distribution"


def _import(point: EntryPoint) -> Any:
    who = f"{point.name!r} of {_distribution(point)}"
    try:
        return point.load()
    except UsageError:
        raise
    except ModuleNotFoundError as error:
        message = f"{who} needs the module {error.name!r}, which is not installed"
        raise UsageError(message, next_step=_install_hint(point, error.name or "")) from error
    except Exception as error:  # a plugin's import may raise anything
        message = f"{who} can't be imported: {type(error).__name__}: {error}"
        raise UsageError(message, next_step="mend the plugin, or uninstall it") from error


def _install_hint(point: EntryPoint, module: str) -> str:
    """The extra that the entry point names (`name = module:attr [extra]`), else the missing module's own name."""
    package = module.partition(".")[0]
    if package == point.module.partition(".")[0]:
        return f"reinstall {_distribution(point)}: its own module is missing"
    wanted = f"{_distribution(point)}[{','.join(point.extras)}]" if point.extras else package
    return f"pip install '{wanted}'"


class _Contracts(Mapping[str, Contract]):
    """Contracts by name, each loaded when first asked for. Asking for a broken one raises UsageError."""

    def __init__(self, door: _Door) -> None:
        self._door = door
        self._get = cache(self._load)

    def __getitem__(self, name: str) -> Contract:
        if name not in self._door.names:
            raise KeyError(name)
        return self._get(name)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._door.names))

    def __len__(self) -> int:
        return len(self._door.names)

    def __contains__(self, name: object) -> bool:
        return name in self._door.names

    def _load(self, name: str) -> Contract:
        found = self._door.load(name)
        if not isinstance(found, Contract) or found.name != name:
            raise UsageError(
                f"the contract {name!r} is registered as {found!r}", next_step="register a Contract of that name"
            )
        return found
