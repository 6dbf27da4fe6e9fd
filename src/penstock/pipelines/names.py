"""Names of pipelines and stages: what Dagster can take, since they become its jobs and ops."""

from __future__ import annotations

import keyword
import re

from penstock.pipelines.problems import Refused

PATTERN = "^[A-Za-z][A-Za-z0-9]*([_-][A-Za-z0-9]+)*$"
"""Single separators only: Dagster's op names join pipeline and stage by two underscores."""
MAX_LENGTH = 60

RESERVED = {
    *keyword.kwlist,
    *("context", "conf", "config", "meta", "arg_dict", "dict", "input_arg_dict", "output_arg_dict"),
    *("int", "str", "float", "bool", "input", "output", "type"),
}
"""What Dagster refuses as a name (dagster 1.13.27, dagster/_core/definitions/utils.py, DISALLOWED_NAMES)."""


def dagster_name(name: str) -> str:
    """`pdf-two-phase` → `pdf_two_phase`."""
    return name.replace("-", "_")


def check_name(name: str) -> str:
    """The name, for pydantic. Raises Refused."""
    if dagster_name(name) in RESERVED:
        raise Refused(f"the name {name!r} is reserved by Dagster", f"for example {name + '_step'!r}")
    if len(name) > MAX_LENGTH:
        raise Refused(f"a name has at most {MAX_LENGTH} characters, this has {len(name)}", "shorten it")
    if not re.fullmatch(PATTERN, name):
        plain = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")
        fix = f"write {plain!r}" if re.fullmatch(PATTERN, plain) else ""
        raise Refused(f"the name {name!r} is not letters and digits, joined by single - or _", fix)
    return name
