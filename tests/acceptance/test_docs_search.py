"""What docs/search.md shows is run as it stands there, over the documents in examples/."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from haystack import Pipeline

COMMAND = [sys.executable, "-c", "from penstock.cli import main; main()"]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.S)


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return (root / "docs/search.md").read_text()


@pytest.fixture(scope="module")
def environment(root: Path) -> dict[str, str]:
    without = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
    return without | {"PENSTOCK_CONFIG": str(root / "config/orchestration")}


@pytest.fixture(scope="module")
def house(root: Path, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose `.penstock` holds the examples."""
    folder = tmp_path_factory.mktemp("docs")
    command = [*COMMAND, "run", "auto", str(root / "examples")]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_command_finds_something(page: str, house: Path, environment: dict[str, str]) -> None:
    lines = [line for block in blocks(page, "") for line in block.splitlines() if line.startswith("penstock ")]
    assert len(lines) >= 3
    for line in lines:
        command = [*COMMAND, *shlex.split(line)[1:]]
        done = subprocess.run(
            command, cwd=house, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        assert "No hits." not in done.stdout, line
        if "--json" in line:
            assert json.loads(done.stdout)["hits"], line


def test_the_python_shown_prints_hits(page: str, house: Path, environment: dict[str, str]) -> None:
    [code] = blocks(page, "python")
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=house,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "metformin" in done.stdout.lower()


def test_the_haystack_pipeline_shown_is_loaded_and_finds(
    page: str, house: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(house)
    [definition] = blocks(page, "yaml")
    pipeline = Pipeline.loads(definition, allowed_modules=["penstock.*"])
    found = pipeline.run({"retriever": {"query": "metformin lactic acidosis"}})["retriever"]["documents"]
    assert len(found) == 5
    assert "lactic acidosis" in found[0].content.lower()
