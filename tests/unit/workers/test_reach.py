"""A worker that could not do its work from where it is says so before it begins."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import update

from penstock.errors import UsageError
from penstock.ledger.database import Database
from penstock.ledger.ledger import Ledger
from penstock.ledger.schema import runners
from penstock.workers import reach
from penstock.workers.reach import check_reach, file_system


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    ledger = Ledger(Database(f"sqlite:///{tmp_path}/ledger.db"))
    ledger.open()
    return ledger


def elsewhere(ledger: Ledger, *, ended: bool = False) -> None:
    """A runner of another machine."""
    runner = ledger.leases.register(60)
    with ledger.database.write() as connection:
        mine = update(runners).where(runners.c.id == runner)
        connection.execute(mine.values(owner="far|other-boot|pid:[1]|7|1", ended_at=1 if ended else None))


def test_alone_on_its_machine_it_may(ledger: Ledger) -> None:
    ledger.leases.register(60)
    check_reach(ledger, shared_artifacts=False)


def test_an_sqlite_ledger_that_another_machine_works_with_is_refused(ledger: Ledger) -> None:
    elsewhere(ledger)
    with pytest.raises(UsageError, match="far works with it") as refused:
        check_reach(ledger, shared_artifacts=True)
    assert "PENSTOCK_DATABASE_URL" in refused.value.next_step


def test_a_machine_that_was_rebooted_or_renamed_does_not_count(ledger: Ledger) -> None:
    elsewhere(ledger, ended=True)
    check_reach(ledger, shared_artifacts=True)


def test_a_network_file_system_is_refused(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "file_system", lambda path: "nfs4")
    with pytest.raises(UsageError, match="nfs4"):
        check_reach(ledger, shared_artifacts=True)


def test_documents_of_another_machine_need_a_named_artifact_store(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere(ledger, ended=True)
    monkeypatch.setattr(Database, "path", None)
    with pytest.raises(UsageError, match="came in on far"):
        check_reach(ledger, shared_artifacts=False)
    check_reach(ledger, shared_artifacts=True)


def test_the_file_system_is_that_of_the_nearest_mount(tmp_path: Path) -> None:
    assert file_system(Path("/proc/self")) == "proc"
    assert file_system(tmp_path / "not there yet") not in ("", "proc")
