"""`penstock retry`: try again what failed or was dead-lettered, from the stage where it did."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli.request import Tenant, check_ledger, find_pipeline
from penstock.errors import NotFound

if TYPE_CHECKING:
    from penstock.bootstrap import App

RETRYABLE = ("dead", "failed", "cancelled")


def register(app: typer.Typer) -> None:
    app.command("retry")(retry)


def retry(
    documents: Annotated[
        list[str] | None, typer.Argument(metavar="DOC…", help="Source ids or document ids.", show_default=False)
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Only what failed for this reason.")] = None,
    status: Annotated[
        str | None, typer.Option(help="Only dead, failed or cancelled documents; default: dead and failed.")
    ] = None,
    pipeline: Annotated[str | None, typer.Option(help="Only of this pipeline.")] = None,
    submit: Annotated[bool, typer.Option("--submit", help="Leave it to a running Dagster.")] = False,
    tenant: Tenant = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Try failed and dead documents again, as a new round: here, or with --submit in a running Dagster."""
    from penstock.bootstrap import open_app
    from penstock.cli.names import known_name
    from penstock.cli.report import report_json, show_report
    from penstock.cli.resume import Resuming
    from penstock.cli.run import STATUS, WORSE, run_here
    from penstock.cli.screen import counted, print_json, say, stdout
    from penstock.cli.ui import ui_command
    from penstock.ledger.jobs_read import JobsReader
    from penstock.runner import RunRequest

    with closing(open_app()) as app:
        check_ledger(app.settings)
        owner = tenant or app.settings.tenant
        reader = JobsReader(app.ledger.database)
        app.ledger.open()
        known_name("status", status, RETRYABLE)
        known_name("reason", reason, reader.reasons(owner))
        known_name("pipeline", pipeline, reader.pipelines(owner))
        wanted = reader.doc_ids(owner, documents or [])
        usable, notes = _usable(app, reader.pipelines(owner, (*RETRYABLE, "pending")), pipeline)
        app.ledger.leases.reap()  # what a killed run held is then known to be left behind
        everything = not (submit or reason or status or documents)
        broken_off = app.ledger.submissions.broken_off(owner, usable) if everything else []
        made = [(batch, app.ledger.batches.size(batch.id)) for batch in broken_off]
        made += app.ledger.batches.retry(
            tenant=owner, queued=submit, pipelines=usable, reason=reason, status=status, doc_ids=wanted
        )
        console = stdout()
        for note in [] if as_json else notes:
            say(console, f"note: {note}", "yellow")
        if not made and not as_json:
            say(console, "nothing to retry: no document stands failed or dead that matches", "green")
        results, worst = [], 0
        for batch, count in made:
            result = {"pipeline": batch.pipeline, "batch": batch.id, "documents": count}
            if submit and not as_json:
                queued = f"batch {batch.id} of pipeline {batch.pipeline} is queued with {counted(count, 'document')}"
                say(console, f"{queued}; a running Dagster takes it: {ui_command()}")
            if not submit:
                topology, request = find_pipeline(app, batch.pipeline), RunRequest(tenant=owner, batch=batch.id)
                report = run_here(app, topology, request)
                worst = max(worst, STATUS[report.outcome], key=WORSE)
                result["report"] = report_json(batch.pipeline, report)
                if not as_json:
                    what = "listing goes on" if batch in broken_off else f"{count:,} tried again"
                    say(console, f"{batch.pipeline}: {what}, batch {batch.id}", "bold")
                    show_report(console, report)
                    if topology.gates and (line := Resuming(app, topology, owner).next_step):
                        say(console, line)
            results.append(result)
    if as_json:
        print_json(results)
    raise typer.Exit(worst)


def _usable(app: App, names: list[str], only: str | None) -> tuple[list[str], list[str]]:
    """The pipelines that can be run, and a note on each that is no more: its documents are left as they are.

    Before anything is marked for another try: raises ConfigError for one that is broken, NotFound for one asked for.
    """
    usable, notes = [], []
    for name in names if only is None else [only]:
        try:
            usable.append(find_pipeline(app, name).name)
        except NotFound:
            if [name] in ([only], names):
                raise
            notes.append(f"there is no pipeline {name!r} any more: what it left undone stays as it is")
    return usable, notes
