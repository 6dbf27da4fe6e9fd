"""The command as a person meets it, in this process: a folder of its own, the real configuration."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from command import Penstock, Said
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
