"""Which command opens Dagster here."""

from __future__ import annotations

from pathlib import Path

_HOME = ".penstock/dagster"
PROJECT_UI = f"mkdir -p {_HOME}; cp dagster.yaml {_HOME}/; DAGSTER_HOME=$PWD/{_HOME} dagster dev -w workspace.yaml"
"""In a folder that `penstock init` has filled."""


def ui_command() -> str:
    """`make ui` where there is such a target in the current folder, else what does the same in a project."""
    makefile = Path("Makefile")
    if makefile.is_file() and "\nui:" in makefile.read_text(errors="replace"):
        return "make ui"
    return PROJECT_UI
