"""With 30,000 documents, most of which wait at a gate, what workers and sensors ask all the time is found by index."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, insert, text

from gate_scene import FIELD, GATE, claim
from ledger_scene import Scene, made
from penstock.ledger.database import Database
from penstock.ledger.ledger import Ledger
from penstock.ledger.schema import artifacts, batch_jobs, batches, documents, jobs, runners, stage_states
from query_plans import Plans, plans, scans

DOCUMENTS, BATCHES, ENDED = 30_000, 3_000, 2_000
WAITING, READY, LOST = range(2_001, 29_001), range(29_001, 29_501), range(29_501, 30_001)
LARGE = {"jobs", "stage_states", "artifacts", "documents", "batch_jobs", "batches", "runners"}


def fill(connection: Connection) -> None:
    """Documents that are done, wait for a worker, wait for a run, and that a worker gave up on."""
    now = 1_800_000_000_000
    common = {"pipeline": "p", "fingerprint": "f1", "generation": 1, "created_at": now}

    def job(n: int) -> dict[str, Any]:
        status = "waiting" if n in WAITING or n in READY else "dead" if n in LOST else "done"
        at = {"status": status, "current_stage": GATE, FIELD: n in READY, "waiting_for": None, "waiting_since": None}
        if status == "waiting":
            at |= {"waiting_for": FIELD, "waiting_since": now, "waiting_until": now + n if n % 2 else None}
        return (
            {"waiting_until": None}
            | common
            | at
            | {"id": n, "document_id": n, "correlation_id": "c", "updated_at": now + n}
        )

    def state(n: int, stage: str, status: str) -> dict[str, Any]:
        return {"job_id": n, "stage": stage, "status": status, "token": 1, "started_at": now, "output": f"{n}".encode()}

    each = range(1, DOCUMENTS + 1)
    doc = {"tenant": "default", "source": "files", "kind": "pdf", "updated_at": now} | common
    rows: dict[Any, list[dict[str, Any]]] = {
        documents: [doc | {"id": n, "doc_id": f"x{n}", "source_id": f"x{n}", "content": f"{n}".encode()} for n in each],
        jobs: [job(n) for n in each],
        stage_states: [state(n, "ingest", "done") for n in each]
        + [state(n, GATE, "dead" if n in LOST else "done") for n in (*READY, *LOST)],
        artifacts: [
            {"document_id": n, "key": f"{n}".encode(), "hash": b"h", "kind": "PDFFile", "size": 1, "body": b"x"}
            for n in each
        ],
        batches: [
            {
                "tenant": "default",
                "pipeline": "p",
                "kind": "resume",
                "attempt": 1,
                "status": "complete",
                "created_at": now,
            }
            for _ in range(BATCHES)
        ],
        batch_jobs: [{"batch_id": n % BATCHES + 1, "job_id": n} for n in each],
        runners: [
            {"owner": "h|b|n|1|1", "lease_ms": 1, "started_at": now, "expires_at": now, "ended_at": now}
            for _ in range(ENDED)
        ],
    }
    for table, values in rows.items():
        connection.execute(insert(table), values)
    if connection.dialect.name == "postgresql":
        connection.execute(text("ANALYZE"))


@pytest.fixture
def crowd(ledger_url: str) -> Iterator[Scene]:
    database = Database(ledger_url)
    with database.write() as connection:
        fill(connection)
    scene = Scene(Ledger(database))
    scene.ledger.workers.register(scene.runner, FIELD, "cpu 1", 2)
    yield scene
    database.close()


def used(found: Plans) -> str:
    return "\n".join(line for _, lines in found for line in lines)


def test_what_sensors_and_workers_ask_is_found_by_index_among_a_crowd_that_waits(crowd: Scene) -> None:
    ledger, database = crowd.ledger, crowd.ledger.database

    def sensor_looks() -> None:
        ledger.gates.lost([("p", GATE)], 1_800_000_029_900, 200)
        ledger.batches.claim_queued(10, [], ["p"])
        ledger.batches.claimed()
        ledger.resumes.ready(FIELD, "p", 40)
        ledger.resumes.on_the_way("p")
        ledger.waiting.some(FIELD, 1001)
        ledger.workers.waiting_on(FIELD)

    looked = plans(database, sensor_looks)
    assert scans(looked, LARGE) == []
    assert "jobs_lost" in used(looked)
    assert "jobs_parsed" in used(looked)
    assert "jobs_unparsed" in used(looked) or not database.sqlite  # where all wait the primary key does as well

    launched = plans(database, lambda: ledger.resumes.launch(FIELD, "p", "default", 100))
    assert scans(launched, LARGE) == []
    assert "jobs_parsed" in used(launched)
    [batch] = ledger.batches.claimed()
    with database.write() as connection:
        connection.execute(batches.update().where(batches.c.id == batch.id).values(gathered_at=None))

    def run_gathers() -> None:
        assert ledger.resumes.join(batch, FIELD, 100, "f1", ["ingest"]) == 100
        ledger.resumes.gathering_for(batch.id)
        ledger.resumes.gathered(batch.id)

    assert scans(plans(database, run_gathers), LARGE) == []

    def worker() -> None:
        [(waiter, key), (other, same)] = claim(ledger, crowd.runner, 2)
        assert ledger.waiting.input(waiter, "PDFFile") is not None
        crowd.work.commit(key, [made(key, waiter.claim)])
        crowd.work.release(same, [other.claim], lost=True)
        ledger.workers.did(crowd.runner, documents=1)

    worked = plans(database, worker)
    assert scans(worked, LARGE) == []

    expired = plans(database, lambda: ledger.gates.expire())
    assert scans(expired, LARGE) == []
    assert "jobs_overdue" in used(expired)
