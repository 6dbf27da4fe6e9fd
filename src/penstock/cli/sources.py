"""`penstock sources`: which there are, which keys they want and have, and whether they answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from penstock.cli.screen import fault, one_line, print_json, say, stdout, text
from penstock.errors import PenstockError

if TYPE_CHECKING:
    from penstock.bootstrap import App

app = typer.Typer(help="List sources, their keys and whether they answer.", no_args_is_help=True)

FAILED = 1
PROBE_SECONDS = 10.0
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@dataclass(frozen=True, slots=True)
class Listed:
    """`key`: the variable that holds it, "" where there is none to have; `key_for`: what it is needed for.
    `incremental`: a request that is made again lists what changed."""

    name: str
    url: str
    policy: str
    key: str
    key_for: str
    key_set: bool
    incremental: bool


@dataclass(frozen=True, slots=True)
class Checked:
    name: str
    state: Literal["ok", "warn", "bad"]
    detail: str
    fix: str = ""


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List the sources: where they are, which keys they want, and which of these are set."""
    from rich.table import Column, Table

    from penstock.bootstrap import open_app

    with closing(open_app()) as penstock:
        known = [_listed(penstock, name) for name in penstock.catalogue.sources]
    if as_json:
        print_json(known)
        return
    console = stdout()
    table = Table("source", Column("at", overflow="fold"), "policy", "lists again", "key")
    for each in known:
        again = "what changed" if each.incremental else "everything"
        key = "none" if not each.key else "set" if each.key_set else "not set"
        table.add_row(*map(text, (each.name, each.url, each.policy, again, key)))
    console.print(table)
    for each in known:
        if each.key and not each.key_set:
            say(console, f"{each.key} is not set; it is needed for {each.key_for}", "yellow")


@app.command()
def check(
    names: Annotated[list[str] | None, typer.Argument(help="Sources; default: all.", show_default=False)] = None,
    as_json: Json = False,
) -> None:
    """Ask each source for one record. Exit status 1 if one doesn't answer."""
    from penstock.bootstrap import open_app

    colours = {"ok": "green", "warn": "yellow", "bad": "red"}
    found = []
    with closing(open_app()) as penstock:
        for checked in _checks(penstock, names or penstock.catalogue.sources):
            found.append(checked)
            if not as_json:
                line = fault(f"{checked.state:4}  {one_line(checked.name)}: {checked.detail}", checked.fix)
                line.stylize(colours[checked.state], 0, 4)
                stdout().print(line, soft_wrap=True)
    if as_json:
        print_json(found)
    raise typer.Exit(FAILED if any(checked.state == "bad" for checked in found) else 0)


def _listed(penstock: App, name: str) -> Listed:
    kind = penstock.catalogue.source(name)
    source = penstock.sources[name]
    service, key_for = getattr(kind, "SERVICE", ""), getattr(kind, "KEY", "")
    credential = f"{service}_{getattr(kind, 'CREDENTIAL', 'KEY')}"
    return Listed(
        name=name,
        url=source.api.url if service else "this machine" if name == "files" else "",
        policy=getattr(kind, "policy", ""),
        key=f"PENSTOCK_{credential}" if key_for else "",
        key_for=key_for,
        key_set=bool(key_for and getattr(penstock.settings, credential.lower())),
        incremental=bool(getattr(source, "watermark", None)),
    )


def _checks(penstock: App, names: list[str]) -> Iterator[Checked]:
    """One attempt each, under limits of this process: nothing is written down for a probe."""
    from penstock.resilience.limits import LocalLimits
    from penstock.resilience.policy import Policy
    from penstock.sources.api import GO_ON

    once = Policy(max_attempts=1, timeout_seconds=PROBE_SECONDS, deadline_seconds=2 * PROBE_SECONDS)
    sources = penstock.sources_under(once, LocalLimits())
    for name in names:
        penstock.catalogue.source(name)  # raises NotFound with the nearest name
        try:
            yield _probed(_listed(penstock, name), sources[name])
        except PenstockError as error:
            fix = "see whether it can be reached from here" if error.next_step == GO_ON else error.next_step
            yield Checked(name, "bad", error.message, fix)


def _probed(listed: Listed, source: Any) -> Checked:
    example: Mapping[str, object] | None = getattr(source, "example", None)
    if example is None:
        return Checked(listed.name, "ok", "nothing to ask")
    unset = f"set {listed.key}: it is needed for {listed.key_for}" if listed.key and not listed.key_set else ""
    if unset and not getattr(source, "KEYLESS", True):
        return Checked(listed.name, "warn", f"not asked: {listed.key} is not set", unset)
    payload = next(source.list({**example, "limit": 1}), None)
    if payload is None or payload.note:
        said = payload.note if payload else "nothing"
        return Checked(listed.name, "bad", f"{listed.url} answers, but with {said}")
    detail = f"{listed.url} answers ({payload.source_id})"
    return Checked(listed.name, "warn" if unset else "ok", detail, unset)
