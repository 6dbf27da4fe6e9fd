# ruff: noqa: S608 — only words of this program become SQL; what comes from outside is bound
"""What a search may be narrowed by, as SQL with bound values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

from penstock.errors import UsageError

_DATE = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class Filters:
    """All given conditions must hold; within one, any value does. An empty tuple or None asks for nothing.

    `since` and `until` are ISO dates as precise as wanted, both inclusive. A date and a document's date are compared
    as precisely as the coarser of the two is: a document of "2024" is within since="2024-03". One without a date isn't
    within anything. `metadata`: the value under a name, or one of the values of a list there, equals one of those
    asked for. Raises UsageError for a date or a name of another form.
    """

    sources: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    since: str | None = None
    until: str | None = None
    doc_ids: tuple[str, ...] = ()
    metadata: Mapping[str, tuple[str | int | float | bool, ...]] = field(default_factory=dict)
    chunk_ids: tuple[str, ...] | None = None
    """Only these chunks; an empty tuple means none at all."""

    def __post_init__(self) -> None:
        for date in (self.since, self.until):
            if date is not None and not _DATE.fullmatch(date):
                raise UsageError(f"{date!r} is no date: write 2024, 2024-03 or 2024-03-09")
        for name in self.metadata:
            if not _NAME.fullmatch(name):
                raise UsageError(f"{name!r} is no name of metadata: letters, digits, dots and dashes only")

    @property
    def given(self) -> bool:
        return self != Filters()

    def sql(self) -> tuple[str, list[str]]:
        """Conditions on `d` (documents) and `c` (chunks), each beginning with AND, and their bindings."""
        conditions: list[str] = []
        bindings: list[str] = []

        def add(condition: str, *values: str) -> None:
            conditions.append(f" AND {condition}")
            bindings.extend(values)

        for column, wanted in (("d.source", self.sources), ("d.kind", self.kinds), ("d.doc_id", self.doc_ids)):
            if wanted:
                add(f"{column} IN (SELECT value FROM json_each(?))", _json(wanted))
        if self.since is not None:
            add("d.date >= substr(?, 1, length(d.date))", self.since)
        if self.until is not None:
            add("substr(d.date, 1, ?) <= ?", str(len(self.until)), self.until)
        for name, values in self.metadata.items():
            add(
                "EXISTS (SELECT 1 FROM json_each(d.metadata, ?) m, json_each(?) w WHERE m.value = w.value)",
                f'$."{name}"',
                _json(values),
            )
        if self.chunk_ids is not None:
            add("c.chunk_id IN (SELECT value FROM json_each(?))", _json(self.chunk_ids))
        return "".join(conditions), bindings


def _json(values: tuple[object, ...]) -> str:
    return orjson.dumps(values).decode()
