"""What goes wrong with a database file is told in our words, with its path."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

import penstock.ledger.database as module
from penstock.errors import PenstockError, StorageFull, StoreBusy, UsageError
from penstock.ledger.database import Database, clock

FILL = """
import resource, sys
from sqlalchemy import text
from penstock.errors import StorageFull
from penstock.ledger.database import Database

path = sys.argv[1]
database = Database(f"sqlite:///{path}")
with database.write() as connection:
    connection.execute(text("CREATE TABLE t (x)"))
    connection.execute(text("INSERT INTO t VALUES (1)"))
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    with database.write() as connection:
        connection.execute(text("INSERT INTO t VALUES (zeroblob(1000000))"))
except StorageFull as error:
    print(error.message)
with database.read() as connection:
    print(connection.execute(text("SELECT count(*) FROM t")).scalar())
"""


def database_at(path: Path) -> Database:
    return Database(f"sqlite:///{path}")


def execute(database: Database, *statements: str) -> None:
    with database.write() as connection:
        for statement in statements:
            connection.execute(text(statement))


@pytest.mark.parametrize("url", ["nonsense", "mysql://h/d", "oracle://h/d", "sqlite3:///x"])
def test_an_url_that_is_no_ledger_is_the_users_mistake(url: str) -> None:
    with pytest.raises(UsageError, match="PENSTOCK_DATABASE_URL") as refused:
        Database(url)
    assert "sqlite:///" in refused.value.next_step


def test_a_file_that_is_no_database_is_refused_with_what_helps(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_text("My diary. " * 99)
    with pytest.raises(UsageError, match="file is not a database") as refused:
        execute(database_at(path), "SELECT 1")
    assert "PENSTOCK_DATABASE_URL" in refused.value.next_step
    assert "move it away" in refused.value.next_step


def test_a_folder_that_cannot_be_is_refused_with_what_helps(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="can't be used") as refused:
        execute(database_at(tmp_path / "file/home/ledger.db"), "SELECT 1")
    assert refused.value.next_step.startswith(f"{tmp_path / 'file'} is no folder")


def test_a_plain_postgresql_url_takes_the_driver_we_have() -> None:
    database = Database("postgresql://somebody:secret@db.example:6432/ledger")
    assert database.url.drivername == "postgresql+psycopg"
    assert database.place == "db.example:6432/ledger"
    assert database.path is None


def test_nothing_is_made_before_the_first_use(tmp_path: Path) -> None:
    database_at(tmp_path / "new" / "ledger.db")
    assert list(tmp_path.iterdir()) == []


def test_folders_are_made_on_the_way_to_the_file(tmp_path: Path) -> None:
    with database_at(tmp_path / "a" / "b" / "ledger.db").read() as connection:
        assert clock(connection) > 1_700_000_000_000
    assert (tmp_path / "a" / "b" / "ledger.db").exists()


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    database = database_at(tmp_path / "l.db")
    with pytest.raises(PenstockError):
        execute(database, "CREATE TABLE t (x)", "SELECT no_such_function_and_so_refused()")
    with database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM sqlite_master")).scalar() == 0


def test_a_locked_file_is_busy_and_names_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BUSY_TIMEOUT_MS", 50)
    path = tmp_path / "l.db"
    database = database_at(path)
    database.now()
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreBusy, match=f"locked for 0.05 s: {path}"), database.write():
        pass
    holder.execute("ROLLBACK")
    with database.write() as connection:
        connection.execute(text("CREATE TABLE t (x)"))
    holder.close()


def test_readers_never_take_the_writers_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BUSY_TIMEOUT_MS", 50)
    database = database_at(tmp_path / "l.db")
    with database.write() as writing, database.read() as reading:
        writing.execute(text("CREATE TABLE t (x)"))
        assert reading.execute(text("SELECT count(*) FROM sqlite_master")).scalar() == 0


def test_a_file_that_may_not_grow_is_storage_full_with_its_path_and_what_was_there_stays(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FILL, str(tmp_path / "l.db")], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    told, count = done.stdout.splitlines()
    assert told.startswith(f"the ledger can't grow: {tmp_path}/l.db (")
    assert told.endswith("MiB free)")
    assert count == "1"


def test_a_full_database_is_storage_full(tmp_path: Path) -> None:
    database = database_at(tmp_path / "l.db")
    with pytest.raises(StorageFull, match=r"l\.db"):
        execute(database, "CREATE TABLE t (x)", "PRAGMA max_page_count = 3", "INSERT INTO t VALUES (zeroblob(1000000))")


def test_a_file_that_is_no_database_is_the_users_mistake(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    path.write_bytes(b"not a database, but long enough to be read as one" * 100)
    with pytest.raises(UsageError, match=f"the ledger at {path} can't be used"):
        database_at(path).now()


def test_a_folder_that_cannot_be_made_is_the_users_mistake(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="can't be used"):
        database_at(tmp_path / "file" / "l.db").now()


def test_a_folder_in_the_files_place_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"the ledger at {tmp_path} can't be used"):
        database_at(tmp_path).now()


def test_a_file_that_may_only_be_read_is_the_users_mistake(tmp_path: Path) -> None:
    database = database_at(tmp_path / "l.db")
    with pytest.raises(UsageError, match="readonly"):
        execute(database, "PRAGMA query_only = 1", "CREATE TABLE t (x)")


def test_a_refused_row_is_an_error_of_ours_whatever_its_text_says(tmp_path: Path) -> None:
    """Words in a message don't make it busy: only the database's code says what went wrong."""
    database = database_at(tmp_path / "l.db")
    execute(database, "CREATE TABLE locked_disk_is_full (busy UNIQUE)", "INSERT INTO locked_disk_is_full VALUES (1)")
    with pytest.raises(PenstockError, match="refused a statement") as refused:
        execute(database, "INSERT INTO locked_disk_is_full VALUES (1)")
    assert refused.value.reason == "ledger"


def test_a_postgresql_that_is_not_there_is_away(tmp_path: Path) -> None:
    database = Database(f"postgresql://nobody@/ledger?host={tmp_path}")
    with pytest.raises(StoreBusy, match=f"the ledger at {tmp_path}:5432/ledger is away or busy"):
        database.now()
