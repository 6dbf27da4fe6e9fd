"""What Dagster adds to the runner: a warm in-process run of a job less the bare runner, CPU seconds in one process.

    python -m benchmarks.dagster_share [--documents 1000]

At most 1 ms of CPU a document at 1,000. Imports, building the job and Dagster's first run are left out: they are a
process's start, which is printed beside it.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

from benchmarks import workload
from benchmarks.ledger import measured

PIPELINE = """\
version: "1.0"
name: bench
stages:
  - {name: ingest, type: IngestStage, use: bench}
  - {name: parse, type: ParseStage, use: bench, depends_on: [ingest]}
  - {name: chunk, type: ChunkStage, use: bench, depends_on: [parse]}
  - {name: embed, type: EmbedStage, use: bench, depends_on: [chunk]}
  - {name: index, type: IndexStage, use: bench, depends_on: [embed]}
"""
ENTRY_POINTS = """\
[penstock.stages]
IngestStage.bench = benchmarks.workload:Listing
ParseStage.bench = benchmarks.workload:Parser
ChunkStage.bench = benchmarks.workload:Splitter
EmbedStage.bench = benchmarks.workload:HashEmbedder
IndexStage.bench = benchmarks.workload:PlainTable
"""
LIMIT_MS = 1.0
"""At most: printed beside the figure, not asserted."""
ROUNDS = 3


def prepare(root: Path, documents: int) -> None:
    """A corpus, a pipeline, and a distribution that registers the workload's stages as anybody's would be."""
    workload.make_corpus(root / "corpus", documents)
    workload.make_corpus(root / "few", 8)
    (root / "config/pipelines").mkdir(parents=True)
    (root / "config/pipelines/bench.yaml").write_text(PIPELINE)
    (root / "config/resilience.yaml").write_text("policies:\n  default: {max_attempts: 1, backoff_strategy: none}\n")
    installed = root / "installed/penstock_bench-1.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: penstock-bench\nVersion: 1\n")
    (installed / "entry_points.txt").write_text(ENTRY_POINTS)


def move(home: Path) -> None:
    """Let what runs next keep everything in a home of its own."""
    home.mkdir()
    os.environ["PENSTOCK_HOME"] = str(home)
    workload.PlainTable.path = home / "plain.db"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--documents", type=int, default=1000)
    documents = parser.parse_args().documents
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        prepare(root, documents)
        os.environ["PENSTOCK_CONFIG"] = str(root / "config")
        (root / "dagster").mkdir()
        (root / "dagster/dagster.yaml").write_text(
            "telemetry: {enabled: false}\npython_logs: {python_log_level: ERROR}\n"
        )
        run(root, documents)


def run(root: Path, documents: int) -> None:
    """Alternate the two, and compare the best of each: what else the machine does only ever adds."""
    import sys

    sys.path.insert(0, str(root / "installed"))
    began = time.process_time()
    from dagster import DagsterInstance

    from penstock.bootstrap import open_app
    from penstock.orchestration.build import build_definitions
    from penstock.runner import RunRequest

    job = build_definitions().get_job_def("bench")
    instance = DagsterInstance.from_config(str(root / "dagster"))

    def with_dagster(corpus: Path) -> None:
        config = {"source": "bench", "request": {"folder": str(corpus)}}
        assert job.execute_in_process(run_config=config, instance=instance).success

    def bare_runner(corpus: Path) -> None:
        app = open_app()
        report = app.runner.run(app.pipelines.named("bench"), RunRequest("bench", {"folder": str(corpus)}))
        assert report.outcome == "complete", report
        app.close()

    for name, warm_up in (("warm", with_dagster), ("warm too", bare_runner)):
        move(root / name)
        warm_up(root / "few")
    print(f"start, and a first run of 8 documents: {time.process_time() - began:.2f} CPU s")

    best: dict[str, float] = {}
    for number in range(ROUNDS):
        for name, action in (("bare runner", bare_runner), ("with Dagster", with_dagster)):
            move(root / f"{name}-{number}")
            cpu, wall, _ = measured(lambda action=action: action(root / "corpus"))
            app = open_app()
            assert app.ledger.reports.statuses(1) == {"done": documents}, name
            app.close()
            print(f"{name:12}  {cpu:6.2f} CPU s {wall:6.2f} s")
            best[name] = min(cpu, best.get(name, cpu))
    share = (best["with Dagster"] - best["bare runner"]) * 1000 / documents
    ratio = best["with Dagster"] / best["bare runner"]
    print(f"Dagster's share: {share:.3f} ms a document (at most {LIMIT_MS}); {ratio:.2f} × the bare runner")


if __name__ == "__main__":
    main()
