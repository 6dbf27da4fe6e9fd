"""What stages were when they ran, each distinct definition once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from sqlalchemy import select

from penstock.ledger.database import Database
from penstock.ledger.schema import definitions


class Definitions:
    def __init__(self, database: Database) -> None:
        self._db = database

    def register(self, described: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
        """hash → row id; rows are made for hashes not seen before."""
        known = self._known(list(described))
        missing = [h for h in described if h not in known]
        if missing:
            rows = [
                {**described[h], "hash": h, "options": orjson.dumps(described[h]["options"]).decode()} for h in missing
            ]
            with self._db.write() as connection:
                connection.execute(self._db.insert(definitions).on_conflict_do_nothing(), rows)
            known = self._known(list(described))
        return known

    def _known(self, hashes: list[str]) -> dict[str, int]:
        with self._db.read() as connection:
            query = select(definitions.c.hash, definitions.c.id).where(definitions.c.hash.in_(hashes))
            return {row[0]: row[1] for row in connection.execute(query)}
