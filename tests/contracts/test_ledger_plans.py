"""At 20,000 documents the statements that run all the time find their rows by index."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert

import query_plans
from ledger_scene import INDEX, PARSE, TAG, Scene, made, record
from penstock.ledger.database import Database
from penstock.ledger.ledger import Ledger
from penstock.ledger.schema import artifacts, batch_jobs, batches, documents, jobs, outbox, runners, stage_states
from query_plans import Plans, scans

DOCUMENTS, BATCHES = 20_000, 40
Explain = Callable[[Callable[[], object]], Plans]


def fill(connection: Connection) -> None:
    """Done documents in batches of 500, their stage states, artifacts and events, and the runners that made them."""
    each = range(1, DOCUMENTS + 1)
    now, key = 1_800_000_000_000, (lambda n, m: f"{m}:{n}".encode())
    common = {"pipeline": "p", "fingerprint": "f1", "generation": 1, "created_at": now, "updated_at": now}
    rows: dict[Any, list[dict[str, Any]]] = {
        documents: [
            {"doc_id": f"x{n}", "tenant": "default", "source": "files", "source_id": f"x{n}", "kind": "text"}
            | common
            | {"id": n, "content": key(n, 0)}
            for n in each
        ],
        jobs: [common | {"id": n, "document_id": n, "correlation_id": "c", "status": "done"} for n in each],
        batches: [
            {"id": n, "tenant": "default", "pipeline": "p", "kind": "slice", "status": "complete", "created_at": now}
            for n in range(1, BATCHES + 1)
        ],
        batch_jobs: [{"batch_id": n % BATCHES + 1, "job_id": n} for n in each],
        stage_states: [
            {"job_id": n, "stage": stage, "status": "done", "token": 1, "started_at": now, "store": store}
            for n in each
            for stage, store in (("ingest", None), ("parse", None), ("index", "store-1"), ("tag", None))
        ],
        artifacts: [
            {"document_id": n, "key": key(n, m), "hash": key(n, m), "kind": "Document", "size": 1, "body": b"x"}
            for n in each
            for m in range(3)
        ],
        outbox: [{"at": now, "type": "completed", "job_id": n, "stage": "parse", "round": 1, "token": 1} for n in each],
        runners: [
            {"owner": "h|b|n|1|1", "lease_ms": 1, "started_at": now, "expires_at": now, "ended_at": now}
            for n in range(2000)
        ],
    }
    for table, values in rows.items():
        connection.execute(insert(table), values)


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Scene]:
    """A ledger with 20,000 documents."""
    path = tmp_path_factory.mktemp("filled") / "ledger.db"
    shutil.copy(sqlite_template, path)
    database = Database(f"sqlite:///{path}")
    with database.write() as connection:
        fill(connection)
    yield Scene(Ledger(database))
    database.close()


@pytest.fixture
def plans(big: Scene) -> Explain:
    """Runs an action; the statements it made and the lines of SQLite's plan for each."""
    return partial(query_plans.plans, big.ledger.database)


def test_looking_for_work_and_taking_it(big: Scene, plans: Explain) -> None:
    batch = big.documents(10)
    claims: list[Any] = []

    def act() -> None:
        page = big.work.candidates(batch, PARSE)
        claims.extend(big.work.claim(big.runner, PARSE, page))
        big.work.candidates(batch, INDEX)
        big.work.busy(batch, ["parse", "ingest"])

    assert scans(plans(act)) == []
    assert len(claims) == 10
    big.work.release(PARSE, claims)


def test_finding_and_committing_outputs(big: Scene, plans: Explain) -> None:
    batch = big.documents(10)
    claims = big.claim(PARSE, batch)
    done = [made(PARSE, c, title="t") for c in claims]

    def act() -> None:
        big.ledger.outputs.inputs(["ingest"], claims)
        found = big.ledger.outputs.existing("RawPayload", [(c.document_id, b"k") for c in claims])
        big.ledger.outputs.bodies(found.values())
        big.ledger.outputs.newest("Document", "default", claims[0].doc_id)
        big.work.commit(PARSE, done[:9])
        big.work.release(PARSE, claims[9:])
        big.finish(batch, INDEX, TAG)

    assert scans(plans(act)) == []


def test_reaping_and_the_sensors_questions(big: Scene, plans: Explain) -> None:
    batch = big.documents(5)
    big.claim(PARSE, batch)

    def act() -> None:
        big.ledger.leases.reap()
        big.ledger.leases.renew(big.runner)
        big.ledger.batches.claim_queued(5, ["p"])
        big.ledger.batches.claimed()
        big.ledger.batches.started_runs()
        big.ledger.leases.end(big.ledger.leases.register(60))

    once_a_process = "UPDATE batches SET runner_id=? WHERE batches.runner_id = ?"
    assert [found for found in scans(plans(act)) if found[1] != once_a_process] == []


def test_listing_what_is_known_and_what_is_new(big: Scene, plans: Explain) -> None:
    batch = big.batch()
    listed = [record(f"x{n}", place=f"place {n}") for n in range(1, 6)]

    def act() -> None:
        big.take(*listed, batch=batch)
        big.take(*listed, batch=batch)
        big.take(record("other", place="place 1"), batch=batch)

    assert scans(plans(act)) == []


def test_reading_a_batch(big: Scene, plans: Explain) -> None:
    def act() -> None:
        big.ledger.reports.statuses(3)
        big.ledger.reports.stages(3)
        big.ledger.reports.passed(3, "parse")
        big.ledger.reports.failures(3)
        big.ledger.reports.lost_documents(3)
        big.ledger.gates.sort(3, "wait", ["ingest"], "pdf_ir_ready", True)
        big.ledger.batches.new_round(3)

    assert scans(plans(act)) == []
