"""Bring a ledger's tables to this version: by itself on SQLite, by command on PostgreSQL."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from penstock.errors import UsageError
from penstock.ledger.database import Database

HEAD = "0005"
"""The newest version in migrations/versions (a test compares)."""
LOCK = 0x9E45706C
"""PostgreSQL advisory lock under which one process migrates."""


def current(database: Database) -> str | None:
    """The version of the ledger's tables; None where there are none."""
    with database.read() as connection:
        return _version(connection)


def ensure_current(database: Database) -> None:
    """Raises UsageError when a PostgreSQL ledger has to be migrated first, or a ledger is of a newer Penstock."""
    version = current(database)
    if version == HEAD:
        return
    _refuse_newer(version)
    if not database.sqlite:
        raise UsageError(
            f"the ledger at {database.place} is at version {version or 'none'}, this Penstock needs {HEAD}: "
            "run penstock ledger migrate",
            next_step="penstock ledger migrate",
        )
    migrate(database)


def migrate(database: Database) -> str:
    """Run what is missing, one process at a time; the version afterwards. Raises UsageError for a newer ledger."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    folder = str(Path(__file__).parent / "migrations")
    config.set_main_option("script_location", folder.replace("%", "%%"))
    with database.write() as connection:
        if not database.sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
        config.attributes["connection"] = connection
        version = _version(connection)
        _refuse_newer(version)
        if version != HEAD:
            command.upgrade(config, "head")
    return HEAD


def _refuse_newer(version: str | None) -> None:
    if version is not None and version > HEAD:
        raise UsageError(
            f"the ledger is of version {version}, this Penstock knows {HEAD}",
            next_step="upgrade Penstock, or name another ledger",
        )


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    value = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if value is None else str(value)
