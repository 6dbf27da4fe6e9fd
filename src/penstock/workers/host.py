"""What a worker needs of an engine on its own side of the pipe: how to start it, and whether it still works."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError

from penstock.errors import EngineUnavailable, NotFound, UsageError
from penstock.pipelines.problems import suggest
from penstock.workers.children import Limits

GROUP = "penstock.engines"


class Host(Protocol):
    """`target` ("module:Class"), `options` and `environment` are what its child processes are given; `name`, `version`
    and `options` are what its results are known by."""

    name: str
    version: str
    target: str
    slots: int
    limits: Limits

    @property
    def options(self) -> Mapping[str, Any]: ...

    @property
    def environment(self) -> Mapping[str, str]: ...

    def start(self, stop: Callable[[], None]) -> None:
        """Raises EngineUnavailable, saying in one line what is missing, and what `stop` does, which is called while it
        takes long."""
        ...

    def recover(self, error: EngineUnavailable) -> None:
        """Called when the engine could not work. Raises it, or another, when there is nothing to be done."""
        ...

    def parsed(self) -> None:
        """Called after each document."""
        ...

    def close(self) -> None: ...


@dataclass
class ChildHost:
    """An engine that lives in its children alone."""

    name: str
    version: str
    target: str
    slots: int = 1
    limits: Limits = field(default_factory=Limits)
    options: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    def start(self, stop: Callable[[], None]) -> None:
        return None

    def recover(self, error: EngineUnavailable) -> None:
        raise error

    def parsed(self) -> None:
        return None

    def close(self) -> None:
        return None


def child_host(
    name: str,
    options: Mapping[str, Any],
    *,
    slots: int,
    limits: Limits,
    environment: Mapping[str, str] | None = None,
    made: type[ChildHost] = ChildHost,
) -> ChildHost:
    """An engine by its registered name, as a host of the class `made`.

    Raises NotFound with the nearest name, UsageError for options it does not take.
    """
    found = {point.name: point for point in entry_points(group=GROUP)}
    if name not in found:
        raise NotFound(f"there is no engine {name!r}", next_step=suggest(name, found))
    engine = found[name].load()
    checked = checked_options(name, engine.Options, options)
    return made(name, engine.version, found[name].value, slots, limits, checked, environment or {})


def checked_options(name: str, model: type[BaseModel], options: Mapping[str, Any]) -> dict[str, Any]:
    """All of an engine's options, as JSON has them. Raises UsageError."""
    try:
        return model.model_validate(dict(options)).model_dump(mode="json")
    except ValidationError as error:
        first = error.errors()[0]
        said = first["msg"].removeprefix("Value error, ")
        raise UsageError(f"engine {name}: {'.'.join(map(str, first['loc']))}: {said}") from None
