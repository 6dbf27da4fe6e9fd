"""A graph store on SQLite and on a real PostgreSQL: what is tested here holds for both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.ledger.database import Database
from penstock.ledger.graph import SqlGraph
from penstock.ledger.graph_read import GraphReader
from penstock.ledger.graph_schema import TABLES
from penstock.ledger.schema import documents, metadata


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path}/ledger.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    database = Database(url)
    empty(database)
    yield database
    database.close()


def empty(database: Database) -> None:
    """The graph's tables, and the one it reads titles from, with nothing in them."""
    tables = (*TABLES, documents)
    metadata.drop_all(database.engine, tables)
    metadata.create_all(database.engine, tables)


@pytest.fixture
def graph(database: Database) -> SqlGraph:
    return SqlGraph(database)


@pytest.fixture
def reader(database: Database) -> GraphReader:
    return GraphReader(database)
