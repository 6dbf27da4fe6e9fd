"""Which failures at gates have been told of. Of people who look at the same time one is told: who is the first to
remember. A process that is killed between remembering and telling has told nobody; `penstock jobs` shows it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import select

from penstock.ledger.database import Database
from penstock.ledger.gates import Gates, LostAtGate
from penstock.ledger.schema import ledger_meta

AT_ONCE = 200
"""Failures found at a time; the others follow."""
LATE_MS = 300_000
"""A failure is stamped before it is committed: for so long it is looked for after its time."""


@dataclass(frozen=True, slots=True)
class Told:
    """Everything that failed before `since` (epoch milliseconds) was told of; what came after, of these (see
    `LostAtGate.key`)."""

    since: int = 0
    rounds: frozenset[str] = frozenset()

    @classmethod
    def of(cls, cursor: Mapping[str, Any]) -> Told:
        return cls(cursor.get("since", 0), frozenset(cursor.get("told", ())))

    @property
    def cursor(self) -> dict[str, Any]:
        return {"since": self.since, "told": sorted(self.rounds)}


@dataclass(frozen=True, slots=True)
class Telling:
    """What is kept of a tenant's pipeline before something is told, and what after it."""

    name: str
    before: str
    after: str


class Tellings:
    """`since_then` of a sensor, which remembers by itself; the others of people, who are told by the runs that they
    start by hand: what these have told is kept for each tenant of a pipeline."""

    def __init__(self, database: Database, gates: Gates) -> None:
        self._db, self._gates = database, gates

    def since_then(
        self, gates: Collection[tuple[str, str]], told: Told, tenant: str | None = None
    ) -> tuple[list[LostAtGate], Told]:
        """The next failures at these gates (pipeline, stage), AT_ONCE at most, and what has been told when they are."""
        most = len(told.rounds) + AT_ONCE
        now = self._db.now()
        found = self._gates.lost(gates, told.since, most, tenant)
        since = max(told.since, (now if len(found) < most else found[-1].at) - LATE_MS)
        fresh = [lost for lost in found if lost.key not in told.rounds]
        return fresh, Told(since, frozenset(lost.key for lost in found if lost.at >= since))

    def begin(self, tenant: str, pipeline: str) -> None:
        """From the first run by hand on."""
        row = {"name": _name(tenant, pipeline), "value": _json(Told(self._db.now()))}
        with self._db.write() as connection:
            connection.execute(self._db.insert(ledger_meta).values(**row).on_conflict_do_nothing())

    def untold(self, tenant: str, pipeline: str, gates: Collection[str]) -> Iterator[tuple[list[LostAtGate], Telling]]:
        """All failures that no run by hand has told of, a few at a time, each time with what to `remember` if these and
        those before are to be told; the last is remembered, then all are told."""
        name = _name(tenant, pipeline)
        with self._db.read() as connection:
            before = connection.execute(select(ledger_meta.c.value).where(ledger_meta.c.name == name)).scalar() or ""
        told = Told.of(orjson.loads(before)) if before else Told(self._db.now())
        while True:
            fresh, told = self.since_then([(pipeline, gate) for gate in gates], told, tenant)
            if not fresh:
                return
            yield fresh, Telling(name, before, _json(told))

    def remember(self, telling: Telling) -> bool:
        """Whether nobody else has told anything meanwhile; who has been overtaken looks again."""
        return self._swap(telling.name, telling.before, telling.after)

    def forget(self, telling: Telling) -> bool:
        """It could not be told: whether it is to be told again, which it is unless others have gone on from there."""
        return self._swap(telling.name, telling.after, telling.before)

    def _swap(self, name: str, old: str, new: str) -> bool:
        mine = (ledger_meta.c.name == name, ledger_meta.c.value == old)
        with self._db.write() as connection:
            return bool(connection.execute(ledger_meta.update().where(*mine).values(value=new)).rowcount)


def _name(tenant: str, pipeline: str) -> str:
    return f"told {tenant} {pipeline}"


def _json(told: Told) -> str:
    return orjson.dumps(told.cursor).decode()
