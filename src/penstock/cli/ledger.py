"""`penstock ledger`: the version of the ledger's tables, and bringing them up to date."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

import typer

from penstock.errors import UsageError

app = typer.Typer(help="Look after the ledger's tables.", no_args_is_help=True)


@app.command()
def migrate() -> None:
    """Bring the ledger up to date. On SQLite every command does so by itself."""
    from penstock.cli.screen import say, stdout
    from penstock.ledger.database import Database
    from penstock.ledger.migrate import HEAD, current
    from penstock.ledger.migrate import migrate as bring_up
    from penstock.settings import load_settings

    with closing(Database(load_settings().ledger_url)) as database:
        before = current(database)
        if before is not None and before > HEAD:
            raise UsageError(f"the ledger is of version {before}, this Penstock knows {HEAD}", next_step="upgrade it")
        after = bring_up(database)
    say(stdout(), f"the ledger is at version {after}" + ("" if before == after else f" (was {before or 'empty'})"))


@app.command()
def status(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Say where the ledger is and which version its tables have. Exit status 1 when it has to be migrated."""
    from penstock.cli.screen import print_json, say, stdout
    from penstock.ledger.database import Database
    from penstock.ledger.migrate import HEAD, current
    from penstock.settings import load_settings

    with closing(Database(load_settings().ledger_url)) as database:
        absent = database.path is not None and not database.path.exists()
        version = None if absent else current(database)
        where = database.url.render_as_string(hide_password=True)
    if as_json:
        print_json({"url": where, "version": version, "head": HEAD, "current": version == HEAD})
    else:
        told = f"version {version}" if version else "not there yet"
        fix = "" if version in (HEAD, None) else f"; this Penstock needs {HEAD}: penstock ledger migrate"
        say(stdout(), f"{where}: {told}{fix}")
    raise typer.Exit(0 if version == HEAD or absent else 1)
