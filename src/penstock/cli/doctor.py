"""`penstock doctor`: what is configured, reachable, missing, and what would mend it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    app.command("doctor")(doctor)


def doctor(
    dagster_home: Annotated[
        Path | None, typer.Option(envvar="DAGSTER_HOME", help="Dagster's own folder.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check what Penstock needs here. Exit status 1 if something needed doesn't work."""
    from rich.text import Text

    from penstock.cli.checks import all_checks
    from penstock.cli.screen import one_line, print_json, stdout
    from penstock.settings import load_settings

    styles = {"ok": "green", "warn": "yellow", "bad": "red"}
    checks = []
    for check in all_checks(load_settings(), dagster_home):
        checks.append(check)
        if not as_json:
            line = Text.assemble(
                (f"{check.state:4}", styles[check.state]), f"  {check.name:9}  ", one_line(check.detail)
            )
            stdout().print(line, soft_wrap=True)
            if check.fix:
                stdout().print(Text(f"      {'':9}  fix: {one_line(check.fix)}", "dim"), soft_wrap=True)
    if as_json:
        print_json(checks)
    raise typer.Exit(1 if any(check.state == "bad" for check in checks) else 0)
