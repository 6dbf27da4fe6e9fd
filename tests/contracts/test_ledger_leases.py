"""Who dies is known, what they held is free again once, and what kills its workers is set aside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import update

from ledger_scene import PARSE, Scene, at_once, record
from penstock.ledger.database import Database
from penstock.ledger.leases import LOST_CAP, Heartbeat, Leases
from penstock.ledger.ledger import Ledger
from penstock.ledger.runs import Run
from penstock.ledger.schema import artifacts, dead_letters, jobs, outbox, runners, stage_states
from penstock.runner.session import Session

CHILD = """
import sys, time
from penstock.ledger.database import Database
from penstock.ledger.ledger import Ledger
from penstock.ledger.runs import Run
from penstock.ledger.work import StageKey
from penstock.runner.session import Session

url, batch, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
ledger = Ledger(Database(url))
session = Session(ledger.leases, ledger.runs, seconds)
stage = StageKey("parse", ("ingest",), 1)
claims = ledger.work.claim(session.runner, stage, ledger.work.candidates(batch, stage))
print(session.runner, len(claims), flush=True)
time.sleep(600)
"""
Start = Callable[[int, float], tuple["subprocess.Popen[str]", int]]


@pytest.fixture
def start(ledger_url: str) -> Iterator[Start]:
    """Start a process that claims a batch and holds it; the process and its runner."""
    children: list[subprocess.Popen[str]] = []

    def start(batch: int, seconds: float) -> tuple[subprocess.Popen[str], int]:
        command = [sys.executable, "-c", CHILD, ledger_url, str(batch), str(seconds)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        children.append(child)
        assert child.stdout is not None
        runner, claimed = map(int, child.stdout.readline().split())
        assert claimed
        return child, runner

    yield start
    for child in children:
        child.kill()
        child.communicate()


def expire(scene: Scene, runner: int) -> None:
    """As if it had not been heard of for its whole lease, and ran on another machine."""
    with scene.ledger.database.write() as connection:
        connection.execute(update(runners).where(runners.c.id == runner).values(expires_at=0, owner="h|b|n|1|1"))


def until(what: Callable[[], Any], seconds: float = 20) -> None:
    patience = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < patience, "it did not come to pass"
        time.sleep(0.05)


def parse_states(scene: Scene) -> list[tuple[str, int]]:
    return [(s.status, s.lost) for s in scene.rows(stage_states, stage_states.c.stage == "parse")]


def test_a_heartbeat_keeps_a_lease_alive_by_the_databases_clock(scene: Scene) -> None:
    before = scene.rows(runners)[0]
    assert before.expires_at == before.started_at + 60_000
    time.sleep(0.01)
    assert scene.ledger.leases.renew(scene.runner) is True
    assert scene.rows(runners)[0].expires_at > before.expires_at
    assert abs(scene.ledger.database.now() - time.time() * 1000) < 60_000


def test_the_clock_of_this_process_does_not_matter(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.claim(PARSE, scene.documents(1))
    monkeypatch.setattr(time, "time", lambda: 4e9)
    assert scene.ledger.leases.reap().freed == 0
    assert all(abs(s.started_at - scene.ledger.database.now()) < 60_000 for s in scene.rows(stage_states))


def test_an_expired_lease_is_free_and_counted_and_whoever_held_it_is_fenced_off(scene: Scene) -> None:
    batch = scene.documents(3)
    claims = scene.claim(PARSE, batch)
    assert scene.ledger.leases.reap().freed == 0
    expire(scene, scene.runner)
    assert scene.ledger.leases.reap().freed == 3
    assert scene.ledger.leases.is_dead(scene.runner)
    assert scene.ledger.leases.renew(scene.runner) is False
    again = scene.claim(PARSE, batch, runner=scene.ledger.leases.register(60))
    assert [(c.lost, c.token) for c in again] == [(1, 2)] * 3
    assert scene.commit(PARSE, claims).fenced == claims
    assert scene.commit(PARSE, again).done == 3
    assert parse_states(scene) == [("done", 0)] * 3


def test_a_runner_that_leaves_in_order_gives_back_what_it_holds_and_nothing_counts_as_lost(scene: Scene) -> None:
    batch = scene.documents(2)
    scene.claim(PARSE, batch)
    scene.ledger.leases.end(scene.runner)
    assert parse_states(scene) == [("pending", 0)] * 2
    assert scene.ledger.leases.reap().freed == 0


def test_processes_that_reap_at_once_count_a_loss_once(scene: Scene) -> None:
    batch = scene.documents(40)
    scene.claim(PARSE, batch)
    expire(scene, scene.runner)

    def reap(ledger: Ledger, number: int) -> int:
        return ledger.leases.reap().freed

    assert sorted(at_once(scene.ledger.database, reap)) == [0, 0, 0, 40]
    assert parse_states(scene) == [("pending", 1)] * 40


def test_reaping_beside_runners_that_work_stops_nobody(scene: Scene) -> None:
    """Claims, commits and the reaper touch the same rows: none may wait for another in a ring."""
    batch = scene.documents(120)

    def run(ledger: Ledger, number: int) -> int:
        own, done, sleepy = Scene(ledger), 0, number == 0
        while page := own.work.candidates(batch, PARSE, limit=30):
            claims = own.work.claim(own.runner, PARSE, page)
            if sleepy and claims:
                sleepy = False  # once: who loses too often is dead-lettered, and the others may be gone by then
                expire(own, own.runner)
                own.ledger.leases.reap()
                own.runner = own.ledger.leases.register(60)
            done += own.commit(PARSE, claims[::-1]).done
            if own.runner % 2:
                own.ledger.leases.reap()
        return done

    answers = at_once(scene.ledger.database, run)
    assert sum(answers) == 120
    assert set(scene.ends().values()) == {1}


def test_what_a_runner_claims_after_it_was_declared_dead_is_found(scene: Scene) -> None:
    """It slept past its lease, woke, claimed before its heartbeat told it, and died: nobody looks at ended runners."""
    batch = scene.documents(2)
    expire(scene, scene.runner)
    scene.ledger.leases.reap()
    scene.claim(PARSE, batch)
    assert parse_states(scene) == [("running", 0)] * 2
    assert scene.ledger.leases.reap().freed == 2
    assert parse_states(scene) == [("pending", 1)] * 2


def test_a_document_that_takes_its_worker_down_again_and_again_is_a_dead_letter_with_its_bytes(scene: Scene) -> None:
    batch = scene.documents(1)
    for _ in range(LOST_CAP):
        runner = scene.ledger.leases.register(60)
        assert len(scene.claim(PARSE, batch, runner=runner)) == 1
        expire(scene, runner)
        reaped = scene.ledger.leases.reap()
    assert (reaped.freed, reaped.dead) == (0, 1)
    assert scene.statuses(batch) == {"dead": 1}
    (letter,) = scene.rows(dead_letters)
    assert (letter.reason, letter.stage, letter.error_type) == ("crashed", "parse", "Crashed")
    assert [bytes(a.body) for a in scene.rows(artifacts, artifacts.c.key == letter.input)] == [b"d00000"]
    assert [e.type for e in scene.rows(outbox, outbox.c.stage == "parse")][-1] == "dead"
    assert set(scene.ends().values()) == {1}
    scene.ledger.batches.retry(tenant="default", queued=False, reason="crashed")
    assert [(c.lost, c.round) for c in scene.work.candidates(batch, PARSE)] == [(0, 2)]


def test_a_process_that_was_killed_holds_nothing_any_more(scene: Scene, start: Start) -> None:
    batch = scene.documents(2)
    child, _ = start(batch, 600)
    assert scene.ledger.leases.reap().freed == 0
    child.send_signal(signal.SIGKILL)
    until(lambda: scene.ledger.leases.reap().freed == 2)  # a zombie until it is waited for: that is dead, too


def test_a_stopped_process_keeps_its_lease_until_it_expires(scene: Scene, start: Start) -> None:
    batch = scene.documents(2)
    child, runner = start(batch, 2.0)
    until(lambda: scene.rows(runners, runners.c.id == runner)[0].expires_at > scene.rows(runners)[-1].started_at + 2100)
    child.send_signal(signal.SIGSTOP)
    assert scene.ledger.leases.reap().freed == 0
    assert parse_states(scene) == [("running", 0)] * 2
    until(lambda: scene.ledger.leases.reap().freed == 2)
    child.send_signal(signal.SIGCONT)
    time.sleep(0.6)
    assert scene.ledger.leases.is_dead(runner), "its heartbeat does not revive it"


def test_a_heartbeat_outlives_a_database_that_is_away_for_a_while(scene: Scene) -> None:
    class Flaky(Leases):
        calls = 0

        def renew(self, runner: int) -> bool:
            from penstock.errors import StoreBusy

            self.calls += 1
            if self.calls < 3:
                raise StoreBusy("away")
            return super().renew(runner)

    flaky = Flaky(scene.ledger.database)
    heartbeat = Heartbeat(flaky, scene.runner, 0.06)
    heartbeat.start()
    until(lambda: flaky.calls >= 4)
    assert not heartbeat.lost
    scene.ledger.leases.end(scene.runner)
    until(lambda: heartbeat.lost)
    heartbeat.stop()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_heartbeat_that_stopped_for_a_bug_is_a_lost_lease(scene: Scene) -> None:
    class Broken(Leases):
        def renew(self, runner: int) -> bool:
            raise ValueError("a bug")

    heartbeat = Heartbeat(Broken(scene.ledger.database), scene.runner, 0.03)
    heartbeat.start()
    until(lambda: heartbeat.lost)


def test_a_session_that_lost_its_lease_registers_anew(scene: Scene) -> None:
    session = Session(scene.ledger.leases, scene.ledger.runs, 0.3)
    first = session.runner
    assert session.runner == first
    batch = scene.batch()
    scene.ledger.runs.open(Run("r", "r", batch, "p", "d", "{}", None), None)
    session.begin(batch)
    assert scene.ledger.batches.batch(batch).runner_id == first

    def is_another() -> bool:
        expire(scene, first)  # again and again: a heartbeat may come between this and the reaper
        scene.ledger.leases.reap()
        return session.runner != first

    until(is_another)
    assert not scene.ledger.leases.is_dead(session.runner)
    assert scene.ledger.batches.batch(batch).runner_id == session.runner, "the batch is not a dead runner's"
    session.close()
    assert scene.ledger.leases.is_dead(max(r.id for r in scene.rows(runners)))


def test_a_forked_process_is_a_runner_of_its_own(scene: Scene) -> None:
    session = Session(scene.ledger.leases, scene.ledger.runs, 60)
    mine = session.runner

    def child(ledger: Ledger, number: int) -> tuple[int, int]:
        return session.runner, os.getpid()

    ((theirs, pid),) = at_once(scene.ledger.database, child, 1)
    assert theirs != mine
    assert scene.rows(runners, runners.c.id == theirs)[0].owner.split("|")[3] == str(pid)
    session.close()


def test_a_lease_of_another_machine_is_never_called_dead_before_it_expires(scene: Scene) -> None:
    batch = scene.documents(1)
    scene.claim(PARSE, batch)
    with scene.ledger.database.write() as connection:
        connection.execute(update(runners).values(owner="elsewhere|boot|pid:[1]|1|1"))
    assert scene.ledger.leases.reap().freed == 0
    assert not scene.ledger.leases.is_dead(None)
    assert scene.ledger.leases.is_dead(4711)


def test_a_superseded_generation_whose_runner_dies_is_not_counted_against_the_new_one(scene: Scene) -> None:
    batch = scene.batch()
    scene.take(record("a", "one"), batch=batch)
    scene.claim(PARSE, batch)
    scene.take(record("a", "two"), batch=batch)
    expire(scene, scene.runner)
    assert scene.ledger.leases.reap().freed == 0
    assert [c.lost for c in scene.work.candidates(batch, PARSE)] == [0]
    assert sorted(j.status for j in scene.rows(jobs)) == ["pending", "superseded"]


def test_the_engine_is_made_again_after_a_fork(scene: Scene) -> None:
    database: Database = scene.ledger.database
    engine = database.engine

    def child(ledger: Ledger, number: int) -> tuple[bool, int]:
        return database.engine is engine, database.now()

    ((same, now),) = at_once(database, child, 1)
    assert not same
    assert now <= database.now()
