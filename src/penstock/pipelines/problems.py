"""What is wrong, in words a person can act on: nearest names, and pydantic's errors as Problems."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from penstock.errors import Problem
from penstock.pipelines.source import Loc, YamlFile

_KINDS = {"string": "text", "int": "a whole number", "float": "a number", "bool": "true or false", "list": "a list"}
_KINDS |= {"dict": "a mapping", "model": "a mapping", "tuple": "a list", "set": "a list"}


class Refused(ValueError):
    """A validator's no, with what would mend it."""

    def __init__(self, message: str, fix: str = "") -> None:
        super().__init__(message)
        self.fix = fix


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The name that was probably meant, or None."""
    known = {candidate.lower(): candidate for candidate in names}
    close = get_close_matches(name.lower(), known, n=1, cutoff=0.6)
    return known[close[0]] if close else None


def suggest(name: str, names: Iterable[str]) -> str:
    """`did you mean 'x'?`, else what there is to choose from."""
    known = sorted(names)
    if close := nearest(name, known):
        return f"did you mean {close!r}?"
    return f"there is: {', '.join(known)}" if known else "there is none"


def of_validation(file: YamlFile, error: ValidationError, base: Loc, model: type[BaseModel]) -> list[Problem]:
    """Each of pydantic's errors at its place; several about one value (a union's branches) become one Problem.

    `base` is where the validated value lies in the file.
    """
    found: dict[tuple[int, int], Problem] = {}
    for detail in error.errors(include_url=False):
        loc = (*base, *detail["loc"])
        unknown_key = detail["type"] == "extra_forbidden"
        message, fix = _unknown_key(detail, model) if unknown_key else _wrong_value(detail, file, loc)
        problem = file.problem(loc, message, fix, key=unknown_key)
        earlier = found.setdefault((problem.line, problem.column), problem)
        if earlier.message != problem.message:
            joined = Problem(
                file.name, problem.line, problem.column, f"{earlier.message}; {message}", earlier.fix or fix
            )
            found[problem.line, problem.column] = joined
    return list(found.values())


def _unknown_key(detail: ErrorDetails, model: type[BaseModel]) -> tuple[str, str]:
    *way, key = detail["loc"]
    return f"unknown key {str(key)!r}", suggest(str(key), _keys_at(model, way))


def _wrong_value(detail: ErrorDetails, file: YamlFile, loc: Loc) -> tuple[str, str]:
    kind, value = detail["type"], detail["input"]
    if kind == "missing":
        return f"the key {str(detail['loc'][-1])!r} is missing", f"add {str(detail['loc'][-1])!r}"
    key = _label(file.resolve(loc))
    if value is None:
        return f"{key!r} is empty", "give it a value or delete the key"
    wanted = next(
        (text for start, text in _KINDS.items() if kind.startswith(f"{start}_") and kind.endswith("_type")), ""
    )
    if wanted:
        fix = f'put it in quotes: {key}: "{value}"' if wanted == "text" and isinstance(value, int | float) else ""
        return f"{key!r} must be {wanted}, which {_shown(value)} is not", fix
    if kind == "literal_error":
        expected = str(detail.get("ctx", {}).get("expected", "")).replace("True", "true")
        return f"{key!r} must be {expected}, not {_shown(value)}", _closest(value, expected)
    cause = detail.get("ctx", {}).get("error")
    if isinstance(cause, Refused):
        return str(cause), cause.fix
    message = detail["msg"].removeprefix("Value error, ").replace("Input should", "should")
    return f"{key!r}: {message}, not {_shown(value)}" if message.startswith("should") else f"{key!r}: {message}", ""


def _closest(value: object, expected: str) -> str:
    near = nearest(value, re.findall("'([^']*)'", expected)) if isinstance(value, str) else None
    return f"did you mean {near!r}?" if near else ""


def _label(loc: Loc) -> str:
    """`depends_on`, or `depends_on, item 2`."""
    names = [part for part in loc if isinstance(part, str)]
    item = f", item {loc[-1] + 1}" if loc and isinstance(loc[-1], int) else ""
    return f"{names[-1] if names else 'this'}{item}"


def _shown(value: object) -> str:
    text = {True: "true", False: "false"}.get(value, repr(value)) if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _keys_at(model: type[BaseModel], way: Iterable[str | int]) -> list[str]:
    """The keys a mapping may have that lies `way` below one that `model` describes."""
    here: Any = model
    for part in way:
        fields = here.model_fields if isinstance(here, type) and issubclass(here, BaseModel) else {}
        inner = next((f.annotation for name, f in fields.items() if part in (name, f.alias)), None)
        here = _model_in(inner) or here
    return [field.alias or name for name, field in here.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model an annotation holds, through Optional, unions and containers."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for inner in get_args(annotation) if (model := _model_in(inner))), None)


M = TypeVar("M", bound=BaseModel)


def validated(file: YamlFile, raw: dict[str, Any], base: Loc, model: type[M]) -> tuple[M | None, set[str]]:
    """The model of a mapping at `base`, and the keys that had to be left out of it; notes what was wrong in the file.

    None where even without those keys there is no model: then something required is missing or wrong.
    """
    try:
        return model.model_validate(raw), set()
    except ValidationError as error:
        file.problems += of_validation(file, error, base, model)
        wrong = {str(detail["loc"][0]) for detail in error.errors(include_url=False) if detail["loc"]}
    try:
        return model.model_validate({key: value for key, value in raw.items() if key not in wrong}), wrong
    except ValidationError:
        return None, wrong
