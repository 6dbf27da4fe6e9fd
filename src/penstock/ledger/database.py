"""One door to the ledger's database: SQLite by default, PostgreSQL by URL, the same statements for both.

Times are epoch milliseconds from the database's own clock (`now_ms`), so that clocks of several machines don't matter.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, Engine, Table, create_engine, event, func, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction

from penstock.errors import PenstockError, StorageFull, StoreBusy, UsageError

BUSY_TIMEOUT_MS = 60_000


class now_ms(GenericFunction[int]):
    """The database's clock: epoch milliseconds. On PostgreSQL the wall clock, not the transaction's start."""

    type = BigInteger()
    inherit_cache = True


@compiles(now_ms, "sqlite")
def _now_sqlite(element: now_ms, compiler: Any, **kw: Any) -> str:
    return "CAST(ROUND((julianday('now') - 2440587.5) * 86400000) AS INTEGER)"


@compiles(now_ms, "postgresql")
def _now_postgresql(element: now_ms, compiler: Any, **kw: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"


def clock(connection: Connection) -> int:
    """Epoch milliseconds by the database's clock, read once for a transaction's rows."""
    return int(connection.execute(_NOW).scalar_one())


_NOW = select(now_ms())


class Database:
    """`read()` and `write()` give a connection inside a transaction that ends with the block.

    A write on SQLite begins IMMEDIATE: a read that turns into a write would fail at once with a stale snapshot.
    The engine is made on first use and made again after a fork.
    """

    def __init__(self, url: str) -> None:
        try:
            self.url = make_url(url)
            self.url.get_dialect()
        except (ArgumentError, NoSuchModuleError) as error:
            raise UsageError(f"PENSTOCK_DATABASE_URL: {error}", next_step=_URLS) from None
        self.sqlite = self.url.get_backend_name() == "sqlite"
        if not self.sqlite and self.url.get_backend_name() != "postgresql":
            raise UsageError("PENSTOCK_DATABASE_URL: the ledger runs on SQLite or PostgreSQL", next_step=_URLS)
        if self.url.drivername == "postgresql":
            self.url = self.url.set(drivername="postgresql+psycopg")
        self._engine: Engine | None = None
        self._pid = 0
        self._lock = Lock()

    @property
    def path(self) -> Path | None:
        """The file of an SQLite ledger."""
        return Path(self.url.database) if self.sqlite and self.url.database else None

    @property
    def place(self) -> str:
        """Where the ledger is, for people: a file, or host:port/database."""
        host = self.url.host or self.url.query.get("host") or "localhost"
        return str(self.path) if self.sqlite else f"{host}:{self.url.port or 5432}/{self.url.database}"

    @property
    def engine(self) -> Engine:
        with self._lock:
            if self._engine is None or self._pid != os.getpid():
                self._engine, self._pid = self._make_engine(), os.getpid()
            return self._engine

    def close(self) -> None:
        with self._lock:
            if self._engine is not None and self._pid == os.getpid():
                self._engine.dispose()
            self._engine = None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        with self._errors(), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[Connection]:
        """Not `durable`: may be lost with the machine, though not with the process; for what is then simply redone."""
        with self._errors(), self.engine.connect() as connection:
            connection.info["write"] = "FULL" if durable else "NORMAL"
            with connection.begin():
                yield connection

    def take_turns(self, connection: Connection, about: str) -> None:
        """Make writers that say the same `about` follow one another. SQLite has one writer at a time anyway."""
        if not self.sqlite:
            key = int.from_bytes(sha256(about.encode(errors="replace")).digest()[:8], "big", signed=True)
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})

    def insert(self, table: Table) -> Any:
        """The dialect's INSERT, which knows ON CONFLICT."""
        return sqlite.insert(table) if self.sqlite else postgresql.insert(table)

    def now(self) -> int:
        with self.read() as connection:
            return clock(connection)

    def allocate(self, connection: Connection, column: Column[int], count: int) -> Sequence[int]:
        """`count` fresh values for an integer primary key, ascending; within the write that uses them."""
        table: Table = column.table
        if self.sqlite:
            top = connection.execute(select(func.coalesce(func.max(column), 0))).scalar_one()
            return range(top + 1, top + 1 + count)
        sequence = f"{table.name}_{column.name}_seq"
        rows = connection.execute(text(f"SELECT nextval('{sequence}') FROM generate_series(1, :n)"), {"n": count})  # noqa: S608
        return sorted(rows.scalars())

    def _make_engine(self) -> Engine:
        if self.path is not None:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise self._refused(error.strerror or str(error), full=error.errno in _NO_ROOM) from None
            engine = create_engine(self.url, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000, "isolation_level": None})
            event.listen(engine, "connect", _open_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
            return engine
        try:
            waits = {name: value for name, value in _AWAY.items() if name not in self.url.query}
            return create_engine(self.url, pool_pre_ping=True, connect_args=waits)
        except ModuleNotFoundError as error:
            raise UsageError(
                f"the ledger's driver is missing ({error.name}): pip install 'penstock[postgres]'"
            ) from None

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except PoolTimeout as error:
            raise StoreBusy(f"no connection to the ledger at {self.place} became free") from error
        except DBAPIError as error:
            raise (self._sqlite_error(error) if self.sqlite else self._postgresql_error(error)) from error

    def _sqlite_error(self, error: DBAPIError) -> Exception:
        """By SQLite's result code (https://sqlite.org/rescode.html)."""
        message = str(error.orig)
        code = str(getattr(error.orig, "sqlite_errorname", ""))
        if code == "SQLITE_FULL" or code in _CANNOT_GROW:
            return self._refused(message, full=True)
        if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_PROTOCOL")):
            return StoreBusy(f"the ledger stayed locked for {BUSY_TIMEOUT_MS / 1000:g} s: {self.path}")
        if code.startswith(("SQLITE_CANTOPEN", "SQLITE_NOTADB", "SQLITE_READONLY", "SQLITE_CORRUPT", "SQLITE_PERM")):
            return self._refused(message)
        return PenstockError(f"the ledger refused a statement: {message}", reason="ledger")

    def _postgresql_error(self, error: DBAPIError) -> Exception:
        """By SQLSTATE (PostgreSQL's appendix A); its details may quote rows, so only the first line is told."""
        state = getattr(error.orig, "sqlstate", None)
        message = str(getattr(getattr(error.orig, "diag", None), "message_primary", None) or error.orig).strip()
        if state == "53100":
            return StorageFull(f"the ledger can't grow: {self.place} ({message})")
        if state is None and error.connection_invalidated is False and not _is_connecting(error):
            return PenstockError(f"the ledger refused a statement: {message}", reason="ledger")
        if state is None or state.startswith(("08", "40", "53", "55P03", "57")):
            return StoreBusy(f"the ledger at {self.place} is away or busy: {message}")
        return PenstockError(f"the ledger refused a statement: {message}", reason="ledger")

    def _refused(self, message: str, *, full: bool = False) -> PenstockError:
        assert self.path is not None
        if not full:
            return UsageError(f"the ledger at {self.path} can't be used: {message}", next_step=self._remedy(message))
        folder = next(p for p in self.path.absolute().parents if p.is_dir())
        free = shutil.disk_usage(folder).free >> 20
        return StorageFull(f"the ledger can't grow: {self.path} ({message}, {free} MiB free)")

    def _remedy(self, message: str) -> str:
        """What mends an SQLite ledger that SQLite, or the file system, says this of."""
        assert self.path is not None
        if "not a database" in message:
            return f"if that file is yours, name another by PENSTOCK_DATABASE_URL; if it was the ledger, {_RESTORE}"
        if "malformed" in message:
            return _RESTORE
        above = next((p for p in (self.path, *self.path.absolute().parents) if p.exists()), self.path)
        if above != self.path and not above.is_dir():
            return f"{above} is no folder: move it away, or set PENSTOCK_HOME to a folder"
        return f"make {above} and its folder readable and writable for you, or set PENSTOCK_HOME to a folder of yours"


_URLS = "write sqlite:////folder/ledger.db or postgresql+psycopg://user@host/name, or unset it: SQLite in PENSTOCK_HOME"
_RESTORE = "put a copy of it back, or move it away: the next run makes a new one"
_AWAY = {
    "connect_timeout": 10,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
"""A server whose machine or network is gone is given up after half a minute, not after the kernel's quarter of an hour
(libpq's parameters, PostgreSQL 33.1.2: seconds, the last one milliseconds). The URL's query may say otherwise."""
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CANNOT_GROW = ("SQLITE_IOERR_WRITE", "SQLITE_IOERR_FSYNC", "SQLITE_IOERR_TRUNCATE", "SQLITE_IOERR_SHMSIZE")
"""What SQLite says when a write fails for another reason than ENOSPC: a quota, a limit on a file's size."""


def _is_connecting(error: DBAPIError) -> bool:
    return type(error.orig).__name__ in ("OperationalError", "ConnectionTimeout", "InterfaceError")


def _open_sqlite(dbapi: Any, record: Any) -> None:
    for pragma in (
        "page_size=16384",
        "journal_mode=WAL",
        "synchronous=FULL",
        "wal_autocheckpoint=4000",
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "cache_size=-16384",
        "temp_store=MEMORY",
    ):
        dbapi.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    wanted = connection.info.pop("write", None)
    if wanted is not None and wanted != connection.info.get("synchronous", "FULL"):
        connection.exec_driver_sql(f"PRAGMA synchronous={wanted}")
        connection.info["synchronous"] = wanted
    connection.exec_driver_sql("BEGIN" if wanted is None else "BEGIN IMMEDIATE")
