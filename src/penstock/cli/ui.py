"""Which command opens Dagster here."""

from __future__ import annotations

from pathlib import Path

_HOME = ".penstock/dagster"
PROJECT_UI = f"mkdir -p {_HOME}; cp dagster.yaml {_HOME}/; DAGSTER_HOME=$PWD/{_HOME} dagster dev -w workspace.yaml"
"""In a folder that `penstock init` has filled."""


def ui_command() -> str:
    """`make ui` where there is such a target in the current folder, else what does the same in a project."""
    return "make ui" if has_target("ui") else PROJECT_UI


def has_target(name: str) -> bool:
    """Whether the current folder's Makefile has a target."""
    makefile = Path("Makefile")
    return makefile.is_file() and f"\n{name}:" in makefile.read_text(errors="replace")
