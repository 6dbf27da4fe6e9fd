"""resilience.yaml: named policies, each validated by the policy model that the caller brings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from penstock.errors import ConfigError, Problem
from penstock.pipelines.problems import of_validation, suggest
from penstock.pipelines.source import read

P = TypeVar("P", bound=BaseModel)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,59}")


class Policies(dict[str, P]):
    """Policies by name, without those that don't hold. `broken`: what is first wrong with each of these.

    `unread`: what is wrong with the file, where that leaves it without any policy.
    """

    def __init__(self, broken: dict[str, Problem], unread: Problem | None = None) -> None:
        super().__init__()
        self.broken, self.unread = broken, unread

    def why_missing(self, name: str) -> Problem | None:
        """What keeps a policy that the file may well have from being taken; None: it has no such policy."""
        return self.broken.get(name) or self.unread


def load_policies(path: Path, policy_model: type[P]) -> dict[str, P]:
    """Policies by name. Raises ConfigError with all that is wrong in the file."""
    policies, problems = read_policies(path, policy_model)
    if problems:
        raise ConfigError(problems)
    return policies


def read_policies(path: Path, policy_model: type[P]) -> tuple[Policies[P], list[Problem]]:
    """The policies that hold, and the problems of the others: a slip in one does not take all pipelines down."""
    try:
        file = read(path)
    except ConfigError as error:
        return Policies({}, error.problems[0]), error.problems
    problems = file.problems
    if not isinstance(file.value, dict):
        message = "the file is empty" if file.value is None else "this must be a mapping"
        problems = [*problems, file.problem((), message, "begin with policies:")]
        return Policies({}, problems[-1]), problems
    for key in file.value:
        if key != "policies":
            file.note((key,), f"unknown key {key!r}", suggest(key, ["policies"]), key=True)
    entries = file.value.get("policies")
    if not isinstance(entries, Mapping) or not entries:
        file.note(("policies",), "'policies' must be a mapping of names to policies")
        return Policies({}, problems[-1]), problems
    policies: Policies[P] = Policies({})
    for name, entry in entries.items():
        loc = ("policies", name)
        if not _NAME.fullmatch(name):
            message = f"the name {name!r} is not letters, digits, '_', '.' and '-'"
            file.note(loc, message, key=True)
            continue
        try:
            policies[name] = policy_model.model_validate(entry)
        except ValidationError as error:
            found = of_validation(file, error, loc, policy_model)
            policies.broken[name] = found[0]
            problems += found
    return policies, sorted(problems, key=lambda problem: (problem.line, problem.column))
