# ruff: noqa: S608 — only words of this program become SQL; what comes from outside is bound
"""What a search may be narrowed by, as SQL with bound values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import apsw
import numpy as np
import orjson
from numpy.typing import NDArray

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
        for given in (self.since, self.until):
            if given is not None and not _is_date(given):
                raise UsageError(f"{given!r} is no date: write 2024, 2024-03 or 2024-03-09")
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

    def rows(self, db: apsw.Connection, tenant: int) -> NDArray[np.int64] | None:
        """Row numbers of the chunks of `tenant` that pass, true within one snapshot; None: nothing was asked for."""
        if not self.given:
            return None
        conditions, bindings = self.sql()
        if self.chunk_ids is not None:
            chosen = db.execute(
                "SELECT c.number FROM chunks c JOIN documents d ON d.number = c.document"
                f" WHERE d.tenant = ?{conditions}",
                (tenant, *bindings),
            )
            return np.array([number for (number,) in chosen], np.int64)
        documents = db.execute(
            f"SELECT d.first, d.chunks FROM documents d WHERE d.live AND d.tenant = ?{conditions}",
            (tenant, *bindings),
        )
        first, chunks = np.array(list(documents), np.int64).reshape(-1, 2).T
        within = np.arange(chunks.sum()) - np.repeat(np.cumsum(chunks) - chunks, chunks)
        rows: NDArray[np.int64] = np.repeat(first, chunks) + within
        return rows


def _json(values: tuple[object, ...]) -> str:
    return orjson.dumps(values).decode()


def _is_date(given: str) -> bool:
    """An ISO date as precise as wanted, of a day that there is."""
    try:
        return _DATE.fullmatch(given) is not None and date.fromisoformat(given + "-01-01"[len(given) - 4 :]) is not None
    except ValueError:
        return False
