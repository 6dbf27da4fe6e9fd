"""The tables that migrations make are the tables the code speaks of, and no two processes make them at once."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

import penstock.ledger.migrate as migrations
from penstock.errors import UsageError
from penstock.ledger.database import Database
from penstock.ledger.graph_schema import graph_claims
from penstock.ledger.ledger import Ledger
from penstock.ledger.migrate import HEAD, current, ensure_current, migrate
from penstock.ledger.schema import metadata

MIGRATE = """
import sys
from penstock.ledger.database import Database
from penstock.ledger.migrate import migrate
print(migrate(Database(sys.argv[1])))
"""

SQLITE_OBJECTS = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name <> 'alembic_version'"
POSTGRESQL_COLUMNS = """
SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns
WHERE table_schema = 'public' AND table_name <> 'alembic_version'
"""
POSTGRESQL_INDEXES = """
SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'
"""


@pytest.fixture
def empty(empty_url: str) -> Iterator[Database]:
    database = Database(empty_url)
    yield database
    database.close()


def test_the_migrated_tables_are_those_of_the_metadata(database: Database) -> None:
    assert graph_claims.metadata is metadata
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_the_migrated_objects_are_made_by_the_very_same_sql(database: Database, empty: Database) -> None:
    """What Alembic does not compare: partial indexes, WITHOUT ROWID, orders of keys; added columns stand last."""
    metadata.create_all(empty.engine)
    queries = [SQLITE_OBJECTS] if database.sqlite else [POSTGRESQL_COLUMNS, POSTGRESQL_INDEXES]

    def form(value: object) -> object:
        parts = " ".join(str(value).split())
        return tuple(sorted(re.split(r", | ?\( ?| ?\)", parts))) if parts.startswith("CREATE TABLE") else parts

    def objects(of: Database) -> set[tuple[object, ...]]:
        with of.read() as connection:
            return {tuple(form(v) for v in row) for q in queries for row in connection.execute(text(q))}

    assert objects(database) == objects(empty)


def test_artifacts_are_not_compressed_a_second_time_on_postgresql(database: Database) -> None:
    if database.sqlite:
        pytest.skip("SQLite never compresses")
    query = "SELECT attname, attstorage::text FROM pg_attribute WHERE attrelid = 'artifacts'::regclass"
    with database.read() as connection:
        storage = {row.attname: row.attstorage for row in connection.execute(text(query))}
    assert (storage["head"], storage["body"]) == ("e", "e")


def test_head_is_the_newest_migration_there_is() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_what_a_migration_made_it_can_take_away_again(empty: Database) -> None:
    from alembic import command

    migrate(empty)
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent / "migrations"))
    with empty.write() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    assert current(empty) is None
    assert migrate(empty) == HEAD


def test_four_processes_that_migrate_at_once_make_one_ledger(empty_url: str) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", MIGRATE, empty_url], stdout=-1, stderr=-1, text=True) for _ in range(4)
    ]
    ended = [(p.communicate(timeout=60), p.returncode) for p in processes]
    assert [code for _, code in ended] == [0, 0, 0, 0], ended
    assert {out.strip() for (out, _), _ in ended} == {HEAD}
    assert current(Database(empty_url)) == HEAD


def test_an_sqlite_ledger_brings_itself_up_to_date_and_a_postgresql_one_says_the_command(empty: Database) -> None:
    if empty.sqlite:
        Ledger(empty).open()
        assert current(empty) == HEAD
        return
    with pytest.raises(UsageError, match="penstock ledger migrate") as refused:
        Ledger(empty).open()
    assert "\n" not in refused.value.message
    assert current(empty) is None
    migrate(empty)
    Ledger(empty).open()


@pytest.mark.parametrize("opened_by", [ensure_current, migrate])
def test_a_newer_ledger_is_refused_in_one_line_and_left_alone(database: Database, opened_by: object) -> None:
    assert callable(opened_by)
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0999'"))
    with pytest.raises(UsageError, match=f"0999.*{HEAD}") as refused:
        opened_by(database)
    assert "\n" not in refused.value.message
    assert "upgrade" in refused.value.next_step
    assert current(database) == "0999"


def test_a_folder_with_a_percent_sign_is_no_template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    folder = tmp_path / "50%(x)s"
    shutil.copytree(Path(migrations.__file__).parent / "migrations", folder / "migrations")
    monkeypatch.setattr(migrations, "__file__", str(folder / "migrate.py"))
    assert migrate(Database(f"sqlite:///{tmp_path}/odd.db")) == HEAD
