"""`penstock submit`: leave documents to a running Dagster."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from typing import Annotated

import typer

from penstock.cli.request import (
    FILES,
    Full,
    Limit,
    Paths,
    Query,
    Source,
    Tenant,
    check_query,
    find_pipeline,
    source_query,
)


def register(app: typer.Typer) -> None:
    app.command("submit")(submit)


def submit(
    pipeline: Annotated[str, typer.Argument(help="The pipeline's name: penstock pipelines list.", show_default=False)],
    paths: Paths = None,
    source: Source = FILES,
    query: Query = None,
    limit: Limit = None,
    full: Full = False,
    tenant: Tenant = None,
    key: Annotated[
        str | None, typer.Option(help="Your name for this request: given again, it is not queued again.")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, max=100_000, help="Documents a batch; default: the pipeline's.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Queue documents for PIPELINE: the sensor of a running Dagster launches it."""
    from penstock.bootstrap import open_app
    from penstock.cli.screen import counted, print_json, say, stdout
    from penstock.cli.ui import ui_command
    from penstock.runner.opening import canonical

    with closing(open_app()) as app:
        topology = find_pipeline(app, pipeline)
        app.catalogue.source(source)  # raises NotFound with the nearest name
        asked = source_query(source, paths or [], query or [], limit)
        check_query(app, source, asked)
        submission, batch, fresh = app.ledger.submissions.submit(
            tenant=tenant or app.settings.tenant,
            pipeline=topology.name,
            source=source,
            request=canonical(asked),
            batch_size=batch_size or topology.batch_size,
            idempotency_key=key,
            queued=True,
            full=full,
        )
    if as_json:
        print_json({"submission": asdict(submission) | {"request": asked}, "batch": batch, "new": fresh})
        return
    console = stdout()
    if fresh:
        first = f"its first {counted(batch_size or topology.batch_size, 'document')} as batch {batch.id}"
        say(console, f"submission {submission.id} is queued for pipeline {topology.name}, {first}", "green")
        say(console, f"a running Dagster takes it, batch by batch, to its end: {ui_command()}")
    else:
        say(console, f"submission {submission.id} was there already under that key (batch {batch.id}: {batch.status})")
    say(console, f"penstock jobs --batches shows its batches, penstock jobs --batch {batch.id} documents", "dim")
