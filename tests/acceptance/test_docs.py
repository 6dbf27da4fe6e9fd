"""What docs/stages.md shows is run as it stands there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.S)


@pytest.fixture
def plugin(tmp_path: Path, root: Path) -> Path:
    """The documented package, installed the way an importer sees it: a module and its entry points."""
    page = (root / "docs/stages.md").read_text()
    (code,), (project,), (pipeline,) = blocks(page, "python"), blocks(page, "toml"), blocks(page, "yaml")
    site = tmp_path / "site"
    info = site / "paragraph_chunker-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "paragraph_chunker.py").write_text(code)
    doors = tomllib.loads(project)["project"]["entry-points"]
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: paragraph-chunker\nVersion: 1.0\n")
    lines = [f"[{group}]\n" + "\n".join(f"{k} = {v}" for k, v in points.items()) for group, points in doors.items()]
    (info / "entry_points.txt").write_text("\n".join(lines))
    shutil.copytree(root / "config", tmp_path / "config")
    (tmp_path / "config/orchestration/pipelines/paragraphs.yaml").write_text(pipeline)
    return tmp_path


def test_the_documented_stage_runs_and_its_text_is_found(plugin: Path, root: Path) -> None:
    environment = os.environ | {
        "PYTHONPATH": str(plugin / "site"),
        "PENSTOCK_HOME": str(plugin / "home"),
        "PENSTOCK_CONFIG": str(plugin / "config/orchestration"),
    }

    def penstock(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from penstock.cli import main; main()", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)

    checked = penstock("pipelines", "check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    ran = penstock("run", "paragraphs", str(root / "examples"))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = penstock("search", "lactic acidosis", "--json")
    assert found.returncode == 0, found.stderr
    assert "lactic acidosis" in found.stdout.lower()
