"""How soon documents go on that a worker has let through a gate: `pdf_ir_ready_sensor` under a real `dagster dev`.

    python -m benchmarks.sensor [--flips 50] [--stream 60] [--folder …]

A flip is a gate's commit in the ledger, as the PDF worker makes it. Idle: one at a time at random moments, more than
eight seconds after the run before has ended. Stream: one a second.

At most, when idle: flip → run request 0.5 s and flip → the resumed run's first op 4 s for 95 of 100. In a stream: every
document is in a run that was asked for within 6 s, and there are fewer runs than a tenth of the flips.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from dagster import DagsterEventType, DagsterInstance, RunsFilter
from sqlalchemy import Select, select
from tests.acceptance.dagster_stack import Stack
from tests.flip import GateWorker

from penstock.bootstrap import App
from penstock.ledger.schema import batch_jobs, batches, jobs
from penstock.runner import RunRequest

T = TypeVar("T")

PIPELINE = """\
version: "1.0"
name: bench
stages:
  - {name: ingest, type: IngestStage}
  - {name: download, type: DownloadStage, depends_on: [ingest]}
  - {name: gate, type: Gate, condition: {ledger_field: pdf_ir_ready, equals: true}, resume_stage: chunk}
  - {name: chunk, type: ChunkStage, depends_on: [gate]}
"""
REQUEST_LIMIT, FIRST_OP_LIMIT, STREAM_LIMIT = 0.5, 4.0, 6.0
"""Seconds: printed beside the figures, not asserted."""
QUIET_SECONDS = 8.0
PATIENCE = 120.0


@dataclass(frozen=True, slots=True)
class Times:
    """Epoch seconds: the ledger has the gate's output; the sensor takes the document into a batch; Dagster has made the
    run; its first op begins."""

    flip: float
    taken: float
    request: float
    first_op: float


class Bench:
    """`documents` at a gate, in a project of its own."""

    def __init__(self, stack: Stack, documents: int) -> None:
        (stack.pipelines / "bench.yaml").write_text(PIPELINE)
        for number in range(documents):
            (stack.docs / f"{number:05}.pdf").write_text(f"%PDF-1.4 {number}")
        self.app: App = stack.app()
        self.app.runner.run(self.app.pipelines.named("bench"), RunRequest(query={"paths": [str(stack.docs)]}))
        self._worker = GateWorker(self.app)
        self._instance: DagsterInstance = stack.instance()

    def close(self) -> None:
        self._instance.dispose()
        self.app.close()

    def flip(self) -> tuple[int, float]:
        """The job that is let through, and when that was committed."""
        [job] = self._worker.flip()
        return job, time.time()

    def resumed(self) -> list[int]:
        """The batches that the sensor has launched."""
        with self.app.ledger.database.read() as connection:
            return list(connection.execute(select(batches.c.id).where(batches.c.kind == "resume")).scalars())

    def ready(self) -> set[int]:
        """Jobs that are through and in no run."""
        query = select(jobs.c.id).where(jobs.c.status == "waiting", jobs.c.pdf_ir_ready)
        with self.app.ledger.database.read() as connection:
            return set(connection.execute(query).scalars())

    def batch_of(self, job: int) -> int:
        """The batch that takes a job on, once there is one."""
        among = (
            select(batches.c.id)
            .join(batch_jobs, batch_jobs.c.batch_id == batches.c.id)
            .where(batch_jobs.c.job_id == job, batches.c.kind == "resume")
        )
        return self._until(lambda: self._scalar(among), f"a run for job {job}")

    def times(self, flip: float, batch: int) -> Times:
        """When the run of a batch has ended."""
        self._until(lambda: self.app.ledger.batches.batch(batch).status == "complete", f"the end of batch {batch}")
        tags = {"penstock/batch": str(batch), "penstock/attempt": "1"}
        [record] = self._instance.get_run_records(RunsFilter(tags=tags))
        if self.app.ledger.batches.batch(batch).attempt > 1:
            print(f"  run {record.dagster_run.run_id} of batch {batch} did not come to its end, and was made again")
        of_type = {DagsterEventType.STEP_START}
        [first, *_] = self._instance.get_records_for_run(record.dagster_run.run_id, of_type=of_type).records
        taken = self._scalar(select(batches.c.claimed_at).where(batches.c.id == batch)) / 1000
        return Times(flip, taken, record.create_timestamp.timestamp(), first.timestamp)

    def _scalar(self, query: Select[Any]) -> Any:
        with self.app.ledger.database.read() as connection:
            return connection.execute(query).scalar()

    def _until(self, found: Callable[[], T], what: str) -> T:
        until = time.monotonic() + PATIENCE
        while not (result := found()):
            assert time.monotonic() < until, f"waited for {what} in vain"
            time.sleep(0.02)
        return result


def idle(bench: Bench, flips: int, rng: random.Random) -> None:
    seen = []
    for number in range(1, flips + 1):
        time.sleep(QUIET_SECONDS + rng.uniform(0, 5))
        job, at = bench.flip()
        seen.append(bench.times(at, bench.batch_of(job)))
        if number % 10 == 0:
            print(f"  {number} of {flips} flips", flush=True)
    show("flip → run request", [t.request - t.flip for t in seen], REQUEST_LIMIT)
    show("  of it the sensor", [t.taken - t.flip for t in seen])
    show("  of it the daemon", [t.request - t.taken for t in seen])
    show("flip → first op", [t.first_op - t.flip for t in seen], FIRST_OP_LIMIT)
    show("  of it queue and start", [t.first_op - t.request for t in seen])


def stream(bench: Bench, flips: int) -> None:
    """Looked at ten times a second."""
    before = len(bench.resumed())
    due, flipped, taken = time.monotonic(), {}, {}
    while len(taken) < flips:
        if len(flipped) < flips and time.monotonic() >= due:
            job, at = bench.flip()
            flipped[job] = at
            due += 1.0
        left = bench.ready()
        taken |= {job: time.time() for job in flipped if job not in left and job not in taken}
        time.sleep(0.1)
    runs = len(bench.resumed()) - before
    show("flip → in a run", [taken[job] - at for job, at in flipped.items()], STREAM_LIMIT)
    print(f"{runs} runs for {flips} flips (fewer than {flips / 10:g})")
    batch = bench.resumed()[-1]
    bench.times(0.0, batch)


def show(what: str, seconds: list[float], limit: float | None = None) -> None:
    ordered = sorted(seconds)
    p50, p95 = (ordered[min(len(ordered) - 1, int(len(ordered) * share))] for share in (0.5, 0.95))
    said = f"{what:24} p50 {p50:5.2f}  p95 {p95:5.2f}  max {ordered[-1]:5.2f} s"
    within = sum(s <= limit for s in seconds) if limit else 0
    print(said + (f"  ({within} of {len(seconds)} within {limit:g} s)" if limit else ""), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--flips", type=int, default=50)
    parser.add_argument("--stream", type=int, default=60)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="where everything is kept; else nothing is")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        stack = Stack(given.folder or Path(scratch))
        bench = Bench(stack, given.flips + given.stream)
        try:
            stack.start()
            for phase, flips in (("idle", given.flips), ("stream", given.stream)):
                if flips:
                    print(f"{phase}: {flips} flips, load {os.getloadavg()[0]:.1f}", flush=True)
                    idle(bench, flips, random.Random(given.seed)) if phase == "idle" else stream(bench, flips)
        finally:
            stack.stop()
            bench.close()


if __name__ == "__main__":
    main()
