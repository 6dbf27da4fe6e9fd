"""What is wrong, in words a person can act on: nearest names, and pydantic's errors as Problems."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from copy import deepcopy
from difflib import get_close_matches
from itertools import groupby
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from penstock.errors import Problem
from penstock.pipelines.source import Loc, YamlFile

M = TypeVar("M", bound=BaseModel)

_WANTED = {
    "string": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
    "dict": "a mapping",
    "model": "a mapping",
}
"""By the first word of pydantic's error types (string_type, int_parsing, …)."""


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


def suggest(name: str, names: Iterable[str], label: str = "one of") -> str:
    """`did you mean 'x'?`, else what there is to choose from."""
    known = sorted(names)
    if close := nearest(name, known):
        return f"did you mean {close!r}?"
    return f"{label}: {', '.join(known)}" if known else "there is none"


def validated(file: YamlFile, raw: dict[str, Any], base: Loc, model: type[M]) -> tuple[M | None, set[str]]:
    """The model of a mapping at `base`, and the keys in which something was wrong, which the file then notes.

    Of these keys as much is left out of the model as must be. None where even without them there is no model: then
    something required is missing or wrong.
    """
    try:
        return model.model_validate(raw), set()
    except ValidationError as error:
        file.problems += of_validation(file, error, base, model)
        places = [detail["loc"] for detail in error.errors(include_url=False) if detail["loc"]]
    wrong = {str(place[0]) for place in places}
    for less in (_pruned(raw, places), {key: value for key, value in raw.items() if key not in wrong}):
        try:
            return model.model_validate(less), wrong
        except ValidationError:
            continue
    return None, wrong


def _pruned(raw: dict[str, Any], places: Iterable[Loc]) -> dict[str, Any]:
    """A copy without the innermost keys that lead to these places."""
    pruned = deepcopy(raw)
    for place in places:
        here: dict[Any, Any] = pruned
        depth = 0
        while isinstance(inner := here.get(place[depth]), dict) and depth + 1 < len(place):
            here, depth = inner, depth + 1
        here.pop(place[depth], None)
    return pruned


def of_yaml(model: type[M], raw: object) -> M:
    """The model of a value out of YAML, read as JSON: a strict model then takes a list for a tuple, and "3" or true for
    no number. Raises ValidationError.
    """
    return model.model_validate_json(json.dumps(raw))


def of_validation(file: YamlFile, error: ValidationError, base: Loc, model: type[BaseModel]) -> list[Problem]:
    """Pydantic's errors, each at its place; the branches of a union that all refuse one value are one Problem.

    `base` is where the validated value lies in the file.
    """

    def place(detail: ErrorDetails) -> tuple[str, Loc]:
        loc = (*base, *detail["loc"])
        return ("missing", loc) if detail["type"] == "missing" else ("value", file.resolve(loc))

    found = []
    for (_, loc), group in groupby(error.errors(include_url=False), key=place):
        details = list(group)
        if details[0]["type"] == "missing":
            found.append(file.problem(loc, f"the key {str(loc[-1])!r} is missing", f"add {str(loc[-1])!r}"))
        elif details[0]["type"] == "extra_forbidden":
            *way, key = details[0]["loc"]
            fix = suggest(str(key), _keys_at(model, way))
            found.append(file.problem(loc, f"unknown key {str(key)!r}", fix, key=True))
        else:
            found.append(file.problem(loc, *_wrong_value(_label(loc), details)))
    return found


def _wrong_value(key: str, details: Sequence[ErrorDetails]) -> tuple[str, str]:
    """Message and fix for a value that one type, or every branch of a union, refuses."""
    value = details[0]["input"]
    wanted = [kind for detail in details if (kind := _wanted(detail))]
    if value is None or any(detail.get("ctx", {}).get("actual_length") == 0 for detail in details):
        return f"{key!r} is empty", "give it a value or delete the key"
    if len(wanted) == len(details):
        fix = ""
        if "text" in wanted and isinstance(value, int | float):
            fix = f'put it in quotes: "{_shown(value)}"'
        elif "a list" in wanted and isinstance(value, str):
            fix = f"write {key}: [{value}]"
        elif "a list" in wanted:
            fix = "write - before each of its entries"
        elif {"a whole number", "a number"} >= set(wanted):
            fix = f"write a number after {key}:, without quotes"
        return f"{key!r} must be {' or '.join(dict.fromkeys(wanted))}, which {_shown(value)} is not", fix
    said = [_refusal(key, detail) for detail in details]
    return "; ".join(dict.fromkeys(message for message, _ in said)), next((fix for _, fix in said if fix), "")


def _wanted(detail: ErrorDetails) -> str:
    kind, _, rest = detail["type"].partition("_")
    return _WANTED.get(kind, "") if rest in ("type", "parsing", "from_float", "attributes_type") else ""


def _refusal(key: str, detail: ErrorDetails) -> tuple[str, str]:
    context, shown = detail.get("ctx", {}), _shown(detail["input"])
    cause = context.get("error")
    if isinstance(cause, Refused):
        return str(cause), cause.fix
    if detail["type"] == "literal_error":
        expected = str(context.get("expected", "")).replace("True", "true")
        names = re.findall("'([^']*)'", expected)
        close = nearest(detail["input"], names) if isinstance(detail["input"], str) and len(names) > 1 else None
        only = expected.replace("'", '"')
        fix = f"did you mean {close!r}?" if close else f"write {key}: {only}" if len(names) <= 1 else ""
        return f"{key!r} must be {expected}, not {shown}", fix
    if detail["msg"].startswith("Input should "):
        return f"{key!r} must {detail['msg'].removeprefix('Input should ')}, not {shown}", ""
    return f"{key!r}: {detail['msg'].removeprefix('Value error, ')}", ""


def _label(loc: Loc) -> str:
    """`depends_on`, or `depends_on, item 2`."""
    names = [part for part in loc if isinstance(part, str)]
    item = f", item {loc[-1] + 1}" if loc and isinstance(loc[-1], int) else ""
    return f"{names[-1] if names else 'this'}{item}"


def _shown(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _keys_at(model: type[BaseModel], way: Iterable[str | int]) -> list[str]:
    """The keys a mapping may have that lies `way` below one that `model` describes."""
    here = model
    for part in way:
        inner = next((field for name, field in here.model_fields.items() if part in (name, field.alias)), None)
        here = (inner and _model_in(inner.annotation)) or here
    return [field.alias or name for name, field in here.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model an annotation holds, through Optional, unions and containers."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for inner in get_args(annotation) if (model := _model_in(inner))), None)
