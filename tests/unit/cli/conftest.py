"""The command as a person meets it, in this process: a folder of its own, the real configuration."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from command import PAPERS, Penstock, Said
from penstock.cli import main


@pytest.fixture
def penstock(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> Penstock:
    """Runs `penstock ARGUMENTS` in `tmp_path`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENSTOCK_CONFIG", str(root / "config/orchestration"))
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("PENSTOCK_HOME", "PENSTOCK_EMBED_URL", "PENSTOCK_DATABASE_URL", "PENSTOCK_DEBUG", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["penstock", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capsysbinary.readouterr()
        return Said(int(left.value.code or 0), out.decode("utf-8", "surrogateescape"), err.decode())

    return run


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """Three notes, the last of which no parser takes."""
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "a.md").write_text("# Metformin\n\nMetformin lowers glucose in type 2 diabetes.\n")
    (folder / "b.txt").write_text("Apixaban prevents strokes in atrial fibrillation.\n")
    (folder / "c.json").write_text('{"protocolSection": {"identificationModule": {"nctId": "NCT0')
    return folder


@pytest.fixture
def good(notes: Path) -> Path:
    """The two that pass."""
    (notes / "c.json").unlink()
    return notes


@pytest.fixture
def papers(root: Path, tmp_path: Path) -> Path:
    """Two PDFs."""
    folder = tmp_path / "papers"
    folder.mkdir()
    for name in PAPERS:
        shutil.copy(root / "examples-pdf" / name, folder)
    return folder


@pytest.fixture
def waiting(penstock: Penstock, papers: Path) -> Penstock:
    assert penstock("run", "pdf-two-phase", "papers").status == 0
    return penstock


@pytest.fixture
def work(penstock: Penstock) -> Penstock:
    """`penstock worker pdf --once` with the CPU engine."""
    return lambda *more: penstock("worker", "pdf", "--engine", "cpu", "--slots", "1", "--once", *more)


@pytest.fixture
def edit(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Replaces a piece of pdf-two-phase's YAML, in a configuration of one's own."""
    config = tmp_path / "config"

    def edit(old: str, new: str) -> None:
        if not config.exists():
            shutil.copytree(root / "config/orchestration", config)
            monkeypatch.setenv("PENSTOCK_CONFIG", str(config))
        path = config / "pipelines/pdf-two-phase.yaml"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    return edit
