"""The outbox's end: without a broker to publish them, events go by age."""

from __future__ import annotations

from sqlalchemy import delete, func, select

from penstock.ledger.database import Database, clock
from penstock.ledger.schema import outbox

KEEP_DAYS = 7
AT_ONCE = 5000
"""Rows that go in one transaction, so that nobody waits long for it."""


def age_out(database: Database, keep_days: int = KEEP_DAYS, at_once: int = AT_ONCE) -> int:
    """Drop the oldest events when they are older than `keep_days`; how many. A row is read, no more, while none is.

    The newest row always stays: an empty table would number from one again on SQLite, and two events would share a
    name.
    """
    oldest = select(outbox.c.at).order_by(outbox.c.id).limit(1)
    with database.read() as connection:
        before = clock(connection) - keep_days * 86_400_000
        first = connection.execute(oldest).scalar()
    if first is None or first >= before:
        return 0
    newest = select(func.max(outbox.c.id)).scalar_subquery()
    some = select(outbox.c.id).where(outbox.c.id < newest).order_by(outbox.c.id).limit(at_once)
    with database.write() as connection:
        return connection.execute(delete(outbox).where(outbox.c.id.in_(some), outbox.c.at < before)).rowcount
