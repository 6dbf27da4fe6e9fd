"""At a gate documents wait for their ledger field and hold nothing; a worker's one transaction lets them through."""

from __future__ import annotations

from sqlalchemy import update

from ledger_scene import Scene, at_once
from penstock.ledger.gates import Sorted
from penstock.ledger.ledger import Ledger
from penstock.ledger.schema import jobs, stage_states
from penstock.ledger.work import StageKey

GATE, FIELD = "wait", "pdf_ir_ready"
AFTER = StageKey("chunk", (GATE,), 1, final=("ingest", GATE, "chunk"))


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
