"""What the ledger and the runner cost: workload P against a bare loop, CPU seconds, in one process.

    python -m benchmarks.ledger [--documents 2000] [--sink table|index] [--postgresql | --url postgresql+psycopg://…]

--postgresql starts a server of its own; one that --url names must be empty, on this machine and run for us.

At most: 3.0 × the bare loop's CPU into a plain table (aim 2.5), 1.6 × into the search index (aim 1.4), 6 × on
PostgreSQL with client and server together, 0.1 of the first run when nothing has changed; 150 MiB of memory, and 20
more at 20,000 documents.
"""

from __future__ import annotations

import argparse
import resource
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from sqlalchemy import func, select

from benchmarks import bare, postgresql, workload
from penstock.ledger.database import Database
from penstock.ledger.ledger import Ledger
from penstock.ledger.migrate import migrate
from penstock.ledger.schema import chunks, jobs
from penstock.pipelines.catalogue import StaticCatalogue
from penstock.pipelines.loader import load_pipeline
from penstock.resilience.guard import Guard
from penstock.resilience.policy import Policy
from penstock.runner import Runner, RunRequest
from penstock.stages import contracts
from penstock.stages.index import SqliteIndexer
from penstock.stores.artifacts import FileArtifacts
from penstock.stores.search_index import SqliteSearchIndex

PIPELINE = """\
version: "1.0"
name: bench
applicable_sources: [bench]
stages:
  - {name: ingest, type: IngestStage, use: bench, policy: default}
  - {name: parse, type: ParseStage, use: bench, policy: default, depends_on: [ingest]}
  - {name: chunk, type: ChunkStage, use: bench, policy: default, depends_on: [parse]}
  - {name: embed, type: EmbedStage, use: bench, policy: default, depends_on: [chunk]}
  - {name: index, type: IndexStage, use: SINK, policy: default, depends_on: [embed]}
"""
CLASSES = (workload.Listing, workload.Parser, workload.Splitter, workload.HashEmbedder, workload.PlainTable)


def measured(action: Callable[[], object]) -> tuple[float, float, object]:
    """CPU and wall seconds of one call in this process, and its result."""
    cpu, wall = time.process_time(), time.perf_counter()
    result = action()
    return time.process_time() - cpu, time.perf_counter() - wall, result


def make_runner(home: Path, url: str | None, sink: str = "table") -> tuple[Runner, Callable[[Path], object], Ledger]:
    specs = (contracts.INGEST, contracts.PARSE, contracts.CHUNK, contracts.EMBED, contracts.INDEX)
    catalogue = StaticCatalogue(
        contracts={c.name: c for c in specs},
        classes={(c.contract, c.name): c for c in (*CLASSES, SqliteIndexer)},  # type: ignore[misc]
        sources=("bench",),
    )
    home.mkdir(parents=True, exist_ok=True)
    (home / "bench.yaml").write_text(PIPELINE.replace("SINK", "bench" if sink == "table" else "sqlite"))
    topology = load_pipeline(home / "bench.yaml", catalogue, {"default": Policy()}, Policy)
    workload.PlainTable.path = home / "plain.db"
    ledger = Ledger(Database(url or f"sqlite:///{home / 'ledger.db'}"))
    runner = Runner(
        ledger,
        FileArtifacts(home / "artifacts"),
        build=lambda stage: catalogue.load(stage.type, stage.implementation)(
            None, **({"index": SqliteSearchIndex(home / "index.db")} if stage.implementation == "sqlite" else {})
        ),
        guard=lambda stage: Guard(stage.policy, stage.name),  # type: ignore[arg-type]
        sources={},
    )
    return runner, lambda folder: runner.run(topology, RunRequest("bench", {"folder": str(folder)})), ledger


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--documents", type=int, default=2000)
    parser.add_argument("--sink", choices=("table", "index"), default="table")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--postgresql", action="store_true")
    where.add_argument("--url")
    options = parser.parse_args()
    n, expected = options.documents, options.documents * 10
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if options.postgresql:
            options.url = stack.enter_context(postgresql.server())
        workload.make_corpus(root / "corpus", n)
        base = {}
        for every in (1, 64):
            cpu, wall, written = measured(
                lambda e=every: bare.run(root / "corpus", root / f"bare{e}.db", e, index=options.sink == "index")
            )
            assert written == expected, (written, expected)
            base[every] = cpu
            print(f"bare loop, commit per {every:2}: {cpu:6.2f} CPU s {wall:6.2f} s")
        runner, run, ledger = make_runner(root / "home", options.url, options.sink)
        migrate(ledger.database)
        server_cpu = postgresql.server_cpu(ledger.database)
        before = server_cpu()
        cpu, wall, report = measured(lambda: run(root / "corpus"))
        server = server_cpu() - before
        assert report.outcome == "complete", report  # type: ignore[attr-defined]
        assert report.statuses == {"done": n}, report  # type: ignore[attr-defined]
        with ledger.database.read() as c:
            assert c.execute(select(func.count()).select_from(chunks)).scalar_one() == expected
            assert c.execute(select(func.count()).where(jobs.c.status == "done")).scalar_one() == n
        if options.sink == "table":
            written = sqlite3.connect(root / "home/plain.db").execute("SELECT count(*) FROM chunks").fetchone()[0]
        else:
            written = SqliteSearchIndex(root / "home/index.db").count().chunks
        assert written == expected, written
        print(
            f"penstock into {options.sink:6}:   {cpu:6.2f} CPU s {wall:6.2f} s"
            f"   {cpu / base[1]:.2f} × per document, {cpu / base[64]:.2f} × per 64"
        )
        if options.url:
            print(
                f"    and its server:     {server:6.2f} CPU s; together {cpu + server:.2f},"
                f" {(cpu + server) / base[1]:.2f} × per document"
            )
        for stage in report.stages:  # type: ignore[attr-defined]
            print(f"    {stage.stage:8} {stage.seconds:6.2f} s")
        again, wall, report = measured(lambda: run(root / "corpus"))
        assert report.nothing_to_do, report  # type: ignore[attr-defined]
        print(f"nothing changed:        {again:6.2f} CPU s {wall:6.2f} s   {again / cpu:.3f} of the first run")
        runner.close()
        ledger.database.close()
    print(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
