"""`penstock jobs` and `penstock cancel`: which documents stand where, and taking some off their way."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli.request import Tenant, check_ledger, missing_ledger

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from penstock.ledger.gate_read import AtGate
    from penstock.ledger.jobs_read import BatchRow, JobRow
    from penstock.pipelines.topology import Topology

_NOTHING_YET = "nothing here yet: penstock run PIPELINE PATH… starts some"
LOST = ("dead", "failed")
LIMIT = 50
_STYLES = {"done": "green", "complete": "green", "dead": "red", "failed": "yellow", "partial": "yellow"}


def register(app: typer.Typer) -> None:
    app.command("jobs")(jobs)
    app.command("cancel")(cancel)


def jobs(
    status: Annotated[str | None, typer.Option(help="Only these: done, waiting, failed, dead, pending, …")] = None,
    pipeline: Annotated[str | None, typer.Option(help="Only of this pipeline.")] = None,
    batch: Annotated[int | None, typer.Option(help="Only of this batch.")] = None,
    waiting: Annotated[bool, typer.Option("--waiting", help="Only what waits at a gate, and what for.")] = False,
    batches: Annotated[bool, typer.Option("--batches", help="List batches instead.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many to show.")] = LIMIT,
    tenant: Tenant = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List documents and where each stands, the latest first; or, with --batches, the batches."""
    from penstock.bootstrap import open_app
    from penstock.cli.names import known_name
    from penstock.cli.screen import print_json, say, stdout
    from penstock.errors import UsageError
    from penstock.ledger.gate_read import GateReader
    from penstock.ledger.jobs_read import BATCH_STATUSES, JOB_STATUSES, JobsReader

    if waiting and status not in (None, "waiting"):
        raise UsageError("--waiting means --status waiting: leave one of them out")
    wanted = "waiting" if waiting else status
    known_name("status", wanted, BATCH_STATUSES if batches else JOB_STATUSES)
    with closing(open_app()) as app:
        if missing_ledger(app.settings):
            if as_json:
                print_json({"batches" if batches else "jobs": [], "total": 0})
            else:
                say(stdout(), _NOTHING_YET)
            return
        app.ledger.open()
        reader = JobsReader(app.ledger.database)
        owner = tenant or app.settings.tenant
        known_name("pipeline", pipeline, {*reader.pipelines(owner), *app.pipelines.loaded} if pipeline else ())
        if batch is not None:
            app.ledger.batches.batch(batch)
        if batches:
            found, total = reader.batches(owner, status=wanted, pipeline=pipeline, limit=limit)
            if as_json:
                print_json({"batches": found, "total": total})
                return
            _show_batches(stdout(), found)
        else:
            rows, total = reader.jobs(owner, status=wanted, pipeline=pipeline, batch=batch, limit=limit)
            gates = GateReader(app.ledger.database)
            at = gates.standing([row.job_id for row in rows if row.status == "waiting"])
            if as_json:
                listed = [asdict(row) | {"at_gate": at.get(row.job_id)} for row in rows]
                print_json({"jobs": listed, "total": total})
                return
            if wanted == "waiting":
                shown_rows = [(row, at[row.job_id]) for row in rows if row.job_id in at]
                _show_waiting(stdout(), shown_rows, gates.now(), app.pipelines.loaded if shown_rows else {})
            elif wanted in LOST:
                show_lost_jobs(stdout(), rows)
            else:
                _show_jobs(stdout(), rows)
        shown = len(found) if batches else len(rows)
    if total > shown:
        say(stdout(), f"{shown:,} of {total:,}: --limit shows more", "dim")
    elif not total:
        say(stdout(), "none" if wanted or pipeline or batch else _NOTHING_YET)


def cancel(
    documents: Annotated[list[str], typer.Argument(metavar="DOC…", help="Source ids or document ids.")],
    tenant: Tenant = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Take documents off their way: what is done of them stays, nobody goes on with them."""
    from penstock.bootstrap import open_app
    from penstock.cli.screen import counted, print_json, say, stdout
    from penstock.ledger.cancel import cancel as cancel_documents
    from penstock.ledger.jobs_read import JobsReader

    with closing(open_app()) as app:
        check_ledger(app.settings)
        app.ledger.open()
        owner = tenant or app.settings.tenant
        ids = JobsReader(app.ledger.database).doc_ids(owner, documents)
        cancelled = cancel_documents(app.ledger.database, owner, ids)
    if as_json:
        print_json({"cancelled": cancelled, "nothing_under_way": [i for i in ids if i not in cancelled]})
        return
    console = stdout()
    if cancelled:
        say(
            console, f"{counted(len(cancelled), 'document')} cancelled; penstock retry --status cancelled takes it back"
        )
    if len(cancelled) < len(ids):
        say(console, f"{counted(len(ids) - len(cancelled), 'document')} had nothing under way")


def show_lost_jobs(console: Console, rows: Sequence[JobRow]) -> None:
    """Who did not get through, why, and what helps."""
    from penstock.cli.report import show_failures
    from penstock.runner import Failure

    failures = [
        Failure(
            r.source_id, r.doc_id, r.current_stage or "", r.status, r.reason or "", r.message or "", r.next_step or ""
        )
        for r in rows
    ]
    show_failures(console, failures, most=len(failures))


def _show_jobs(console: Console, rows: Sequence[JobRow]) -> None:
    """Name and title of each document beside its state; a pipeline only where there are several."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Column, Table
    from rich.text import Text

    from penstock.cli.screen import document_name, moment, one_line, short, text

    if not rows:
        return
    several = len({row.pipeline for row in rows}) > 1
    table = Table(
        Column("document", overflow="fold"),
        *([Column("pipeline")] if several else []),
        Column("status"),
        Column("stage"),
        Column("gen", justify="right"),
        Column("updated", no_wrap=True),
        box=SIMPLE_HEAD,
    )
    for row in rows:
        name = Text(document_name(row.source_id), "bold")
        if row.title and row.title != row.source_id:
            name.append(f"\n{short(row.title, 72)}", "not bold dim")
        status = Text(row.status, _STYLES.get(row.status, ""))
        if row.round > 1:
            status.append(f", round {row.round}", "dim")
        if why := row.reason or (f"for {row.waiting_for}" if row.waiting_for else ""):
            status.append(f"\n{one_line(why)}", "dim")
        pipeline = [text(row.pipeline)] if several else []
        stage = text(row.current_stage or "")
        table.add_row(name, *pipeline, status, stage, str(row.generation), moment(row.updated_at)[:16])
    console.print(table)


def _show_waiting(
    console: Console, rows: Sequence[tuple[JobRow, AtGate]], now: int, pipelines: Mapping[str, Topology]
) -> None:
    """What each waits for, since when, until when where a gate has a timeout, and whether somebody is at it."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Column, Table

    from penstock.cli.screen import document_name, duration, moment, say, text
    from penstock.explain.standing import NO_PIPELINE

    if not rows:
        return
    several = len({row.pipeline for row, _ in rows}) > 1
    timed = any(at.until for _, at in rows)
    table = Table(
        Column("document", overflow="fold"),
        *([Column("pipeline")] if several else []),
        Column("waits for"),
        Column("since", no_wrap=True),
        *([Column("until", no_wrap=True)] if timed else []),
        Column("now"),
        box=SIMPLE_HEAD,
    )
    helps: dict[str, None] = {}
    for row, at in rows:
        topology = pipelines.get(row.pipeline)
        if topology is None:
            now_, style = "no pipeline for it", "yellow"
            helps[f"{row.pipeline} is broken or gone: {NO_PIPELINE}"] = None
        elif row.current_stage not in topology.timeouts:
            now_, style = "its gate is no more", "yellow"
            helps[f"{row.pipeline} has another gate now, or none: penstock run {row.pipeline} --resume"] = None
        elif at.ready:
            now_, style = "ready: a run takes it next", "green"
        elif at.worked_on is not None:
            now_, style = f"a worker is at it, for {duration(now - at.worked_on)}", "cyan"
        else:
            now_, style = "nobody is at it", ""
        if at.lost:
            now_ += f"; {at.lost} came to a bad end over it"
        pipeline = [text(row.pipeline)] if several else []
        name = text(document_name(row.source_id), "bold")
        until = [moment(at.until)[:16]] if timed else []
        table.add_row(name, *pipeline, text(at.field), moment(at.since)[:16], *until, text(now_, style))
    console.print(table)
    for line in helps:
        say(console, line)


def _show_batches(console: Console, rows: Sequence[BatchRow]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Column, Table

    from penstock.cli.screen import moment, text

    if not rows:
        return
    right = [Column(name, justify="right") for name in ("batch", "documents", "tries")]
    table = Table(right[0], "pipeline", "kind", "status", *right[1:], "created", "note", box=SIMPLE_HEAD)
    for row in rows:
        table.add_row(
            str(row.id),
            text(row.pipeline),
            row.kind,
            text(row.status, _STYLES.get(row.status, "")),
            f"{row.documents:,}",
            str(row.attempt),
            moment(row.created_at),
            text(row.note or ""),
        )
    console.print(table)
