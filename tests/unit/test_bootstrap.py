"""What a process is wired from."""

from __future__ import annotations

import re
import shutil
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from penstock.bootstrap import App
from penstock.cli.init import write_project
from penstock.errors import StoreBusy, UsageError
from penstock.settings import Settings, load_settings
from penstock.stages.registry import EntryPointCatalogue


def test_the_manual_names_every_setting_and_no_other(root: Path) -> None:
    table = (root / "README.md").read_text().partition("\n## Settings\n")[2].partition("\n\nA ledger")[0]
    named = re.findall(r"`PENSTOCK_([A-Z_]+)`", table)
    ours = [name.upper() for name, field in Settings.model_fields.items() if field.validation_alias is None]
    assert sorted(named) == sorted({*ours, "DEBUG"})


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


@pytest.mark.parametrize("around", [True, False], ids=["in the project's folder", "in folders of their own"])
def test_what_init_writes_and_dagster_keeps_is_no_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, around: bool
) -> None:
    config, dagster = (tmp_path, tmp_path) if around else (tmp_path / "config/orchestration", tmp_path / "dagster")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENSTOCK_CONFIG", str(config))
    monkeypatch.setenv("DAGSTER_HOME", str(dagster))
    write_project(tmp_path)
    if around:
        shutil.copytree(tmp_path / "config/orchestration", tmp_path, dirs_exist_ok=True)
        shutil.rmtree(tmp_path / "config")
    for name in ("storage/run/compute_logs/x.out", "history/runs.db", "schedules/schedules.db", "logs/event.log"):
        (dagster / name).parent.mkdir(parents=True)
        (dagster / name).write_text("words")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/note.md").write_text("# Words")
    for given in (".", "docs"):
        found = App(load_settings()).sources["files"].list({"paths": [given]})
        assert [payload.source_id for payload in found] == [str(tmp_path / "docs/note.md")]


def test_an_empty_home_of_dagsters_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", "")
    (tmp_path / "storage").write_text("words")
    assert len(list(App(load_settings()).sources["files"].list({"paths": ["."]}))) == 1


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
