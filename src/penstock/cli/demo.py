"""`penstock demo`: run a pipeline over examples, PDFs or what the public APIs have of a drug; tour what came of it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.cli.pdf_demo import FOLDER, PdfDemo
from penstock.cli.tour import PIPELINE, tour
from penstock.errors import TransientError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from penstock.bootstrap import App
    from penstock.runner import RunReport

DRUG, CONDITION = "metformin", "polycystic ovary syndrome"
LIVE = ("clinicaltrials", "openalex", "openfda-drug-label")
LIVE_RECORDS = 40
"""Records asked of each live source: enough to look at, seconds to fetch."""


def register(app: typer.Typer) -> None:
    app.command("demo")(demo)


def demo(
    folder: Annotated[
        Path | None, typer.Argument(help="Documents to run on.", show_default="examples, with --pdf examples-pdf")
    ] = None,
    drug: Annotated[str, typer.Option(help="The drug to look around; else the one most is said about.")] = DRUG,
    condition: Annotated[str, typer.Option(help="What it is given for; else what most documents say.")] = CONDITION,
    live: Annotated[
        str | None,
        typer.Option(help=f"Instead of FOLDER: what {', '.join(LIVE)} have of this drug.", metavar="DRUG"),
    ] = None,
    pdf: Annotated[
        bool, typer.Option("--pdf", help="PDFs, in two phases: a worker parses them, Dagster's sensor goes on.")
    ] = False,
) -> None:
    """Run the pipeline auto over FOLDER and tour the result: stages, searches, the graph, the way back to the bytes.

    With --pdf: the pipeline pdf-two-phase over a folder of PDFs, with a worker and a Dagster daemon of its own.
    """
    from penstock.bootstrap import open_app
    from penstock.cli.request import FILES, source_query
    from penstock.cli.run import STATUS, WORSE
    from penstock.cli.screen import stdout

    folder = folder or (FOLDER if pdf else Path("examples"))
    if pdf and live is not None:
        raise UsageError("--live is for records, not for PDFs: leave out --live or --pdf")
    if live is None and not folder.exists():
        raise UsageError(f"there is no {folder} here", next_step="penstock demo FOLDER, with some documents in it")
    console = stdout()
    if pdf:
        with closing(open_app()) as app:
            raise typer.Exit(0 if PdfDemo(app, console, folder).run() else STATUS["failed"])
    worst, done = 0, 0
    with closing(open_app()) as app:
        asked: list[tuple[str, dict[str, Any]]] = [(FILES, source_query(FILES, [str(folder)], []))]
        if live is not None:
            asked = [(source, {"query": live, "limit": LIVE_RECORDS}) for source in LIVE]
        for source, query in asked:
            report = run_shown(console, app, PIPELINE, source, query, str(folder) if live is None else live)
            worst = max(worst, STATUS["failed" if report is None else report.outcome], key=WORSE)
            done += report.statuses.get("done", 0) if report is not None and report.outcome != "failed" else 0
        if done:
            _show_kinds(console, app)
            tour(console, app, live or drug, condition, examples=live is None)
    raise typer.Exit(worst)


def run_shown(
    console: Console, app: App, pipeline: str, source: str, query: dict[str, Any], what: str
) -> RunReport | None:
    """One run, shown. None when the source is away, which is told: the others may be there."""
    from penstock.cli.report import nothing_to_do, show_report, stage_table
    from penstock.cli.request import FILES, check_query, find_pipeline
    from penstock.cli.run import run_here
    from penstock.cli.screen import complain, say
    from penstock.runner import RunRequest

    check_query(app, source, query)
    more = what if source == FILES else f"--source {source} --query '{what}' --limit {LIVE_RECORDS}"
    say(console, f"penstock run {pipeline} {more}", "bold")
    request = RunRequest(source, query, app.settings.tenant)
    try:
        report = run_here(app, find_pipeline(app, pipeline), request, after=0)
    except TransientError as error:
        if source == FILES:
            raise
        complain(error)
        return None
    if report.nothing_to_do:
        say(console, nothing_to_do(report), "green")
        console.print(stage_table(report.stages))
    else:
        show_report(console, report)
    return report


def _show_kinds(console: Console, app: App) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Column, Table

    from penstock.cli.screen import short, text
    from penstock.ledger.tour_read import TourReader

    right = [Column(name, justify="right") for name in ("documents", "chunks")]
    table = Table("kind", *right, Column("such as", overflow="fold"), box=SIMPLE_HEAD)
    for row in TourReader(app.ledger.database).kinds(app.settings.tenant):
        table.add_row(text(row.kind), f"{row.documents:,}", f"{row.chunks:,}", text(short(row.title or "", 60), "dim"))
    console.print(table)
