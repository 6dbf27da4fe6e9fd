"""At a gate documents wait for their ledger field and hold nothing; a worker's one transaction lets them through."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from gate_scene import AFTER, FIELD, GATE, age, at_gate, claim, give
from ledger_scene import Scene, at_once, record
from penstock.errors import BadInput, GateTimeout
from penstock.ledger import gates
from penstock.ledger.gates import Sorted
from penstock.ledger.ledger import Ledger
from penstock.ledger.schema import jobs, outbox, stage_states
from penstock.ledger.turns import Failed


def sort(ledger: Ledger, batch: int) -> Sorted:
    return ledger.gates.sort(batch, GATE, ["ingest"], FIELD, True)


def work(scene: Scene, job: int, *, ready: bool = True) -> None:
    """What the worker outside does: the gate's output and the field."""
    with scene.ledger.database.write() as connection:
        now = scene.rows(jobs)[0].created_at
        row = {"job_id": job, "stage": GATE, "status": "done", "token": 1, "started_at": now, "output": b"k"}
        connection.execute(stage_states.insert().values(**row))
        if ready:
            connection.execute(update(jobs).where(jobs.c.id == job).values({FIELD: True}))


def test_documents_wait_until_their_field_and_the_gates_output_are_there(scene: Scene) -> None:
    batch = scene.documents(3)
    assert sort(scene.ledger, batch) == Sorted(0, 3)
    assert scene.statuses(batch) == {"waiting": 3}
    first = scene.rows(jobs)[0]
    assert (first.waiting_for, first.current_stage) == (FIELD, GATE)
    assert first.waiting_since is not None
    assert scene.work.candidates(batch, AFTER) == []
    work(scene, 1)
    work(scene, 2, ready=False)
    assert sort(scene.ledger, batch) == Sorted(1, 2)
    assert scene.statuses(batch) == {"pending": 1, "waiting": 2}
    assert scene.rows(jobs)[0].waiting_for is None
    assert 1 in [c.job_id for c in scene.work.candidates(batch, AFTER)]
    scene.commit(AFTER, scene.claim(AFTER, batch, limit=1))
    assert scene.statuses(batch) == {"done": 1, "waiting": 2}


def test_waiting_twice_is_waiting_since_the_first_time(scene: Scene) -> None:
    batch = scene.documents(1)
    sort(scene.ledger, batch)
    since = scene.rows(jobs)[0].waiting_since
    sort(scene.ledger, batch)
    assert scene.rows(jobs)[0].waiting_since == since


def test_a_document_that_has_not_come_to_the_gate_is_none_of_its_business(scene: Scene) -> None:
    batch = scene.documents(2)
    assert scene.ledger.gates.sort(batch, GATE, ["parse"], FIELD, True) == Sorted(0, 0)
    assert scene.statuses(batch) == {"pending": 2}


def test_another_batch_is_left_alone(scene: Scene) -> None:
    scene.documents(2)
    assert sort(scene.ledger, scene.batch()) == Sorted(0, 0)
    assert scene.statuses() == {"pending": 2}


def test_processes_that_sort_one_batch_at_once_agree(scene: Scene) -> None:
    batch = scene.documents(60)
    for job in range(1, 31):
        work(scene, job)

    def run(ledger: Ledger, number: int) -> Sorted:
        return sort(ledger, batch)

    assert set(at_once(scene.ledger.database, run)) == {Sorted(30, 30)}
    assert scene.statuses(batch) == {"pending": 30, "waiting": 30}


def test_a_field_without_the_gates_output_is_taken_back(scene: Scene) -> None:
    """Else no worker would look at the document, and each run would find it ready and not let it through."""
    batch = at_gate(scene, 1)
    give(scene.ledger, scene.runner)
    sort(scene.ledger, batch)
    with scene.ledger.database.write() as connection:
        connection.execute(update(stage_states).where(stage_states.c.stage == GATE).values(status="pending"))
    assert sort(scene.ledger, batch) == Sorted(0, 1)
    assert scene.ledger.resumes.ready(FIELD, "p", 10) == []
    assert len(give(scene.ledger, scene.runner)) == 1
    assert sort(scene.ledger, batch) == Sorted(1, 0)


def test_what_waits_longer_than_its_gate_allows_has_failed_and_can_be_tried_again(scene: Scene) -> None:
    batch = at_gate(scene, 2, timeout_seconds=100)
    patient = scene.batch()
    scene.take(record("patient"), batch=patient)
    sort(scene.ledger, patient)
    assert scene.ledger.gates.expire() == 0
    age(scene, 240, "waiting_since")
    age(scene, 240, "waiting_until")
    assert scene.ledger.gates.expire() == 2
    assert scene.ledger.gates.expire() == 0
    assert scene.statuses() == {"failed": 2, "waiting": 1}
    [first, second] = scene.ledger.reports.failures(batch)
    assert (first.stage, first.status, first.reason) == (GATE, "failed", GateTimeout.reason)
    assert first.message == f"it has waited 4 min for {FIELD}, longer than the gate {GATE} allows"
    assert "penstock worker pdf" in second.next_step
    assert scene.ends()[1, GATE, 1] == scene.ends()[2, GATE, 1] == 1
    [(again, size)] = scene.ledger.batches.retry(tenant="default", queued=False)
    assert size == 2
    sort(scene.ledger, again.id)
    assert scene.statuses() == {"waiting": 3}
    assert len(give(scene.ledger, scene.runner, 3)) == 3


def test_what_a_worker_is_at_is_not_timed_out(scene: Scene) -> None:
    at_gate(scene, 2, timeout_seconds=1)
    [(waiter, key)] = claim(scene.ledger, scene.runner)
    age(scene, 60, "waiting_until")
    assert scene.ledger.gates.expire() == 1
    assert scene.statuses() == {"waiting": 1, "failed": 1}
    scene.work.release(key, [waiter.claim])
    assert scene.ledger.gates.expire() == 1
    assert scene.statuses() == {"failed": 2}


def test_what_is_through_and_waits_for_a_run_is_not_timed_out(scene: Scene) -> None:
    at_gate(scene, 1, timeout_seconds=1)
    give(scene.ledger, scene.runner)
    age(scene, 60, "waiting_until")
    assert scene.ledger.gates.expire() == 0


def test_what_has_timed_out_is_no_longer_given_to_a_worker_that_was_about_to_take_it(scene: Scene) -> None:
    at_gate(scene, 1, timeout_seconds=1)
    [waiter] = scene.ledger.waiting.documents(FIELD, 1)
    age(scene, 60, "waiting_until")
    scene.ledger.gates.expire()
    assert scene.work.claim(scene.runner, waiter.key(FIELD, 1), [waiter.claim]) == []
    assert scene.statuses() == {"failed": 1}
    assert [e.type for e in scene.rows(outbox) if e.stage == GATE] == ["failed"]


def test_a_gates_timeout_is_what_it_is_today(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "AT_ONCE", 2)
    at_gate(scene, 5)
    since = [job.waiting_since for job in scene.rows(jobs)]
    assert scene.ledger.gates.retime("p", {GATE: 90.0, "another": 1.0}) == 5
    assert [job.waiting_until for job in scene.rows(jobs)] == [then + 90_000 for then in since]
    assert scene.ledger.gates.retime("p", {GATE: 90.0}) == 0
    assert scene.ledger.gates.retime("q", {GATE: 1.0}) == 0
    assert scene.ledger.gates.retime("p", {"another": 1.0}) == 5, "its gate is no more"
    assert {job.waiting_until for job in scene.rows(jobs)} == {None}


def test_a_great_many_time_out_a_few_at_a_time(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "AT_ONCE", 2)
    at_gate(scene, 5, timeout_seconds=1)
    age(scene, 60, "waiting_until")
    assert [scene.ledger.gates.expire() for _ in range(4)] == [2, 2, 1, 0]


def test_processes_that_look_for_what_timed_out_fail_each_document_once(scene: Scene) -> None:
    at_gate(scene, 40, timeout_seconds=1)
    age(scene, 60, "waiting_until")

    def run(ledger: Ledger, number: int) -> int:
        return ledger.gates.expire()

    assert sum(at_once(scene.ledger.database, run)) == 40
    assert set(scene.ends().values()) == {1}


def test_what_was_lost_at_a_gate_is_found_in_the_order_in_which_that_happened(scene: Scene) -> None:
    at_gate(scene, 3, timeout_seconds=1)
    [(waiter, key)] = claim(scene.ledger, scene.runner)
    scene.work.commit(key, [], [Failed(waiter.claim, BadInput("it is torn"))])
    began = scene.ledger.database.now()
    age(scene, 60, "waiting_until")
    scene.ledger.gates.expire()
    here = [("p", GATE)]
    found = scene.ledger.gates.lost(here, 0, 10)
    assert [(f.job_id, f.status, f.reason) for f in found] == [
        (1, "dead", BadInput.reason),
        (2, "failed", GateTimeout.reason),
        (3, "failed", GateTimeout.reason),
    ]
    assert (found[0].pipeline, found[0].gate, found[0].source_id) == ("p", GATE, "d00000")
    assert [f.job_id for f in scene.ledger.gates.lost(here, 0, 2)] == [1, 2]
    assert [f.job_id for f in scene.ledger.gates.lost(here, began, 10) if f.at > found[0].at] == [2, 3]
    assert scene.ledger.gates.lost([("p", "parse"), ("q", GATE)], 0, 10) == []
    assert scene.ledger.gates.lost(here, 0, 10, "other") == scene.ledger.gates.lost([], 0, 10) == []
    assert scene.ledger.gates.lost(here, 0, 10, "default") == found
    scene.ledger.batches.retry(tenant="default", queued=False)
    assert scene.ledger.gates.lost(here, 0, 10) == []
