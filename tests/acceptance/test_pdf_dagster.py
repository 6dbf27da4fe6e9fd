"""PDFs through Dagster: the first run ends at the gate, the sensor resumes what is parsed, whoever is killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import psutil
import pytest
from dagster import DagsterRunStatus, RunsFilter
from sqlalchemy import select

import oracle
import pdf_files
from acceptance.dagster_stack import POLICIES, Stack
from mill import PIPELINE
from penstock.ledger import schema

YAML = PIPELINE + (
    "  - {name: extract, type: ExtractStage, depends_on: [chunk]}\n"
    "  - {name: kg, type: KGStage, depends_on: [extract]}\n"
)
ENDED = ("done", "dead", "failed", "superseded")


class Works(Stack):
    """A stack with the PDF pipeline; `penstock` runs a command in it to its end."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        (self.pipelines / "pdfs.yaml").write_text(YAML)
        (folder / "config/resilience.yaml").write_text(POLICIES)

    @property
    def environment(self) -> dict[str, str]:
        return super().environment | {"PENSTOCK_LEASE_SECONDS": "5", "PENSTOCK_EMBEDDER": "none"}

    def begin(self, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "penstock", *arguments]
        said = (self.folder / "said.log").open("ab")
        return subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=said, stderr=said)

    def penstock(self, *arguments: str) -> int:
        return self.begin(*arguments).wait(180)

    def statuses(self) -> dict[str, int]:
        return oracle.statuses(self.folder / "home")

    def all_ended(self, documents: int = 1) -> bool:
        """All of so many. A run that was killed before it had begun is noticed after three minutes."""
        found = self.statuses()
        return sum(found.values()) >= documents and not set(found) - set(ENDED)

    def resumed(self) -> list[str]:
        """The runs of batches that resume."""
        query = select(schema.batches.c.run_id).where(schema.batches.c.kind == "resume")
        return [run for (run,) in oracle.rows(self.folder / "home", query) if run]


@pytest.fixture
def works(tmp_path: Path) -> Iterator[Works]:
    works = Works(tmp_path / "works")
    yield works
    works.stop()


def by_hand(folder: Path, papers: Path) -> list[str]:
    """What the same papers come to without Dagster."""
    works = Works(folder)
    assert works.penstock("run", "pdfs", str(papers)) == 0
    assert works.penstock("worker", "pdf", "--engine", "cpu", "--once") in (0, 3)
    assert works.penstock("run", "pdfs", "--resume") in (0, 3)
    assert works.all_ended(), works.statuses()
    return oracle.facts(folder / "home")


def papers_in(folder: Path, count: int) -> Path:
    papers = pdf_files.papers(folder, count, pages=3)
    (papers / "paper-001.pdf").write_bytes(b"%PDF-1.4\nnothing that a reader could make out\n")
    return papers


def test_the_gate_halts_the_worker_parses_the_sensor_resumes(works: Works, tmp_path: Path) -> None:
    papers = papers_in(tmp_path / "papers", 12)
    works.start()
    first = works.launch("pdfs", source="files", request={"paths": [str(papers)]})
    assert works.ended(first) == "SUCCESS"
    assert works.statuses() == {"waiting": 12}
    with works.instance() as instance:
        skipped = {step.step_key for step in instance.get_run_step_stats(first) if step.status.value == "SKIPPED"}
    assert skipped == {"chunk", "index", "extract", "kg"}
    assert works.penstock("worker", "pdf", "--engine", "cpu", "--once") == 3
    works.until(works.all_ended, "the sensor to resume what is ready")
    assert works.statuses() == {"done": 11, "dead": 1}
    for run in works.resumed():
        assert works.ended(run) == "SUCCESS"
    works.stop()
    assert oracle.problems(works.folder / "home") == []
    assert oracle.facts(works.folder / "home") == by_hand(tmp_path / "by-hand", papers)


def kill_run(works: Works) -> bool:
    with works.instance() as instance:
        for run in instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.STARTED])):
            with suppress(AssertionError, ProcessLookupError):
                os.kill(works.pid(run.run_id), 9)
                return True
    return False


def kill_daemon(works: Works) -> bool:
    """The whole of `dagster dev` goes with its daemon, and is started again."""
    assert works._dev is not None
    for process in psutil.Process(works._dev.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if "dagster._daemon" in " ".join(process.cmdline()):
                process.kill()
                time.sleep(1)
                works.stop()
                works.start()
                return True
    return False


@pytest.mark.full
@pytest.mark.parametrize(("victim", "times"), [(kill_run, 20), (kill_daemon, 20)])
def test_runs_and_daemons_killed_twenty_times(
    works: Works, tmp_path: Path, victim: Callable[[Works], bool], times: int
) -> None:
    """Forty papers come two by two, and a worker parses all along."""
    papers = papers_in(tmp_path / "papers", 40)
    calm = by_hand(tmp_path / "by-hand", papers)
    random, kills = Random(times), 0
    files = sorted(map(str, papers.iterdir()))
    works.start()
    worker = works.begin("worker", "pdf", "--engine", "cpu")
    try:
        for first in range(0, len(files), 2):
            assert works.penstock("submit", "pdfs", *files[first : first + 2]) == 0
            time.sleep(random.uniform(1, 4))
            kills += victim(works)
        until = time.monotonic() + 300
        while kills < times and not works.all_ended(40) and time.monotonic() < until:
            time.sleep(random.uniform(0.5, 2))
            kills += victim(works)
        assert kills >= times // 2, "hardly anything could be killed"
        while not works.all_ended(40) and time.monotonic() < until + 300:
            time.sleep(1)
    finally:
        worker.terminate()
        worker.wait(60)
    works.stop()
    assert works.all_ended(40), works.statuses()
    assert oracle.facts(works.folder / "home") == calm


@pytest.mark.full
def test_what_waits_while_the_pipeline_is_edited_goes_on_as_it_says_now(works: Works, tmp_path: Path) -> None:
    """They become ready one by one, some of them while a run gathers."""
    papers = pdf_files.papers(tmp_path / "papers", 40)
    assert works.penstock("run", "pdfs", str(papers)) == 0
    edited = YAML.replace("name: download,", "name: fetch,").replace("ChunkStage,", "ChunkStage, with: {size: 60},")
    (works.pipelines / "pdfs.yaml").write_text(edited)
    works.start()
    assert works.penstock("worker", "pdf", "--engine", "cpu", "--slots", "1", "--once") == 0
    works.until(works.all_ended, "the sensor to resume all of them")
    assert works.statuses() == {"done": 40, "superseded": 40}
    works.stop()
    assert oracle.problems(works.folder / "home") == []
