"""Any Haystack component by its dotted name: found, given its parameters, its secrets taken from the environment."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer, model_validator

from penstock.errors import UsageError


class ComponentOptions(BaseModel):
    """The component's own init parameters, unchecked here.

    `{"type": "env_var", "env_vars": ["NAME"]}` stands for a secret out of the environment. Such a reference is left
    out when the options are dumped, so it never enters a digest and a renamed variable makes nothing stale.
    """

    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)
    __pydantic_extra__: dict[str, Any]

    @model_validator(mode="after")
    def _names_its_secrets(self) -> Self:
        for name, value in self.__pydantic_extra__.items():
            plain = isinstance(value, str) and name.endswith(("api_key", "password", "secret"))
            if plain or (isinstance(value, dict) and value.get("type") == "token"):
                raise ValueError(f'{name}: a secret is named, not written down: {{type: env_var, env_vars: ["NAME"]}}')
        return self

    @model_serializer(mode="wrap")
    def _without_secrets(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in dump(self).items() if not is_secret(value)}

    def parameters(self) -> dict[str, Any]:
        """The parameters with secret references made into Haystack's Secrets. Raises UsageError for an unset one."""
        return {name: _resolve(name, value) for name, value in self.__pydantic_extra__.items()}


def options_of(path: str) -> type[ComponentOptions]:
    """The options of the component at `path`: refused where it can't be made of them, or takes or gives no documents.

    Where they name secrets the component is not made: these may be missing where a file is only checked.
    """

    class CheckedOptions(ComponentOptions):
        @model_validator(mode="after")
        def _makes_one(self) -> Self:
            if not any(is_secret(value) for value in self.__pydantic_extra__.values()):
                _make(path, self)
            return self

    return CheckedOptions


def is_secret(value: object) -> bool:
    return isinstance(value, dict) and value.get("type") == "env_var" and "env_vars" in value


def find_component(path: str) -> type[Any]:
    """The component class at `package.module.Class`. Raises UsageError when it isn't there or isn't a component."""
    module_name, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module_name), name)
    except ImportError as error:
        raise UsageError(
            f"{path}: {error}", next_step=f"install the package that provides {module_name.split('.')[0]}"
        ) from error
    except (AttributeError, ValueError):
        raise UsageError(f"{path}: no such class in {module_name or 'any module'}") from None
    if not (isinstance(found, type) and callable(getattr(found, "run", None))):
        raise UsageError(f"{path} is no Haystack component: it has no run method")
    return found


def construct(path: str, options: ComponentOptions) -> Any:
    """The component, warmed up. Raises UsageError when it refuses its parameters, or takes or gives no documents."""
    component = _make(path, options)
    if callable(warm_up := getattr(component, "warm_up", None)):
        with _told(path):
            warm_up()
    return component


def _make(path: str, options: ComponentOptions) -> Any:
    kind = find_component(path)
    parameters = options.parameters()
    with _told(path):
        component = kind(**parameters)
    if problem := _misfit(component):
        raise UsageError(f"{path} {problem}", next_step="name a component that takes documents and gives documents")
    return component


def _misfit(component: Any) -> str:
    """Why documents can't be sent through a component, one by one; "" where they can.

    Haystack's own say so in their sockets.
    """
    try:
        inspect.signature(component.run).bind(documents=[])
    except TypeError as error:
        return f"can't be run on documents alone: {error}"
    taken, given = getattr(component, "__haystack_input__", None), getattr(component, "__haystack_output__", None)
    if taken is not None and (socket := taken.get("documents")) is not None and socket.is_variadic:
        return "joins the documents of many"
    return "" if given is None or given.get("documents") is not None else "gives no documents"


@contextmanager
def _told(path: str) -> Iterator[None]:
    """What a component says against its parameters, as a UsageError."""
    try:
        yield
    except (TypeError, ValueError, ImportError, LookupError, OSError) as error:
        raise UsageError(f"{path} can't be made with these options: {error}", next_step="correct them") from error


def _resolve(name: str, value: Any) -> Any:
    if not is_secret(value):
        return value
    from haystack.utils import Secret

    variables = value["env_vars"]
    secret = Secret.from_env_var(variables, strict=bool(value.get("strict", True)))
    try:
        secret.resolve_value()
    except ValueError:
        raise UsageError(f"{name}: none of {', '.join(variables)} is set in the environment") from None
    return secret
