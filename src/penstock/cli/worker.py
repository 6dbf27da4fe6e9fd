"""`penstock worker`: parse PDFs that wait at a gate, and see who does."""

from __future__ import annotations

import signal
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli.request import check_ledger, tenant_name
from penstock.errors import Stopped

if TYPE_CHECKING:
    from rich.console import Console

    from penstock.bootstrap import App
    from penstock.ledger.workers import WorkerRow
    from penstock.workers.host import Host
    from penstock.workers.pdf import Tally

app = typer.Typer(help="Work on documents that wait at a gate, in a process without Dagster.", no_args_is_help=True)

PARTIAL = 3


@app.command()
def pdf(
    engine: Annotated[
        str | None,
        typer.Option(help="cpu, mineru (a GPU here), mineru-http (a server) or auto; default: PENSTOCK_PDF_ENGINE."),
    ] = None,
    cpu: Annotated[
        bool | None, typer.Option("--cpu/--no-cpu", help="Whether auto may take the CPU engine where no GPU is.")
    ] = None,
    url: Annotated[str, typer.Option(help="The server of mineru-http; default: PENSTOCK_MINERU_URL.")] = "",
    once: Annotated[bool, typer.Option("--once", help="End when nothing waits any more.")] = False,
    slots: Annotated[
        int | None, typer.Option(min=1, max=256, help="Documents at once; default: the CPUs, of a GPU 1.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, max=1000, help="Documents a slot claims at a time.")] = 1,
    memory_mb: Annotated[
        int | None, typer.Option(min=128, help="Memory of a child process that parses, in MiB.", show_default=False)
    ] = None,
    page_seconds: Annotated[
        float | None, typer.Option(min=1, help="A page may take so long.", show_default=False)
    ] = None,
    document_seconds: Annotated[
        float | None, typer.Option(min=1, help="A document may take so long.", show_default=False)
    ] = None,
    max_pages: Annotated[
        int | None, typer.Option(min=1, help="A document may have so many pages.", show_default=False)
    ] = None,
    max_mb: Annotated[int | None, typer.Option(min=1, help="A file may have so many MB.", show_default=False)] = None,
    tier: Annotated[
        str | None, typer.Option(help="MinerU's: flash, basic, standard or advanced.", show_default=False)
    ] = None,
    ocr_mode: Annotated[
        str | None, typer.Option(help="MinerU's: auto, txt (never) or ocr (always).", show_default=False)
    ] = None,
    mineru_api: Annotated[
        Path | None, typer.Option(help="The program mineru-api; default: the one on the PATH.", show_default=False)
    ] = None,
) -> None:
    """Parse PDFs that wait for pdf_ir_ready, of all tenants, each in a child process with limits.

    Exit status: 0 all went well, 1 the engine can't work here, 3 some documents failed, 130 or 143 it was stopped.
    """
    from penstock.bootstrap import open_app
    from penstock.cli.engines import Asked, host_of
    from penstock.cli.screen import stdout

    limits = memory_mb, page_seconds, document_seconds, max_pages, max_mb
    asked = Asked(engine, cpu, url, slots, *limits, tier, ocr_mode, mineru_api)
    with closing(open_app()) as penstock:
        host = host_of(penstock.settings, asked)
        check_ledger(penstock.settings)
        raise typer.Exit(_work(stdout(), penstock, host, batch, once=once))


def _work(console: Console, app: App, host: Host, batch: int, *, once: bool) -> int:
    from penstock.cli.screen import complain, counted
    from penstock.cli.watching import Told
    from penstock.runner.interrupts import held_interrupts
    from penstock.workers.pdf import GRACE_SECONDS, PdfWorker
    from penstock.workers.reach import check_reach

    check_reach(app.ledger, shared_artifacts=bool(app.settings.artifacts_url))
    told = Told(console, f"engine {host.name} {host.version}, {counted(host.slots, 'slot')}")
    worker = PdfWorker(
        app.ledger,
        app.artifacts,
        host,
        lease_seconds=app.settings.lease_seconds,
        watcher=told,
        batch=batch,
        once=once,
    )
    with held_interrupts() as stop:

        def asked_to_stop() -> None:
            try:
                stop()
            except Stopped:
                told.finishing(GRACE_SECONDS)
                raise

        try:
            tally = worker.run(asked_to_stop)
        except Stopped:
            received = stop.received or signal.SIGINT
            left = f"; {counted(told.under_way, 'document')} under way: for whoever asks next" if told.under_way else ""
            complain(Stopped(f"stopped by {received.name}{left}", next_step=""))
            _sum_up(console, worker.tally)
            return 128 + received
    _sum_up(console, tally)
    return PARTIAL if tally.lost else 0


def _sum_up(console: Console, tally: Tally) -> None:
    from penstock.cli.screen import counted, say

    told = [f"{counted(tally.documents, 'document')} parsed", f"{tally.lost:,} failed"]
    told += [f"{tally.given_back:,} given back"] if tally.given_back else []
    told += [f"{tally.taken_over:,} left"] if tally.taken_over else []
    missing = f", {tally.missing:,} of them without text" if tally.missing else ""
    style = "yellow" if tally.lost or tally.missing else "green"
    say(console, f"{', '.join(told)}; {counted(tally.pages, 'page')}{missing}", style)


@app.command()
def status(
    gone: Annotated[bool, typer.Option("--all", help="Those that have ended, too.")] = False,
    tenant: Annotated[
        str | None,
        typer.Option(callback=tenant_name, help="Only what waits of this tenant; default: all.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the workers: when each was last heard of, what it is on, how fast it is; and how many documents wait.

    A worker serves all tenants.
    """
    from penstock.bootstrap import open_app
    from penstock.cli.screen import print_json, say, stdout
    from penstock.ledger.gate_read import GateReader

    console = stdout()
    with closing(open_app()) as penstock:
        check_ledger(penstock.settings)
        rows = penstock.ledger.workers.status(ended=gone)
        queues = GateReader(penstock.ledger.database).queues(tenant)
        own = penstock.settings.tenant
    if as_json:
        workers = [asdict(row) | {"pages_per_second": row.pages_per_second} for row in rows]
        print_json({"workers": workers, "queues": queues})
        return
    _show_workers(console, rows)
    if not rows:
        say(console, "no worker is there: penstock worker pdf starts one")
    for queue in queues:
        whose = f" of tenant {queue.tenant}" if queue.tenant != own else ""
        wait = f"{queue.waiting:,} {'waits' if queue.waiting == 1 else 'wait'} for {queue.field}"
        ready = f"{queue.ready:,} {'is' if queue.ready == 1 else 'are'} ready for a run"
        say(console, f"{queue.pipeline}{whose}: {wait}, {ready}")
    if not queues:
        say(console, f"no document{f' of tenant {tenant}' if tenant else ''} waits")


def _show_workers(console: Console, rows: list[WorkerRow]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Column, Table
    from rich.text import Text

    from penstock.cli.screen import document_name, duration, text

    if not rows:
        return
    right = [Column(name, justify="right") for name in ("documents", "failed", "pages/s")]
    table = Table("worker", "engine", "heard of", Column("on", overflow="fold"), *right, box=SIMPLE_HEAD)
    for row in rows:
        machine, *_, pid, _started = row.owner.split("|")
        heard = text(f"{duration(row.beat)} ago") if row.alive else Text("gone", "yellow")
        on = [f"{document_name(name)}, for {duration(since)}" for name, since in row.on]
        table.add_row(
            text(f"{machine}, process {pid}"),
            text(f"{row.engine}{f' × {row.slots}' if row.slots > 1 else ''}"),
            heard,
            Text("\n".join(on)),
            f"{row.documents:,}",
            f"{row.failures:,}",
            f"{row.pages_per_second:.1f}",
        )
    console.print(table)
