"""`penstock demo --pdf`: a folder of PDFs through both phases, and what pages add to the tour."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.cli.screen import counted, say
from penstock.errors import EngineUnavailable, PenstockError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from penstock.bootstrap import App
    from penstock.cli.resume import Resuming
    from penstock.ledger.jobs_read import JobsReader
    from penstock.retrieval.hybrid import SearchHit, SearchResult

PIPELINE = "pdf-two-phase"
FOLDER = Path("examples-pdf")
QUERIES = ("ketoacidosis although blood glucose is not high", "first dose of apixaban after warfarin is stopped")
"""What the examples can answer."""
HITS = 2
PATIENCE_SECONDS = 600.0
LOOK_SECONDS = 0.25


@dataclass(frozen=True)
class PdfDemo:
    app: App
    console: Console
    folder: Path

    @property
    def _tenant(self) -> str:
        return self.app.settings.tenant

    @cached_property
    def _waits(self) -> Resuming:
        from penstock.cli.request import find_pipeline
        from penstock.cli.resume import Resuming

        return Resuming(self.app, find_pipeline(self.app, PIPELINE), self._tenant)

    def run(self) -> bool:
        """Whether anything came of it."""
        from penstock.cli.demo import run_shown
        from penstock.cli.request import FILES, source_query

        query = source_query(FILES, [str(self.folder)], [])
        run_shown(self.console, self.app, PIPELINE, FILES, query, str(self.folder))
        if self._waits.queues:
            self._parse_and_resume()
        self._show_losses()
        return self._tour()

    def _parse_and_resume(self) -> None:
        """A worker and a daemon, each a process of its own, until nothing waits and nothing is under way."""
        from penstock.cli.daemon import daemon
        from penstock.ledger.jobs_read import JobsReader
        from penstock.runner.interrupts import held_interrupts

        reader = JobsReader(self.app.ledger.database)
        known = {row.id for row in reader.batches(self._tenant, pipeline=PIPELINE)[0]}
        home = self.app.settings.home / "demo-dagster"
        with held_interrupts() as stop, daemon(home) as running:
            say(self.console, f"dagster-daemon run -m penstock.definitions  (DAGSTER_HOME={home})", "bold")
            say(self.console, "penstock worker pdf --engine cpu --once", "bold")
            self._work(stop)
            until = time.monotonic() + PATIENCE_SECONDS
            while self._under_way(reader, known):
                stop()
                running.check()
                if time.monotonic() > until:
                    raise PenstockError(
                        f"no run ended within {PATIENCE_SECONDS:g} s", next_step=f"see {home}/daemon.log"
                    )
                time.sleep(LOOK_SECONDS)
        for row in reversed(reader.batches(self._tenant, pipeline=PIPELINE)[0]):
            if row.id not in known:
                took = f"pdf_ir_ready_sensor launched a run for {counted(row.documents, 'document')}: {row.status}"
                say(self.console, took, "green" if row.status == "complete" else "yellow")
        self.console.print()

    def _work(self, stop: Callable[[], None]) -> None:
        """The worker's lines go where ours do."""
        sys.stdout.flush()
        command = [sys.executable, "-m", "penstock", "worker", "pdf", "--engine", "cpu", "--once"]
        with subprocess.Popen(command) as worker:  # noqa: S603 — this very program
            try:
                while worker.poll() is None:
                    stop()
                    time.sleep(LOOK_SECONDS)
            except BaseException:
                worker.terminate()
                raise
        if worker.returncode not in (0, 3):
            raise EngineUnavailable(f"the worker ended with status {worker.returncode}")

    def _under_way(self, reader: JobsReader, known: set[int]) -> bool:
        """Whether a document is on its way, or a run has not come to its end."""
        batches = reader.batches(self._tenant, pipeline=PIPELINE)[0]
        open_runs = any(row.finished_at is None for row in batches if row.id not in known)
        return open_runs or any(
            reader.jobs(self._tenant, status=status, pipeline=PIPELINE, limit=1)[1] for status in ("waiting", "pending")
        )

    def _show_losses(self) -> None:
        """What did not get through, and why: in a tour that is part of what is to be seen."""
        from penstock.cli.jobs import LIMIT, LOST, show_lost_jobs
        from penstock.ledger.jobs_read import JobsReader

        for status in LOST:
            rows, _ = JobsReader(self.app.ledger.database).jobs(self._tenant, status=status, limit=LIMIT)
            if rows:
                say(self.console, f"penstock jobs --status {status}", "bold")
                show_lost_jobs(self.console, rows)
                self.console.print()

    def _tour(self) -> bool:
        from penstock.cli.embedding import query_embedder
        from penstock.cli.search import hybrid
        from penstock.ledger.jobs_read import JobsReader
        from penstock.stores.search_filters import Filters

        done, _ = JobsReader(self.app.ledger.database).jobs(self._tenant, status="done", pipeline=PIPELINE, limit=2)
        if not done:
            return False
        search = hybrid(self.app.index, self.app.settings, query_embedder)
        titles = tuple(row.title or row.source_id for row in done)
        hit = None
        for words in QUERIES if self.folder == FOLDER else titles:
            only = Filters(kinds=("pdf",))
            result = search.search(words, tenant=self._tenant, k=HITS, filters=only, per_document=True)
            self._show_search(result)
            hit = hit or next(iter(result.hits), None)
        if hit is not None:
            self._show_place(hit)
            self._show_graph(hit)
        self._show_next(hit)
        return True

    def _show_search(self, result: SearchResult) -> None:
        from penstock.cli.tour import show_search
        from penstock.explain import Pages

        show_search(self.console, result, Pages(self._tenant, self.app.ledger, self.app.artifacts).of(result.hits))

    def _show_place(self, hit: SearchHit) -> None:
        """The picture of the place in its page."""
        from penstock.cli.picture import draw

        say(self.console, f"penstock picture {hit.chunk_id}", "bold")
        name = f"{Path(hit.source_id).stem}-{hit.chunk_id.rpartition(':')[2]}.png"
        path = draw(self.app, hit.chunk_id, self.app.settings.home / "pictures" / name)
        say(self.console, f"    {path}")
        self.console.print()

    def _show_graph(self, hit: SearchHit) -> None:
        from penstock.cli.tour import show_graph
        from penstock.ledger.graph_read import GraphReader

        graph = GraphReader(self.app.ledger.database)
        for node in graph.find(self._tenant, hit.title)[:1]:
            show_graph(self.console, graph.neighbourhood(self._tenant, node), None)

    def _show_next(self, hit: SearchHit | None) -> None:
        from penstock.cli.tour import command

        name = command()
        lines = [f"{name} worker status --all", f"{name} jobs --waiting"]
        lines += [f"{name} explain {hit.chunk_id}"] if hit else []
        lines += [
            f"{name} run {PIPELINE} PATH…; {name} worker pdf --once; {name} run {PIPELINE} --resume  (without Dagster)",
            f"{name} worker pdf --engine mineru  (on a machine with a GPU, same ledger and artifact store)",
        ]
        say(self.console, f"all of it lies in {self.app.settings.home}; what to type next:", "bold")
        for line in lines:
            say(self.console, f"  {line}")
