"""How documents at gates stand, as people are told it."""

from __future__ import annotations

from sqlalchemy import update

from gate_scene import FIELD, GATE, at_gate, claim, give
from ledger_scene import Scene, record
from penstock.ledger.gate_read import AtGate, GateReader, Queue
from penstock.ledger.schema import jobs, runners


def reader(scene: Scene) -> GateReader:
    return GateReader(scene.ledger.database)


def standing(scene: Scene, job: int) -> AtGate:
    return reader(scene).standing([job])[job]


def test_a_document_waits_is_worked_on_and_is_ready(scene: Scene) -> None:
    at_gate(scene, 2)
    since = scene.rows(jobs)[0].waiting_since
    assert standing(scene, 1) == AtGate(FIELD, since, ready=False, worked_on=None, lost=0, until=None)
    [(waiter, key)] = claim(scene.ledger, scene.runner)
    now = standing(scene, 1)
    assert now.worked_on is not None
    assert since <= now.worked_on <= reader(scene).now()
    scene.work.release(key, [waiter.claim], lost=True)
    assert standing(scene, 1) == AtGate(FIELD, since, ready=False, worked_on=None, lost=1, until=None)
    give(scene.ledger, scene.runner)
    since = scene.rows(jobs)[1].waiting_since
    assert standing(scene, 2) == AtGate(FIELD, since, ready=True, worked_on=None, lost=0, until=None)


def test_nobody_is_at_what_a_worker_held_whose_lease_is_over(scene: Scene) -> None:
    at_gate(scene, 1)
    claim(scene.ledger, scene.runner)
    assert standing(scene, 1).worked_on is not None
    with scene.ledger.database.write() as connection:
        connection.execute(update(runners).values(expires_at=runners.c.expires_at - 3_600_000))
    assert standing(scene, 1).worked_on is None
    assert not any(worker.alive for worker in scene.ledger.workers.status())


def test_a_gate_that_has_a_timeout_says_until_when_a_document_may_wait(scene: Scene) -> None:
    at_gate(scene, 2, timeout_seconds=90)
    assert standing(scene, 1).until == scene.rows(jobs)[0].waiting_since + 90_000
    give(scene.ledger, scene.runner)
    assert standing(scene, 1).until is None, "what is ready waits for a run, which is no failure"


def test_what_waits_nowhere_has_no_standing(scene: Scene) -> None:
    scene.documents(1)
    assert reader(scene).standing([1]) == {}
    assert reader(scene).standing([]) == {}


def test_queues_count_each_pipeline_of_a_tenant(scene: Scene) -> None:
    assert reader(scene).queues("default") == []
    at_gate(scene, 3)
    give(scene.ledger, scene.runner)
    mine = Queue("default", "p", FIELD, waiting=2, ready=1)
    assert reader(scene).queues("default") == [mine]
    assert reader(scene).queues("default", "p") == [mine]
    assert reader(scene).queues("default", "q") == []
    assert reader(scene).queues("other") == []
    batch = scene.batch()
    scene.take(record("theirs"), batch=batch, tenant="other")
    scene.ledger.gates.sort(batch, GATE, ["ingest"], FIELD, True)
    assert reader(scene).queues("default") == [mine]
    assert reader(scene).queues() == [mine, Queue("other", "p", FIELD, waiting=1, ready=0)]


def test_whether_any_is_ready_or_waits_is_asked_for_one_tenant_and_pipeline(scene: Scene) -> None:
    found = reader(scene)
    at_gate(scene, 1)
    assert (found.any_waiting("default", "p"), found.any_ready(FIELD, "default", "p")) == (True, False)
    assert (found.any_waiting("other", "p"), found.any_waiting("default", "q")) == (False, False)
    give(scene.ledger, scene.runner)
    assert found.any_ready(FIELD, "default", "p")
    assert not found.any_ready(FIELD, "other", "p")
    scene.ledger.resumes.take(FIELD, "p", "default", 10)
    assert (found.any_waiting("default", "p"), found.any_ready(FIELD, "default", "p")) == (False, False)
