"""How a database means to find the rows of the statements that an action makes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from sqlalchemy import event

from penstock.ledger.database import Database

GROWING = {"jobs", "stage_states", "artifacts", "documents", "batch_jobs", "outbox", "origins", "batches", "runners"}
"""Tables that grow."""
PARTIAL = r"(COVERING )?INDEX \w+_(running|alive|unparsed|parsed|overdue|lost)"
"""Indexes of the few rows that a statement is about: to read all of such a one is no scan."""
Plans = list[tuple[str, list[str]]]


def plans(database: Database, action: Callable[[], object]) -> Plans:
    """Each statement, with the lines of its plan."""
    seen: list[tuple[str, Any]] = []

    def note(conn: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        if re.match(r"(SELECT|UPDATE|DELETE|INSERT)", statement):
            seen.append((statement, parameters[0] if many else parameters))

    event.listen(database.engine, "before_cursor_execute", note)
    action()
    event.remove(database.engine, "before_cursor_execute", note)
    explain, column = ("EXPLAIN QUERY PLAN", 3) if database.sqlite else ("EXPLAIN", 0)
    found = []
    with database.engine.connect() as connection:
        for statement, parameters in seen:
            lines = connection.exec_driver_sql(f"{explain} {statement}", parameters)
            found.append((statement, [row[column] for row in lines]))
    return found


def scans(found: Plans, growing: set[str] = GROWING) -> list[tuple[str, str]]:
    """Full scans of the tables that grow. The newest or oldest row by the key is no scan to the end."""
    bad = []
    for statement, lines in found:
        for line in lines:
            scan = re.match(rf"SCAN (\w+)(?! USING {PARTIAL})", line) or re.search(r"Seq Scan on (\w+)", line)
            bounded = re.search(r"ORDER BY outbox.id\s+LIMIT|max\(\w+\.id\)", statement)
            if scan and scan[1].rstrip("_123") in growing and not bounded:
                bad.append((line, statement))
    assert found, "nothing was run"
    return bad
