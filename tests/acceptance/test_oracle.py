"""The oracle is blind to nothing: whatever changes in a store changes the digest, and each broken rule is named."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest
import sqlite_vec
from sqlalchemy import Table

import corpus
import oracle
from house import House, Warm
from penstock.ledger import schema
from penstock.ledger.graph_schema import TABLES as GRAPH

HISTORY = {
    *("ledger_meta", "submissions", "batches", "runs", "batch_jobs", "runners"),
    *("scopes", "scope_documents", "stores", "watermarks", "rates", "workers", "graph_apart"),
}
"""How it came about, which may differ."""
IGNORED = {
    "documents": {"created_at", "updated_at"},
    "origins": {"uri", "version", "seen_at"},
    "jobs": {"correlation_id", "round", "waiting_since", "waiting_until", "created_at", "updated_at"},
    "stage_states": {
        *("token", "runner_id", "attempts", "lost", "available_at", "started_at", "finished_at", "reused"),
    },
    "artifacts": {"id", "head"},
    "dead_letters": {"id", "round", "detail", "created_at"},
    "outbox": {"id", "at", "round", "token", "published_at"},
    "graph_documents": {"token"},
    "graph_meta": {"name"},
}
CHOSEN = {"artifacts": "kind = 'Document'", "outbox": "type <> 'started'", "jobs": "status = 'dead'"}
"""Which row to change, where not any will do."""
INDEX = ("documents", "chunks", "meta", "tenants")
INDEX_IGNORED = {("documents", "token"), ("meta", "key")}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, site: Path, warm: Warm) -> Path:
    """A home with five documents done and one dead."""
    folder = tmp_path_factory.mktemp("oracle")
    house = House(folder, site, warm)
    documents = corpus.mixed(folder / "documents", 6)
    (documents / "big.txt").unlink()
    (documents / "broken.json").write_text('{"protocolSection": {"identificationModule": {"nctId": "NCT7000')
    assert house.run(documents).status == 3
    for name in ("ledger.db", "index.db"):
        with closing(sqlite3.connect(house.home / name)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return house.home


@pytest.fixture
def changed(built: Path, tmp_path: Path) -> Callable[[Callable[[apsw.Connection], None], str], Path]:
    """A copy of the home in which something was done to a store."""

    def change(do: Callable[[apsw.Connection], None], store: str = "ledger.db") -> Path:
        home = tmp_path / "home"
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(built, home)
        with closing(apsw.Connection(str(home / store))) as db:
            db.enable_load_extension(True)
            db.load_extension(sqlite_vec.loadable_path())
            do(db)
        return home

    return change


def ledger_changes() -> Iterator[tuple[str, str, str]]:
    """(table, what, SQL): each column of one row, and the row itself."""
    for table in schema.metadata.sorted_tables:
        if table.name in HISTORY:
            continue
        chosen = CHOSEN.get(table.name, "true")
        yield table.name, "a row", f"DELETE FROM {table.name} WHERE {_one(table, chosen)}"
        for column in table.columns:
            if column.name not in IGNORED.get(table.name, ()):
                where = _one(table, f'{chosen} AND "{column.name}" IS NOT NULL')
                other = f'UPDATE {table.name} SET "{column.name}" = {_another(column.name)} WHERE {where}'
                yield table.name, column.name, other


def _one(table: Table, where: str) -> str:
    key = ", ".join(f'"{column.name}"' for column in table.primary_key)
    return f"({key}) IN (SELECT {key} FROM {table.name} WHERE {where} LIMIT 1)"


def _another(name: str) -> str:
    """A value of the same type that nobody else has."""
    value = f'"{name}"'
    return (
        f"CASE typeof({value}) WHEN 'integer' THEN {value} + 1000000 WHEN 'text' THEN {value} || '~' "
        f"ELSE CAST({value} || x'7e' AS BLOB) END"
    )


EMPTY_HERE = {
    ("jobs", "waiting_for"),
    ("graph_evidence", "attributes"),
    ("graph_claims", "value"),
}


def test_whatever_changes_in_the_ledger_or_graph_changes_the_digest(built: Path, changed: Any) -> None:
    before = oracle.digest(built)
    unseen, untried = [], []
    for table, what, sql in ledger_changes():

        def do(db: apsw.Connection, sql: str = sql, about: tuple[str, str] = (table, what)) -> None:
            db.execute(sql)
            if not db.changes():
                untried.append(about)

        home = changed(do)
        if (table, what) not in untried and oracle.digest(home) == before:
            unseen.append((table, what))
    assert unseen == []
    assert set(untried) <= EMPTY_HERE


def test_whatever_changes_in_the_index_changes_the_digest(built: Path, changed: Any) -> None:
    before = oracle.digest(built)
    unseen = []
    with closing(apsw.Connection(str(built / "index.db"))) as db:
        columns = [
            (table, column)
            for table in INDEX
            for (column,) in list(db.execute("SELECT name FROM pragma_table_info(?)", (table,)))
            if (table, column) not in INDEX_IGNORED
        ]
    changes = [
        (f'UPDATE {t} SET "{c}" = {_another(c)} WHERE rowid = (SELECT max(rowid) FROM {t} WHERE "{c}" IS NOT NULL)')
        if t != "meta"
        else f"UPDATE meta SET value = {_another('value')} WHERE key = 'model'"
        for t, c in columns
    ]
    changes += [f"DELETE FROM {t} WHERE rowid = (SELECT max(rowid) FROM {t})" for t in INDEX if t != "meta"]
    changes += [
        "DELETE FROM words WHERE rowid = 1",
        "DELETE FROM vectors WHERE rowid = 1",
        "UPDATE vectors SET embedding = (SELECT embedding FROM vectors WHERE rowid = 2) WHERE rowid = 1",
        "INSERT INTO words (rowid, text, title, tenant) VALUES (1000, 'a', 'b', 't1')",
        "UPDATE meta SET value = 'another' WHERE key = 'uuid'",
    ]
    for sql in changes:
        home = changed(lambda db, sql=sql: db.execute(sql), "index.db")
        if oracle.digest(home) == before:
            unseen.append(sql)
    assert unseen == []


def test_a_body_damaged_in_the_artifact_store_changes_the_digest(house: House, tmp_path: Path) -> None:
    house.run(corpus.mixed(tmp_path / "documents", 1))
    before = oracle.digest(house.home)
    for damaged in house.home.glob("artifacts/*/*"):
        damaged.write_bytes(damaged.read_bytes() + b" ")
    assert oracle.digest(house.home) != before


TWICE = "INSERT INTO outbox (at, type, job_id, stage, round, token) VALUES (1, 'dead', 1, 'kg', 1, 1)"


@pytest.mark.parametrize(
    ("rule", "store", "sql"),
    [
        ("I2", "ledger.db", TWICE),
        ("I2", "ledger.db", "DELETE FROM outbox WHERE type = 'completed' AND stage = 'parse'"),
        ("I2", "ledger.db", "UPDATE stage_states SET token = token + 1 WHERE stage = 'chunk'"),
        ("I3", "index.db", "UPDATE documents SET token = token + 1"),
        ("I3", "index.db", "DELETE FROM documents WHERE number = 1"),
        ("I3", "ledger.db", "UPDATE graph_documents SET token = token + 1"),
        ("I4", "ledger.db", "UPDATE jobs SET status = 'pending' WHERE id = 1"),
        ("I4", "ledger.db", "UPDATE stage_states SET status = 'running' WHERE job_id = 1 AND stage = 'kg'"),
        ("I4", "ledger.db", "UPDATE stage_states SET runner_id = 1 WHERE job_id = 1 AND stage = 'kg'"),
        ("I4", "ledger.db", "UPDATE documents SET generation = 2 WHERE id = 1"),
        ("I4", "ledger.db", "DELETE FROM dead_letters"),
        ("I4", "ledger.db", "DELETE FROM jobs WHERE id = 1"),
        ("I4", "ledger.db", "UPDATE runners SET ended_at = NULL"),
        ("I4", "ledger.db", "UPDATE submissions SET runner_id = 1"),
        ("I5", "index.db", "DELETE FROM chunks WHERE number = 1"),
        ("I5", "index.db", "UPDATE chunks SET chunk_id = 'another' WHERE number = 1"),
        ("I5", "ledger.db", "DELETE FROM chunks WHERE job_id = 1"),
        ("I5", "ledger.db", "UPDATE graph_documents SET doc_id = 'stranger' WHERE id = 1"),
    ],
)
def test_each_broken_rule_is_named(built: Path, changed: Any, rule: str, store: str, sql: str) -> None:
    assert oracle.problems(built) == []
    home = changed(lambda db: db.execute(sql), store)
    assert any(problem.startswith(rule) for problem in oracle.problems(home)), oracle.problems(home)


def test_the_bound_on_calls_is_that_of_halving() -> None:
    assert [oracle.most_calls(128, k) for k in (0, 1, 3, 16)] == [1, 15, 43, 225]


def test_the_graphs_tables_are_among_those_that_are_changed() -> None:
    said = {"graph_apart"}  # by people; what follows from it stands in the others
    assert {table.name for table in GRAPH} - said <= {table for table, _, _ in ledger_changes()}
