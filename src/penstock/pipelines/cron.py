"""Cron lines, checked: five fields as crontab(5) has them, or one of its @ names. A subset of what Dagster takes."""

from __future__ import annotations

from calendar import monthrange
from typing import NamedTuple

from penstock.pipelines.problems import Refused

ALIASES = ("@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually")


class _Field(NamedTuple):
    name: str
    low: int
    high: int
    words: dict[str, int]


_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS = (
    _Field("minute", 0, 59, {}),
    _Field("hour", 0, 23, {}),
    _Field("day of month", 1, 31, {}),
    _Field("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    _Field("day of week", 0, 7, {name: number for number, name in enumerate(_WEEKDAYS)}),
)
_LEAP_YEAR = 2024


def check_cron(line: str) -> str:
    """The line, for pydantic. Raises Refused for one that is malformed or whose day never comes."""
    if line in ALIASES:
        return line
    parts = line.split()
    if line.startswith("@") or len(parts) != len(_FIELDS):
        message = f"{line!r} is no cron line: minute, hour, day of month, month, day of week"
        raise Refused(message, f'for example "0 6 * * mon-fri", or one of {", ".join(ALIASES)}')
    _, _, days, months, _ = (_values(field, part) for field, part in zip(_FIELDS, parts, strict=True))
    if all(min(days) > monthrange(_LEAP_YEAR, month)[1] for month in months):
        raise Refused(f"{line!r} names day {min(days)} of a month that never has it", "take an earlier day")
    return line


def _values(field: _Field, text: str) -> set[int]:
    found: set[int] = set()
    for item in text.split(","):
        span, slash, step_text = item.partition("/")
        if span == "*":
            first, last = field.low, field.high
        else:
            start, dash, end = span.partition("-")
            first = _number(field, start)
            last = _number(field, end) if dash else field.high if slash else first
        step = int(step_text) if step_text.isascii() and step_text.isdigit() else 0 if slash else 1
        if first > last or not 1 <= step <= field.high:
            raise Refused(f"{item!r} is no {field.name} of a cron line", "")
        found.update(range(first, last + 1, step))
    return found


def _number(field: _Field, text: str) -> int:
    value = field.words.get(text.lower(), -1)
    if text.isascii() and text.isdigit() and len(text) <= 2:
        value = int(text)
    if not field.low <= value <= field.high:
        names = f" or {', '.join(field.words)}" if field.words else ""
        raise Refused(f"{text!r} is no {field.name} of a cron line", f"{field.low} to {field.high}{names}")
    return value
