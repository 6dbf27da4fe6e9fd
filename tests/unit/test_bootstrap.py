"""What a process is wired from."""

from __future__ import annotations

import re
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from penstock.bootstrap import App
from penstock.errors import StoreBusy, UsageError
from penstock.settings import Settings
from penstock.stages.registry import EntryPointCatalogue


def test_the_manual_names_every_setting_and_no_other(root: Path) -> None:
    table = (root / "README.md").read_text().partition("\n## Settings\n")[2].partition("\n\nA ledger")[0]
    named = re.findall(r"`PENSTOCK_([A-Z_]+)`", table)
    assert sorted(named) == sorted({*map(str.upper, Settings.model_fields), "DEBUG"})


def test_all_is_closed_although_the_ledger_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = App(Settings(home=tmp_path))
    assert app.runner.session.runner
    app.index.store_id()
    closed: list[str] = []

    def away(*_: object) -> None:
        closed.append("runner")
        raise StoreBusy("the ledger is away")

    monkeypatch.setattr(app.ledger.leases, "end", away)
    app.closing.callback(closed.append, "clients")
    app.close()
    assert closed == ["runner", "clients"]
    assert app.ledger.database._engine is None


def test_no_source_opens_what_penstock_keeps(tmp_path: Path) -> None:
    (tmp_path / "note.md").write_text("# Words")
    app = App(
        Settings(
            home=tmp_path / "home",
            database_url=f"sqlite:///{tmp_path}/jobs.db",
            index_path=tmp_path / "search.db",
            artifacts_url=f"file://{tmp_path}/big",
        )
    )
    app.artifacts.put(b"bytes")
    app.ledger.open()
    app.index.store_id()
    with app.ledger.database.write():
        own = {path.name for path in tmp_path.iterdir()} - {"note.md"}
        assert own >= {"jobs.db", "jobs.db-wal", "jobs.db-shm", "search.db", "big"}
        files = app.sources["files"]
        [found] = files.list({"paths": [str(tmp_path)]})
        assert found.source_id == str(tmp_path / "note.md")
        for name in own:
            with pytest.raises(UsageError, match="keeps its own files"):
                files.list({"paths": [str(tmp_path / name)]})
    app.close()


class Plain:
    """A source of somebody else's, which asks for nothing."""

    name = "plain"

    def __init__(self, *, max_bytes: int) -> None:
        self.max_bytes = max_bytes


def test_a_source_that_names_no_needs_is_given_its_limit() -> None:
    app = App(Settings(max_payload_mb=1))
    point = EntryPoint("plain", f"{__name__}:Plain", "penstock.sources")
    app.__dict__["catalogue"] = EntryPointCatalogue(lambda group: [point] if group == point.group else [])
    assert app.sources["plain"].max_bytes == 1 << 20
