"""The search index's file: who opens it, how, and what its failures are called."""

from __future__ import annotations

import errno
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import sqlite_vec

from penstock.errors import PenstockError, StorageFull, StoreBusy, UsageError
from penstock.stores import search_schema
from penstock.stores.search_generations import Generations

_READ_AND_WRITE = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
_READ_ONLY = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_LITTLE_ROOM = 64_000_000
_inherited: list[apsw.Connection] = []
"""Connections that came over a fork: closing one in the child could drop the parent's WAL, so none ever is."""


class SearchFile:
    """One connection a thread and process, opened on first use, reopened when the file was deleted or replaced, or
    when another generation of the index took its place.

    With `building` it is to the generation that is being built now, if one is, for as long as it is.

    Where nothing may be written, as on a read-only disk, the file can still be read; see `_frozen`.

    WAL with full synchronisation: what is committed survives a crash of the machine, since the ledger's receipt for it
    does. Only apsw may open the file: two SQLite libraries on one file in one process drop each other's locks.
    """

    def __init__(self, path: Path, *, busy_seconds: float = 30.0, building: bool = False) -> None:
        self._generations = Generations(path)
        self._built = self._generations.next if building else None
        self._busy_seconds = busy_seconds
        self._local = threading.local()

    @property
    def path(self) -> Path:
        """The file that is used now. Raises UsageError for a pointer that names none."""
        built = self._built
        return built if built is not None and built == self._generations.next else self._generations.current

    @contextmanager
    def reading(self) -> Iterator[apsw.Connection]:
        """A snapshot: what is read inside belongs together. May be nested."""
        with self._transaction("BEGIN") as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[apsw.Connection]:
        """One write transaction, holding the lock from the start. All or nothing; not to be nested."""
        with self._transaction("BEGIN IMMEDIATE") as connection:
            yield connection

    def close(self) -> None:
        """Close this thread's connection, if it has one."""
        connection = self._current()
        if connection is not None:
            connection.close()
        self._local.__dict__.clear()

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[apsw.Connection]:
        connection = self._current()
        if connection is not None and connection.in_transaction:
            if begin != "BEGIN":
                raise RuntimeError("a write inside another transaction of this thread")
            yield connection
            return
        with self._named_failures():
            connection = self._connection()
            connection.execute(begin)
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def _current(self) -> apsw.Connection | None:
        connection: apsw.Connection | None = getattr(self._local, "connection", None)
        if connection is not None and self._local.pid != os.getpid():
            _inherited.append(connection)
            self._local.__dict__.clear()
            return None
        return connection

    def _connection(self) -> apsw.Connection:
        connection, path = self._current(), self.path
        if connection is not None:
            if _identity(path, self._local.frozen) == self._local.identity:
                return connection
            # SQLite sees that its file is gone, and leaves the WAL of that name to the file's successor.
            connection.close()
            self._local.__dict__.clear()
        path.parent.mkdir(parents=True, exist_ok=True)
        frozen = False
        try:
            connection = self._open(path, str(path), _READ_AND_WRITE)
        except (apsw.CantOpenError, apsw.ReadOnlyError):
            frozen = _frozen(path)
            if not frozen:
                raise
            connection = self._open(path, f"{path.absolute().as_uri()}?immutable=1", _READ_ONLY)
        self._local.connection, self._local.pid, self._local.frozen = connection, os.getpid(), frozen
        self._local.identity = _identity(path, frozen)
        return connection if path == self.path else self._connection()

    def _open(self, path: Path, name: str, flags: int) -> apsw.Connection:
        connection = apsw.Connection(name, flags)
        try:
            connection.enable_load_extension(True)
            connection.load_extension(sqlite_vec.loadable_path())
            connection.enable_load_extension(False)
            self._prepare(connection, path)
            connection.set_busy_timeout(int(self._busy_seconds * 1000))
            connection.pragma("synchronous", "full")
            connection.pragma("cache_size", -16_000)
            connection.pragma("wal_autocheckpoint", 2_000)
        except BaseException as error:
            no_room = isinstance(error, apsw.IOError) and connection.system_errno in _NO_ROOM
            connection.close()
            if no_room:
                raise self._full() from error
            raise
        return connection

    def _prepare(self, connection: apsw.Connection, path: Path) -> None:
        """Several processes may make the file at once: who is not the first looks again soon whether it is made.

        A long wait for the lock instead can starve beside the first one's writes, and the switch to WAL waits for none.
        """
        give_up = time.monotonic() + self._busy_seconds
        connection.set_busy_timeout(20)
        while True:
            try:
                return search_schema.prepare(connection, path)
            except apsw.BusyError:
                if time.monotonic() > give_up:
                    raise
                time.sleep(0.02)

    @contextmanager
    def _named_failures(self) -> Iterator[None]:
        try:
            yield
        except (apsw.Error, OSError) as error:
            named = self._name(error)
            if named is None:
                raise
            raise named from error

    def _name(self, error: Exception) -> PenstockError | None:
        """Our word for what SQLite or the system said; None for what is a bug of ours."""
        connection: apsw.Connection | None = getattr(self._local, "connection", None)
        match error:
            case apsw.BusyError() | apsw.LockedError():
                return StoreBusy(f"{self.path} was locked by another writer for {self._busy_seconds:g} s")
            case apsw.FullError() | OSError(errno=errno.ENOSPC | errno.EDQUOT):
                return self._full()
            case apsw.IOError() if connection is not None and connection.system_errno in _NO_ROOM:
                return self._full()
            case apsw.SQLError() if self._is_full_in_disguise(str(error)):
                return self._full()
            case apsw.CorruptError() | apsw.NotADBError():
                ours = self._begins_like_a_database()
                return UsageError(
                    f"{self.path} {'is damaged' if ours else 'is no search index'}: {error}",
                    reason="index-damaged",
                    next_step=search_schema.rebuild(self.path)
                    if ours
                    else "move it away if it was the index, else name another file: PENSTOCK_INDEX_PATH",
                )
            case apsw.CantOpenError() | apsw.ReadOnlyError() | apsw.PermissionsError() | OSError():
                return UsageError(
                    f"{self.path} can't be opened or written: {error}",
                    reason="index-unusable",
                    next_step="mend its permissions, or name another file: PENSTOCK_INDEX_PATH",
                )
            case apsw.IOError():
                return StoreBusy(f"{self.path} could not be read or written: {error}")
        return None

    def _begins_like_a_database(self) -> bool:
        try:
            with self.path.open("rb") as file:
                return file.read(15) == b"SQLite format 3"
        except OSError:
            return False

    def _is_full_in_disguise(self, message: str) -> bool:
        """sqlite-vec answers a plain error when SQLite, underneath it, found no room for its next block."""
        return "disk is full" in message or ("sqlite-vec error" in message and self._free() < _LITTLE_ROOM)

    def _full(self) -> StorageFull:
        return StorageFull(f"no room to write {self.path}: {self._free() / 1e6:,.1f} MB free there")

    def _free(self) -> int:
        return shutil.disk_usage(self.path.parent).free


def _frozen(path: Path) -> bool:
    """Whether the file is whole without a WAL. Then it is read as one that never changes, for SQLite can't make the
    WAL's shared memory in a folder that it may not write to; when it does change it is opened again."""
    wal = path.with_name(f"{path.name}-wal")
    return path.is_file() and not (wal.is_file() and wal.stat().st_size)


def _identity(path: Path, frozen: bool) -> tuple[int, ...] | None:
    """Tells the file from another, of its name or not, and a `frozen` one from what it is after a change."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino, *((found.st_mtime_ns, found.st_size) if frozen else ())
