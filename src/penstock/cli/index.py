"""`penstock index`: how the search index stands, and building it anew while the one there is goes on answering."""

from __future__ import annotations

from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli.request import check_ledger, find_pipeline
from penstock.errors import NotFound, PenstockError, UsageError

if TYPE_CHECKING:
    from penstock.bootstrap import App
    from penstock.pipelines.topology import Topology
    from penstock.stores.search_index import SqliteSearchIndex

app = typer.Typer(help="Look after the search index.", no_args_is_help=True)

NOT_WHOLE = 3


@dataclass(frozen=True, slots=True)
class Held:
    """What a generation of the index holds. `model` and `dimension` None: no vectors, words only."""

    path: Path
    model: str | None
    dimension: int | None
    documents: int
    chunks: int

    def __str__(self) -> str:
        from penstock.cli.screen import counted

        vectors = f"vectors of {self.model} ({self.dimension} dimensions)" if self.model else "no vectors"
        return f"{self.path}: {counted(self.documents, 'document')}, {counted(self.chunks, 'chunk')}, {vectors}"


@app.command()
def status(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Say what the index holds, and what the one holds that is being built beside it."""
    from penstock.cli.screen import print_json, say, stdout
    from penstock.settings import load_settings
    from penstock.stores.search_generations import Generations
    from penstock.stores.search_index import SqliteSearchIndex

    first = load_settings().index_location
    current = _held(SqliteSearchIndex(first))
    building = Generations(first).next is not None
    following = _held(SqliteSearchIndex(first, building=True)) if building else None
    if as_json:
        print_json({"current": current, "next": following})
        return
    say(stdout(), current or f"nothing is indexed yet at {first}; penstock run fills it")
    if building:
        say(stdout(), f"being built: {following or 'nothing is in it yet'}")


@app.command()
def rebuild(
    yes: Annotated[bool, typer.Option("--yes", help="Switch even if documents are missing in what was built.")] = False,
) -> None:
    """Build the index anew beside the one there is, with the model that is set up now; switch when it is whole.

    What was parsed and chunked is kept. Until the switch the old index is searched, and other runs write to the new
    one. Stopped, it goes on when called again. Exit status 3: documents are missing yet, nothing was switched.
    """
    from penstock.bootstrap import open_app
    from penstock.cli.report import show_report
    from penstock.cli.run import run_here
    from penstock.cli.screen import counted, say, stdout
    from penstock.runner import RunRequest
    from penstock.stores.search_generations import Generations

    console = stdout()
    with closing(open_app()) as app:
        check_ledger(app.settings)
        if not app.index.exists:
            raise NotFound(
                f"nothing is indexed yet at {app.index.path}", next_step="penstock run PIPELINE PATH… fills it"
            )
        app.ledger.open()
        generations = Generations(app.settings.index_location)
        begun = generations.begin()
        try:
            wanted = _wanted(app)
        except PenstockError:
            if begun:
                generations.discard()
            raise
        app.ledger.leases.reap()  # what a killed run held is then known to be left behind
        for tenant, topology in wanted:
            batch = app.ledger.batches.left(tenant, topology.name)
            report = run_here(app, topology, RunRequest(tenant=tenant, batch=batch.id))
            say(
                console,
                f"{topology.name}, tenant {tenant}: {counted(report.documents, 'document')}, batch {batch.id}",
                "bold",
            )
            show_report(console, report)
        missing, let_go = _missing(app)
        if missing and not yes:
            say(
                console,
                f"not switched: {counted(missing, 'document')} of the old index not in the new one yet",
                "yellow",
            )
            say(console, "mend what failed (penstock jobs), then penstock index rebuild goes on; --yes: without them")
            raise typer.Exit(NOT_WHOLE)
        built = app.written
        generations.switch()
        if missing + let_go:
            gone = counted(missing + let_go, "document")
            say(console, f"note: {gone} of the old index left out ({let_go:,} dead, cancelled or retired)", "yellow")
        say(console, f"switched: {_held(built)}", "green")


@app.command()
def discard() -> None:
    """Drop what is being built beside the index; the next runs bring the index up to date."""
    from penstock.cli.screen import say, stdout
    from penstock.settings import load_settings
    from penstock.stores.search_generations import Generations

    dropped = Generations(load_settings().index_location).discard()
    say(stdout(), "dropped; the index is written to again" if dropped else "nothing is being built")


def _held(index: SqliteSearchIndex) -> Held | None:
    if not index.exists:
        return None
    with closing(index), index.snapshot():
        counts, space = index.count(), index.space
        model, dimension = space or (None, None)
        return Held(index.path, model, dimension, counts.documents, counts.chunks)


def _wanted(app: App) -> list[tuple[str, Topology]]:
    """Each tenant's pipelines that write to the index.

    Raises ConfigError for one that is broken, UsageError where a model that is asked for can't be had, or where vectors
    would be lost because nothing embeds.
    """
    from penstock.cli.screen import say, stderr

    wanted = []
    for tenant, name in app.ledger.stores.writers():
        try:
            topology = find_pipeline(app, name)
        except NotFound:
            say(
                stderr(),
                f"note: there is no pipeline {name!r} any more: what only it indexed is not built anew",
                "yellow",
            )
            continue
        contracts = {stage.contract.name for stage in topology.stages if stage.contract is not None}
        if "IndexStage" in contracts:
            _check_vectors(app, topology)
            wanted.append((tenant, topology))
    return wanted


def _check_vectors(app: App, topology: Topology) -> None:
    """No vectors are given up for want of a setting."""
    for planned in app.runner.plan(topology).stages.values():
        embedder = planned.implementation
        chosen = (
            planned.stage.contract is not None and planned.contract.name == "EmbedStage" and embedder.name == "auto"
        )
        if chosen and embedder.model == "none" and app.settings.embedder != "none" and app.index.space is not None:
            raise UsageError(
                f"the index holds vectors, and the new one would have none: {embedder.note}",
                next_step="set up what embeds (penstock doctor), or PENSTOCK_EMBEDDER=none for words only",
            )


def _missing(app: App) -> tuple[int, int]:
    """How many documents of the index are not in what was built; how many of the rest no index has to have."""
    by_tenant: dict[str, list[str]] = defaultdict(list)
    for tenant, doc_id in app.index.documents() - app.written.documents():
        by_tenant[tenant].append(doc_id)
    let_go = sum(len(app.ledger.stores.let_go(tenant, ids)) for tenant, ids in by_tenant.items())
    return sum(map(len, by_tenant.values())) - let_go, let_go
