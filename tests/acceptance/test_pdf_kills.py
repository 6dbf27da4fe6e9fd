"""Workers, their children and runs killed at any moment: every PDF ends once, as if nothing had happened."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import func, select

import oracle
import pdf_files
from house import Child, House, Warm, until
from mill import PIPELINE, POLICIES
from penstock.ledger import schema

PAPERS = 40
LEASE = {"PENSTOCK_LEASE_SECONDS": "2", "PENSTOCK_EMBEDDER": "none"}
WORK = ("worker", "pdf", "--engine", "cpu", "--once", "--slots", "1")
YAML = PIPELINE.replace("name: pdfs", "name: counted") + (
    "  - {name: extract, type: ExtractStage, depends_on: [chunk]}\n"
    "  - {name: kg, type: KGStage, depends_on: [extract]}\n"
)


class Calm:
    """What 40 PDFs, one of them corrupt, come to when nobody disturbs them."""

    def __init__(self, house: House, papers: Path) -> None:
        self.papers = papers
        settle(house, papers)
        assert oracle.problems(house.home) == []
        self.facts = oracle.facts(house.home)
        assert oracle.statuses(house.home) == {"done": PAPERS - 1, "dead": 1}


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory, site: Path, warm: Warm) -> Calm:
    folder = tmp_path_factory.mktemp("calm")
    papers = pdf_files.papers(folder / "papers", PAPERS, pages=12)
    (papers / "paper-007.pdf").write_bytes(b"%PDF-1.4\nnothing that a reader could make out\n")
    return Calm(mill(House(folder, site, warm)), papers)


def mill(house: House) -> House:
    house.configure(YAML, POLICIES)
    return house


def settle(house: House, papers: Path) -> None:
    """All three steps, to their end."""
    first = house.penstock("run", "counted", str(papers), **LEASE)
    assert first.status in (0, 3), first.err
    worked = house.penstock(*WORK, **LEASE)
    assert worked.status in (0, 3), worked.err
    resumed = house.penstock("run", "counted", "--resume", **LEASE)
    assert resumed.status in (0, 3), resumed.err


def expect_no_trace(house: House, calm: Calm) -> None:
    assert oracle.problems(house.home) == []
    assert oracle.facts(house.home) == calm.facts


def children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += [int(child) for child in task.read_text().split()]
    return found


def kill_worker(worker: Child) -> bool:
    worker.process.kill()
    return True


def kill_its_child(worker: Child) -> bool:
    """One that is parsing, if there is one."""
    for pid in children(worker.pid):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            return True
    return False


@pytest.mark.parametrize(("victim", "times"), [(kill_its_child, 4)])
def test_workers_and_their_children_killed_at_random(
    house: House, calm: Calm, victim: Callable[[Child], bool], times: int
) -> None:
    disturb(mill(house), calm, victim, times, Random(times))


@pytest.mark.full
@pytest.mark.parametrize(("victim", "times"), [(kill_worker, 20), (kill_its_child, 20)])
def test_workers_and_their_children_killed_twenty_times(
    house: House, calm: Calm, victim: Callable[[Child], bool], times: int
) -> None:
    disturb(mill(house), calm, victim, times, Random(times))


def disturb(house: House, calm: Calm, victim: Callable[[Child], bool], times: int, random: Random) -> None:
    assert house.penstock("run", "counted", str(calm.papers), **LEASE).status == 0
    kills = 0
    worker = house.start(*WORK, **LEASE)
    while kills < times:
        begun = done_at_gate(house)
        until(lambda b=begun, w=worker: done_at_gate(house) > b or w.process.poll() is not None, "the worker begins")  # type: ignore[misc]
        time.sleep(random.uniform(0, 0.15))
        if worker.process.poll() is not None:
            break
        kills += victim(worker)
        if victim is kill_worker:
            worker.result()
            worker = house.start(*WORK, **LEASE)
    worker.result()
    assert kills >= min(times, 3), "the machine was too fast for this test: kill earlier"
    settle(house, calm.papers)
    expect_no_trace(house, calm)


def done_at_gate(house: House) -> int:
    """Documents through the gate or dead."""
    gone = (schema.stage_states.c.stage == "gate", schema.stage_states.c.status != "pending")
    return int(oracle.rows(house.home, select(func.count()).where(*gone))[0][0])


@pytest.mark.full
def test_a_worker_stopped_past_its_lease_and_continued_is_fenced_off(house: House, calm: Calm) -> None:
    mill(house)
    house.penstock("run", "counted", str(calm.papers), **LEASE)
    asleep = house.start(*WORK, **LEASE)
    until(lambda: done_at_gate(house) > 2, "the first worker is at work")
    os.kill(asleep.pid, signal.SIGSTOP)
    time.sleep(3)
    assert house.penstock(*WORK, **LEASE).status in (0, 3)
    assert oracle.statuses(house.home) == {"waiting": PAPERS - 1, "dead": 1}
    os.kill(asleep.pid, signal.SIGCONT)
    assert asleep.result().status in (0, 3)
    settle(house, calm.papers)
    expect_no_trace(house, calm)


@pytest.mark.full
def test_two_workers_share_the_work(house: House, calm: Calm) -> None:
    mill(house)
    house.penstock("run", "counted", str(calm.papers), **LEASE)
    workers = [house.start(*WORK, **LEASE) for _ in range(2)]
    assert {worker.result().status for worker in workers} <= {0, 3}
    settle(house, calm.papers)
    expect_no_trace(house, calm)


@pytest.mark.full
def test_a_resumed_run_killed_at_random_is_taken_up_again(new_house: Callable[[str], House], calm: Calm) -> None:
    parsed = mill(new_house("parsed"))
    parsed.penstock("run", "counted", str(calm.papers), **LEASE)
    parsed.penstock(*WORK, **LEASE)
    random = Random(3)
    for number in range(3):
        house = mill(new_house(str(number)))
        shutil.copytree(parsed.home, house.home)
        run = house.start("run", "counted", "--resume", **LEASE)
        time.sleep(random.uniform(0.6, 1.6))
        run.process.kill()
        run.result()
        settle(house, calm.papers)
        expect_no_trace(house, calm)
