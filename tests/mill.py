"""A ledger with PDFs that wait at a gate, and workers to let loose on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select

from pdf_engines import TARGET, pdf
from penstock.bootstrap import App, open_app
from penstock.ledger import schema
from penstock.runner import RunReport, RunRequest
from penstock.workers.attempt import Parse
from penstock.workers.children import Limits
from penstock.workers.host import ChildHost
from penstock.workers.pdf import PdfWorker, Tally

PIPELINE = """\
version: "1.0"
name: pdfs
stages:
  - {name: ingest, type: IngestStage}
  - {name: download, type: DownloadStage, depends_on: [ingest]}
  - {name: gate, type: Gate, condition: {ledger_field: pdf_ir_ready, equals: true}, resume_stage: chunk}
  - {name: chunk, type: ChunkStage, depends_on: [gate]}
  - {name: index, type: IndexStage, depends_on: [chunk]}
"""
POLICIES = "policies:\n  default: {max_attempts: 1, backoff_strategy: none, timeout_seconds: 30}\n"


@dataclass
class Watched:
    """A watcher that remembers."""

    parses: list[Parse] = field(default_factory=list)
    pages: list[tuple[int, int]] = field(default_factory=list)
    expiries: list[int] = field(default_factory=list)
    on_page: Callable[[], None] | None = None

    def started(self) -> None:
        return None

    def began(self, source_id: str) -> None:
        return None

    def page(self, source_id: str, done: int, total: int) -> None:
        self.pages.append((done, total))
        if self.on_page:
            self.on_page()

    def ended(self, parse: Parse) -> None:
        self.parses.append(parse)

    def expired(self, count: int) -> None:
        self.expiries.append(count)


class Mill:
    """`put` files, `run` the pipeline, `work` as a worker does, `resume` what is ready."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        config = folder / "config"
        (config / "pipelines").mkdir(parents=True)
        (config / "pipelines/pdfs.yaml").write_text(PIPELINE)
        (config / "resilience.yaml").write_text(POLICIES)
        (folder / "in").mkdir()
        self.app: App = open_app(home=folder / "home", config=config)
        self.watched = Watched()

    @property
    def topology(self) -> Any:
        return self.app.pipelines.named("pdfs")

    def put(self, name: str, *lines: str) -> None:
        (self.folder / "in" / name).write_bytes(pdf(*lines))

    def run(self) -> RunReport:
        return self.app.runner.run(self.topology, RunRequest("files", {"paths": [str(self.folder / "in")]}))

    def host(self, *, slots: int = 1, limits: Limits | None = None, **options: Any) -> ChildHost:
        return ChildHost("obedient", "1", TARGET, slots, limits or Limits(), options)

    def worker(self, host: ChildHost | None = None, **options: Any) -> PdfWorker:
        return PdfWorker(
            self.app.ledger,
            self.app.artifacts,
            host or self.host(),
            watcher=self.watched,
            **{"lease_seconds": 60, "once": True, **options},
        )

    def work(self, host: ChildHost | None = None, **options: Any) -> Tally:
        return self.worker(host, **options).run(lambda: None)

    def resume(self) -> RunReport:
        batch, _ = self.app.ledger.resumes.take("pdf_ir_ready", "pdfs", "default", 1000)
        return self.app.runner.run(self.topology, RunRequest(batch=batch.id))

    def jobs(self) -> dict[str, Any]:
        """File name → its job of today."""
        query = select(schema.jobs, schema.documents.c.source_id, schema.documents.c.doc_id).join(
            schema.documents, schema.documents.c.id == schema.jobs.c.document_id
        )
        with self.app.ledger.database.read() as connection:
            rows = connection.execute(query.order_by(schema.jobs.c.id)).all()
        return {Path(row.source_id).name: row for row in rows}

    def doc_id(self, name: str) -> str:
        return str(self.jobs()[name].doc_id)

    def state(self, name: str, stage: str = "gate") -> Any:
        job = self.jobs()[name].id
        query = select(schema.stage_states).where(
            schema.stage_states.c.job_id == job, schema.stage_states.c.stage == stage
        )
        with self.app.ledger.database.read() as connection:
            return connection.execute(query).one()
