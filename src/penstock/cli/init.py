"""`penstock init`: what a project of one's own begins with."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from penstock.errors import UsageError

KEPT = ".penstock/"
"""Where runs keep what they keep: not for version control."""


def register(app: typer.Typer) -> None:
    app.command("init")(init)


def init(
    folder: Annotated[Path, typer.Argument(help="Where; it is made if need be.", show_default="here")] = Path(),
) -> None:
    """Start a project: pipelines and policies to edit, and what Dagster needs. Overwrites nothing."""
    from penstock.cli.screen import say, stdout
    from penstock.cli.ui import PROJECT_UI

    written = write_project(folder)
    console = stdout()
    for path in written:
        say(console, f"wrote {path}")
    if not written:
        say(console, "everything is there already", "green")
    there = "" if folder == Path() else f"cd {quote(str(folder))}; "
    say(console, f"next: {there}penstock pipelines check; penstock run auto PATH…")
    say(console, f"Dagster: {PROJECT_UI}")


def write_project(folder: Path) -> list[Path]:
    """The files written. Raises UsageError, with nothing written, when other ones of these names are there."""
    wanted = {folder / name: content for name, content in _templates(files("penstock") / "templates", Path())}
    ignore = folder / ".gitignore"
    try:
        taken = [path for path in wanted if path.exists() and path.read_bytes() != wanted[path]]
        if taken:
            raise UsageError(
                f"{', '.join(map(str, taken))} {'is' if len(taken) == 1 else 'are'} there already, and different",
                next_step="move them away, or name another folder",
            )
        missing = [path for path in wanted if not path.exists()]
        for path in missing:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(wanted[path])
        ignored = ignore.read_text() if ignore.exists() else ""
        if KEPT not in ignored.splitlines():
            ignore.write_text(f"{ignored}{'' if ignored.endswith(chr(10)) or not ignored else chr(10)}{KEPT}\n")
            missing.append(ignore)
    except OSError as error:
        raise UsageError(f"can't write the project: {error.strerror}: {error.filename}") from None
    return missing


def _templates(here: Traversable, below: Path) -> list[tuple[Path, bytes]]:
    found: list[tuple[Path, bytes]] = []
    for entry in sorted(here.iterdir(), key=lambda entry: entry.name):
        name = below / entry.name
        found += _templates(entry, name) if entry.is_dir() else [(name, entry.read_bytes())]
    return found
