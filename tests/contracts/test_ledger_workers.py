"""Workers tell of themselves: who is there, on what, how fast."""

from __future__ import annotations

import pytest

from gate_scene import FIELD, at_gate, claim
from ledger_scene import Scene
from penstock.ledger.leases import owner
from penstock.ledger.schema import runners


def test_a_worker_is_there_until_it_ends(scene: Scene) -> None:
    workers = scene.ledger.workers
    assert workers.waiting_on(FIELD) == 0
    runner = scene.ledger.leases.register(60)
    workers.register(runner, FIELD, "cpu 1", 2)
    workers.register(runner, FIELD, "cpu 1", 2)
    assert workers.waiting_on(FIELD) == 1
    assert workers.waiting_on("another") == 0
    [row] = workers.status()
    assert (row.runner_id, row.owner, row.engine, row.slots) == (runner, owner(), "cpu 1", 2)
    assert row.alive
    scene.ledger.leases.end(runner)
    assert workers.waiting_on(FIELD) == 0
    assert workers.status() == []
    [row] = workers.status(ended=True)
    assert not row.alive


def test_a_worker_that_was_not_heard_of_for_a_lease_is_not_there(scene: Scene) -> None:
    workers = scene.ledger.workers
    runner = scene.ledger.leases.register(60)
    workers.register(runner, FIELD, "cpu 1", 1)
    with scene.ledger.database.write() as connection:
        connection.execute(runners.update().values(expires_at=runners.c.expires_at - 90_000))
    assert workers.waiting_on(FIELD) == 0
    [row] = workers.status()
    assert not row.alive
    assert row.beat >= 90_000


def test_a_worker_says_what_it_is_on_and_what_it_has_done(scene: Scene) -> None:
    at_gate(scene, 3)
    runner = scene.ledger.leases.register(60)
    scene.ledger.workers.register(runner, FIELD, "cpu 1", 2)
    claim(scene.ledger, runner, 2)
    scene.ledger.workers.did(runner, documents=3, pages=30, busy_ms=4000)
    scene.ledger.workers.did(runner, failures=1, pages=10, busy_ms=4000)
    [row] = scene.ledger.workers.status()
    assert [name for name, _ in row.on] == ["d00000", "d00001"]
    assert all(0 <= since < 60_000 for _, since in row.on)
    assert (row.documents, row.failures, row.pages) == (3, 1, 40)
    assert row.pages_per_second == pytest.approx(10)


def test_a_worker_that_is_another_runner_goes_on_with_its_counts(scene: Scene) -> None:
    first, then = scene.ledger.leases.register(60), scene.ledger.leases.register(60)
    scene.ledger.workers.register(first, FIELD, "cpu 1", 1)
    scene.ledger.workers.did(first, documents=3, pages=30)
    scene.ledger.leases.end(first)
    scene.ledger.workers.register(then, FIELD, "cpu 1", 1, before=first)
    scene.ledger.workers.did(then, documents=1, pages=10)
    [row] = scene.ledger.workers.status(ended=True)
    assert (row.runner_id, row.documents, row.pages, row.alive) == (then, 4, 40, True)


def test_the_newest_workers_come_first(scene: Scene) -> None:
    for number in range(3):
        scene.ledger.workers.register(scene.ledger.leases.register(60), FIELD, f"e{number}", 1)
    assert [row.engine for row in scene.ledger.workers.status(limit=2)] == ["e2", "e1"]
    assert [row.pages_per_second for row in scene.ledger.workers.status(limit=1)] == [0.0]
