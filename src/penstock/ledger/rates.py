"""Turns that all processes of a ledger share: how fast a service may be called, and how long it is to be left alone.

A row holds when the next call may be made (GCRA, the generic cell rate algorithm, without a burst): whoever asks takes
that moment and moves it on by one interval. The clock is the database's.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

from sqlalchemy import ColumnElement, case, select

from penstock.ledger.database import Database, now_ms
from penstock.ledger.schema import rates

_MICRO = 1_000_000


class Rates:
    def __init__(self, database: Database) -> None:
        self._db = database

    def take(self, key: str, rate: float) -> tuple[float, Mapping[str, float]]:
        """The next turn under `key`, of `rate` a second: the seconds until then, and those left of each pause."""
        interval = ceil(_MICRO / rate)
        now = now_ms() * 1000
        put = self._db.insert(rates).values(key=key, next_us=now + interval, paused_until=0)
        put = put.on_conflict_do_update(
            index_elements=[rates.c.key], set_={"next_us": _later(rates.c.next_us, now) + interval}
        ).returning(rates.c.next_us - interval - now)
        left = rates.c.paused_until - now_ms()
        with self._db.write(durable=False) as connection:
            wait = connection.execute(put).scalar_one()
            pauses = connection.execute(select(rates.c.key, left).where(left > 0)).all()
        return max(wait, 0) / _MICRO, {paused: milliseconds / 1000 for paused, milliseconds in pauses}

    def pause(self, key: str, seconds: float) -> None:
        """Nobody is to call `key` for so long. Never shortens a pause."""
        until = now_ms() + ceil(seconds * 1000)
        put = self._db.insert(rates).values(key=key, next_us=0, paused_until=until)
        put = put.on_conflict_do_update(
            index_elements=[rates.c.key], set_={"paused_until": _later(rates.c.paused_until, until)}
        )
        with self._db.write(durable=False) as connection:
            connection.execute(put)


def _later(one: ColumnElement[int], other: ColumnElement[int]) -> ColumnElement[int]:
    return case((one > other, one), else_=other)
