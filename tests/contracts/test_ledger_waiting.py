"""What waits at a gate is given to one worker at a time, the oldest first, and what brings workers down last."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gate_scene import FIELD, GATE, at_gate, claim, give
from ledger_scene import Scene, at_once, made
from penstock.ledger.gate_read import GateReader, Queue
from penstock.ledger.leases import GATE_CAP
from penstock.ledger.ledger import Ledger
from penstock.ledger.schema import dead_letters, documents, jobs, stage_states

DIE = """
import os, signal, sys
from gate_scene import claim
from penstock.ledger.database import Database
from penstock.ledger.ledger import Ledger
ledger = Ledger(Database(sys.argv[1]))
assert claim(ledger, ledger.leases.register(600))
os.kill(os.getpid(), signal.SIGKILL)
"""


def waiting(ledger: Ledger, limit: int = 100) -> list[int]:
    return [waiter.claim.job_id for waiter in ledger.waiting.documents(FIELD, limit)]


def queues(scene: Scene) -> list[Queue]:
    return GateReader(scene.ledger.database).queues("default")


def test_the_oldest_come_first_and_those_that_somebody_is_at_not_at_all(scene: Scene) -> None:
    at_gate(scene, 4)
    assert waiting(scene.ledger, 3) == [1, 2, 3]
    [(waiter, key)] = claim(scene.ledger, scene.runner)
    assert waiting(scene.ledger) == [2, 3, 4]
    scene.work.release(key, [waiter.claim])
    assert waiting(scene.ledger) == [1, 2, 3, 4]


def test_a_waiter_says_whose_it_is_and_what_its_stages_gave(scene: Scene) -> None:
    at_gate(scene, 1)
    [waiter] = scene.ledger.waiting.documents(FIELD, 1)
    assert (waiter.source, waiter.pipeline, waiter.gate) == ("files", "p", GATE)
    assert waiter.content == scene.rows(documents)[0].content
    stored = scene.ledger.waiting.input(waiter, "RawPayload")
    assert stored is not None
    assert stored.key == waiter.content
    assert scene.ledger.waiting.input(waiter, "PDFFile") is None


def test_what_is_committed_waits_for_a_run_and_no_longer_for_a_worker(scene: Scene) -> None:
    at_gate(scene, 3)
    assert queues(scene) == [Queue("default", "p", FIELD, waiting=3, ready=0)]
    give(scene.ledger, scene.runner)
    assert waiting(scene.ledger) == [2, 3]
    assert queues(scene) == [Queue("default", "p", FIELD, waiting=2, ready=1)]
    assert scene.ledger.waiting.some(FIELD, 10) == 2
    assert scene.ledger.waiting.some(FIELD, 1) == 1


def test_two_workers_take_each_document_once(scene: Scene) -> None:
    at_gate(scene, 40)

    def run(ledger: Ledger, number: int) -> list[int]:
        runner, taken = ledger.leases.register(60), []
        while ledger.waiting.documents(FIELD, 1):
            taken += give(ledger, runner, 8)
        return taken

    taken = at_once(scene.ledger.database, run)
    assert sorted(job for some in taken for job in some) == list(range(1, 41))
    assert queues(scene) == [Queue("default", "p", FIELD, waiting=0, ready=40)]
    states = scene.rows(stage_states, stage_states.c.stage == GATE)
    assert {(s.status, s.token) for s in states} == {("done", 1)}


def test_who_comes_late_is_fenced_off(scene: Scene) -> None:
    at_gate(scene, 1)
    [(stalled, key)] = claim(scene.ledger, scene.runner)
    scene.ledger.leases.end(scene.runner)
    give(scene.ledger, scene.ledger.leases.register(60))
    late = scene.work.commit(key, [made(key, stalled.claim)])
    assert (late.done, late.fenced) == (0, [stalled.claim])


@pytest.mark.parametrize("by", ["release", "kill"])
def test_what_brings_its_workers_down_comes_last_and_then_not_any_more(scene: Scene, by: str) -> None:
    at_gate(scene, 2)
    for lost in range(GATE_CAP - 1):
        bring_down(scene, by)
        if lost == 0:
            assert waiting(scene.ledger) == [2]
            give(scene.ledger, scene.runner)
        assert waiting(scene.ledger) == [1]
    [waiter] = scene.ledger.waiting.documents(FIELD, 1)
    assert waiter.claim.lost == GATE_CAP - 1
    if by == "kill":  # a worker that lives commits the failure itself
        bring_down(scene, by)
        assert waiting(scene.ledger) == []
        assert scene.rows(jobs)[0].status == "dead"
        assert scene.rows(dead_letters)[0].stage == GATE


def bring_down(scene: Scene, by: str) -> None:
    """The worker's child dies, or the worker."""
    if by == "release":
        [(waiter, key)] = claim(scene.ledger, scene.runner)
        scene.work.release(key, [waiter.claim], lost=True)
        return
    url = scene.ledger.database.url.render_as_string(hide_password=False)
    died = subprocess.run([sys.executable, "-c", DIE, url], env={"PYTHONPATH": ":".join(sys.path)}, check=False)
    assert died.returncode == -9
    scene.ledger.leases.reap()
