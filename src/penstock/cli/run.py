"""`penstock run`: a pipeline over documents, here and now, without Dagster."""

from __future__ import annotations

import signal
from contextlib import closing, nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli.progress import AFTER_SECONDS, progress
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
from penstock.errors import Stopped, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from penstock.bootstrap import App
    from penstock.pipelines.topology import Topology
    from penstock.runner import RunReport, RunRequest
    from penstock.runner.opening import Retire

STATUS = {"complete": 0, "failed": 1, "partial": 3}
WORSE = (0, 3, 1).index
"""What exit statuses are ordered by, where there are several runs."""


def register(app: typer.Typer) -> None:
    app.command("run")(run)


def run(
    pipeline: Annotated[str, typer.Argument(help="The pipeline's name: penstock pipelines list.", show_default=False)],
    paths: Paths = None,
    source: Source = FILES,
    query: Query = None,
    limit: Limit = None,
    full: Full = False,
    retire: Annotated[
        bool, typer.Option("--retire", help="What this request gave before and no longer does leaves index and graph.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --retire: even if that is more than a tenth.")] = False,
    tenant: Tenant = None,
    batch: Annotated[int | None, typer.Option(help="Run a batch the ledger has instead of listing anything.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="List nothing: go on with what is through its gate by now.")
    ] = False,
    follow: Annotated[
        bool, typer.Option("--follow", help="Stay, and go on with what comes through its gate, until nothing waits.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Run PIPELINE over documents in the foreground. What is done already is not done again.

    Exit status: 0 complete, 1 failed, 2 a mistake in what was asked for, 3 some documents did not get through.
    """
    from penstock.bootstrap import open_app
    from penstock.cli.report import report_json, show_lost, show_report
    from penstock.cli.resume import Lost, Resuming, run_command
    from penstock.cli.screen import print_json, say, stdout
    from penstock.runner import RunRequest

    with closing(open_app()) as app:
        topology, owner = find_pipeline(app, pipeline), tenant or app.settings.tenant
        app.catalogue.source(source)  # raises NotFound with the nearest name
        asked = source_query(source, paths or [], query or [], limit)
        goes_on = resume or follow
        works = batch is not None or bool(asked) or source != FILES or not goes_on
        if (resume and works) or (not works and (full or retire)):
            given = {"PATH…": paths, "--source": source != FILES, "--query": query, "--limit": limit is not None,
                     "--batch": batch is not None, "--full": full, "--retire": retire}  # fmt: skip
            raise UsageError(
                f"{'--resume' if resume else '--follow without a PATH'} lists nothing: "
                f"leave out {', '.join(option for option, value in given.items() if value)}",
                next_step=f"or leave out --resume: {run_command(app, pipeline, owner)} …" if resume else None,
            )
        if batch is None and works:
            check_query(app, source, asked)
        elif asked:
            raise UsageError("a batch has its documents already: leave out the paths and --query")
        if retire and (batch is not None or "limit" in asked):
            raise UsageError("only a whole listing tells what is gone: leave out --batch and --limit")
        leaves: Retire = "none" if not retire else "all" if yes else "some"
        waits = Resuming(app, topology, owner) if goes_on or topology.gates else None
        began = waits.begin() if waits else 0
        console, runs, status = stdout(), [], 0
        told: set[str] = set()

        def reports() -> Iterator[RunReport]:
            if works:
                yield run_here(app, topology, RunRequest(source, asked, owner, batch, leaves, full))
            if waits and goes_on:
                yield from waits.follow() if follow else waits.once()

        for report in reports():
            status = max(status, STATUS[report.outcome], key=WORSE)
            told.update(failure.doc_id for stage in report.stages for failure in stage.failures)
            if as_json:
                runs.append(report_json(topology.name, report))
            else:
                show_report(console, report)
        with waits.telling(began) if waits and goes_on else nullcontext(Lost({}, [])) as lost:
            if lost.count:
                status = max(status, STATUS["partial"], key=WORSE)
            if as_json:
                losses = {"lost": lost.failures, "lost_count": lost.count}
                all_runs = {"pipeline": topology.name, "runs": runs, **losses, "queues": waits.queues if waits else {}}
                print_json(all_runs if goes_on else runs[0])
            else:
                show_lost(console, lost, told)
        if as_json:
            raise typer.Exit(status)
        if waits and (line := waits.standing if goes_on else waits.next_step):
            say(console, line)
    raise typer.Exit(status)


def run_here(app: App, topology: Topology, request: RunRequest, *, after: float = AFTER_SECONDS) -> RunReport:
    """Run in the foreground with progress; SIGINT and SIGTERM are answered between documents.

    A stop is told in one line, and the exit status names the signal; what was under way has been given back then.
    Raises UsageError.
    """
    from penstock.cli.screen import complain
    from penstock.runner.interrupts import held_interrupts

    with held_interrupts() as stop:
        try:
            with progress([stage.name for stage in topology.stages], after=after) as observer:
                return app.runner.run(topology, request, observer, stop)
        except Stopped as error:
            complain(error)
            raise typer.Exit(128 + (stop.received or signal.SIGINT)) from None
