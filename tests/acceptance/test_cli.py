"""The command as the shell starts it: what it loads, and how it behaves in a pipe."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from penstock.cli import app

WITNESS = """
import json, sys
from penstock.cli import main
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["penstock", *arguments]
    try:
        main()
    except SystemExit as left:
        status = left.code or 0
    loaded = sorted({name.partition(".")[0] for name in sys.modules})
    print("WITNESS", json.dumps([arguments, status, loaded]), file=sys.stderr)
"""
"""Runs several commands in one process; a line of stderr after each says how it ended and what is loaded by then."""

HEAVY = {"sqlalchemy", "numpy", "apsw", "haystack", "lxml", "yaml", "httpx", "alembic", "openai"}
"""Typer itself loads pydantic to look at a command's parameters."""

Run = Callable[[list[tuple[str, ...]]], list[tuple[list[str], int, set[str]]]]

COMMANDS: dict[str, tuple[str, ...]] = {
    "run": ("run", "auto", "notes"),
    "submit": ("submit", "auto", "notes"),
    "jobs": ("jobs",),
    "cancel": ("cancel", "a.md"),
    "retry": ("retry",),
    "explain": ("explain", "a.md"),
    "picture": ("picture", "a.md:0"),
    "search": ("search", "glucose"),
    "graph": ("graph", "glucose"),
    "doctor": ("doctor",),
    "init": ("init", "project"),
    "demo": ("demo", "notes"),
    "version": ("version",),
    "pipelines": ("pipelines", "check"),
    "ledger": ("ledger", "status"),
    "sources": ("sources", "list"),
    "worker": ("worker", "pdf", "--engine", "cpu", "--once"),
    "index": ("index", "status"),
    "eval": ("eval", "ir", "--help"),
}


@pytest.fixture
def run(root: Path, tmp_path: Path) -> Run:
    """Runs commands in a folder with a note: (arguments, exit status, packages loaded by then) of each."""
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/a.md").write_text("# Metformin\n\nMetformin lowers glucose.\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PENSTOCK_", "DAGSTER_"))}
    environment["PENSTOCK_CONFIG"] = str(root / "config/orchestration")

    def start(commands: list[tuple[str, ...]]) -> list[tuple[list[str], int, set[str]]]:
        command = [sys.executable, "-c", WITNESS, json.dumps(commands)]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
        assert "Traceback" not in done.stderr
        told = [json.loads(line[8:]) for line in done.stderr.splitlines() if line.startswith("WITNESS ")]
        assert len(told) == len(commands)
        return [(arguments, status, set(packages)) for arguments, status, packages in told]

    return start


def test_every_command_is_tried_here() -> None:
    commands = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    assert commands | {group.name for group in app.registered_groups} == set(COMMANDS)


def test_no_command_loads_dagster(run: Run) -> None:
    for arguments, status, packages in run(list(COMMANDS.values())):
        assert "dagster" not in packages, arguments
        assert status == (2 if arguments[0] in ("graph", "picture") else 0), arguments


def test_help_loads_nothing_heavy(run: Run) -> None:
    for arguments, status, packages in run([("--help",), *((name, "--help") for name in COMMANDS)]):
        assert not HEAVY & packages, arguments
        assert status == 0, arguments


def test_a_reader_that_has_seen_enough_is_no_error(root: Path, tmp_path: Path) -> None:
    command = "import sys; from penstock.cli import main; sys.argv = ['penstock', 'pipelines', 'schema']; main()"
    with subprocess.Popen(
        [sys.executable, "-c", command], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        assert writer.stderr is not None
        writer.stdout.close()
        told = writer.stderr.read()
    assert b"Traceback" not in told
    assert b"this is a bug" not in told


def test_an_empty_path_is_a_variable_that_was_not_set_and_not_the_current_folder(tmp_path: Path, root: Path) -> None:
    command = [sys.executable, "-c", "from penstock.cli import main; main()", "run", "auto", ""]
    environment = os.environ | {"PENSTOCK_HOME": str(tmp_path / "home")}
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "empty" in done.stderr
