"""Row locks taken in one order, so that two writers on PostgreSQL never wait for each other in a ring."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, select

from penstock.ledger.schema import jobs


def lock_jobs(connection: Connection, *which: ColumnElement[bool]) -> None:
    """Hold these jobs, by id, until the transaction ends: before anything else of theirs is written.

    Claims, commits, reaping, gates and new generations touch many jobs and their stage states in one transaction, and
    an UPDATE locks rows in whatever order its plan finds them. SQLite has one writer at a time and needs no more.
    """
    if connection.dialect.name != "sqlite":
        connection.execute(select(jobs.c.id).where(*which).order_by(jobs.c.id).with_for_update())
