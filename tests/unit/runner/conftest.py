"""A bench for each test: see tiny.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.ledger.database import Database
from penstock.ledger.ledger import Ledger
from penstock.resilience.limits import LocalLimits
from tiny import Bench, World


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def bench(tmp_path: Path, world: World) -> Iterator[Bench]:
    ledger = Ledger(Database(f"sqlite:///{tmp_path / 'ledger.db'}"))
    ledger.open()
    bench = Bench(tmp_path, world, ledger)
    yield bench
    for runner in bench.runners:
        runner.close()
    ledger.database.close()


@pytest.fixture
def nobody_paused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a service asks for in one test is not heard in the next."""
    limits = LocalLimits()
    monkeypatch.setattr("penstock.resilience.guard.process_limits", lambda: limits)
