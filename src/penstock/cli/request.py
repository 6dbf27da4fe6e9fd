"""What a person asks of a source, out of paths and options; checked before anything is written down."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.errors import NotFound, UsageError

if TYPE_CHECKING:
    from penstock.bootstrap import App
    from penstock.pipelines.topology import Topology
    from penstock.settings import Settings

FILES = "files"
_ASSIGNMENT = re.compile(r"[a-z_]+=")


def tenant_name(name: str | None) -> str | None:
    """Raises UsageError for a name that can be no tenant's."""
    from penstock.ir.context import check_tenant

    return None if name is None else check_tenant(name)


Paths = Annotated[
    list[str] | None, typer.Argument(metavar="PATH…", help="Files, folders, or patterns in quotes.", show_default=False)
]
Source = Annotated[str, typer.Option("--source", help="Where to take documents from.")]
Query = Annotated[
    list[str] | None,
    typer.Option(
        "--query", "-q", help="What to ask the source for: words, NAME=VALUE (may be repeated) or a JSON object."
    ),
]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="How many records at most.", show_default=False)]
Full = Annotated[bool, typer.Option("--full", help="List everything, not only what changed since the last time.")]
Tenant = Annotated[
    str | None,
    typer.Option(
        "--tenant",
        callback=tenant_name,
        help="Whose documents; default: PENSTOCK_TENANT.",
        show_default=False,
    ),
]


def missing_ledger(settings: Settings) -> Path | None:
    """Where the first run will make the ledger; None when there is one. Asking makes none.

    Raises UsageError where none could be made.
    """
    from penstock.ledger.database import Database

    path = Database(settings.ledger_url).path
    if path is None or path.exists():
        return None
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if not above.is_dir():
        raise UsageError(f"{path} can't be: {above} is no folder", next_step="set PENSTOCK_HOME to a folder")
    return path


def check_ledger(settings: Settings) -> None:
    """Raises NotFound when there is no ledger yet."""
    if path := missing_ledger(settings):
        raise NotFound(f"no ledger at {path} yet", next_step="penstock run PIPELINE PATH… makes one")


def find_pipeline(app: App, name: str) -> Topology:
    """The pipeline of this name.

    Raises ConfigError with all problems of its file when that is broken; NotFound or UsageError with the nearest name,
    or the command that was probably meant.
    """
    pipelines = app.pipelines
    if name not in pipelines.loaded:
        for path, error in pipelines.broken.items():
            if path.stem == name:
                raise error
        if Path(name).exists():
            first = next(iter(pipelines.loaded), "PIPELINE")
            known = ", ".join(pipelines.loaded) or "none"
            raise UsageError(
                f"{name!r} is a path; the pipeline comes first (there are: {known})",
                next_step=f"penstock run {first} {name}",
            )
    return pipelines.named(name)


def source_query(source: str, paths: Sequence[str], options: Sequence[str], limit: int | None = None) -> dict[str, Any]:
    """The query of a submission. Raises UsageError for an option that a source of files can't make out."""
    query: dict[str, Any] = {}
    for option in options:
        if option.lstrip().startswith("{"):
            query |= _json_object(option)
        elif source == FILES or _ASSIGNMENT.match(option):
            query |= _assignment(option, query)
        else:
            query["query"] = option
    if limit is not None:
        query["limit"] = limit
    if paths and source != FILES:
        raise UsageError(
            f"paths are for the source {FILES!r}", next_step=f"leave out --source, or ask {source!r} with --query"
        )
    if any(not path.strip() for path in paths):
        raise UsageError("a path is empty", next_step="for the current folder say .")
    if paths:
        from penstock.sources.walk import address, located

        query["paths"] = [address(os.path.abspath(os.path.expanduser(located(path)))) for path in paths]
    return query


def check_query(app: App, source: str, query: dict[str, Any]) -> None:
    """Ask the source whether it takes the query, without listing anything.

    Raises UsageError, or NotFound for a path or source that isn't there.
    """
    app.catalogue.source(source)
    if source == FILES and not query:
        raise UsageError("say what to run on", next_step="penstock run PIPELINE PATH…")
    app.sources[source].list(query)


def _json_object(option: str) -> dict[str, Any]:
    try:
        value = json.loads(option)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--query is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise UsageError("--query is JSON, but no object: write NAME=VALUE, or {…}")
    return value


def _assignment(option: str, before: dict[str, Any]) -> dict[str, Any]:
    """NAME=VALUE; a name given again makes a list."""
    name, equals, given = option.partition("=")
    if not equals or not name.strip():
        raise UsageError(f"--query {option!r}: write NAME=VALUE, or a JSON object")
    try:
        value = json.loads(given)
    except (ValueError, RecursionError):
        value = given
    if name not in before:
        return {name: value}
    held = before[name] if isinstance(before[name], list) else [before[name]]
    return {name: [*held, value]}
