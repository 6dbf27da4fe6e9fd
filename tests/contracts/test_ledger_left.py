"""What runs left behind, and what no store has to have any more."""

from __future__ import annotations

from sqlalchemy import update

from ledger_scene import INDEX, PARSE, Scene, record
from penstock.errors import BadInput, ServiceUnavailable
from penstock.ledger.runs import Run
from penstock.ledger.schema import batch_jobs, documents, jobs


def begun_and_killed(scene: Scene, batch: int) -> None:
    runner = scene.ledger.leases.register(60)
    scene.ledger.runs.open(Run(f"run-{batch}", f"run-{batch}", batch, "p", "digest", "{}", None), runner)
    scene.ledger.leases.end(runner)


def named(scene: Scene, name: str, count: int) -> int:
    """A batch of so many documents of this name."""
    batch = scene.batch()
    scene.take(*(record(f"{name}{n}") for n in range(count)), batch=batch)
    return batch


def size(scene: Scene, batch: int) -> int:
    return len(scene.rows(batch_jobs, batch_jobs.c.batch_id == batch))


def test_what_a_killed_retry_held_is_left_behind_for_the_next(scene: Scene) -> None:
    first = scene.documents(3)
    scene.fail(PARSE, scene.claim(PARSE, first), BadInput("torn"))
    ((retried, _),) = scene.ledger.batches.retry(tenant="default", queued=False)
    begun_and_killed(scene, retried.id)
    ((_, count),) = scene.ledger.batches.retry(tenant="default", queued=False)
    assert count == 3


def test_the_rest_of_a_pipeline_is_what_failed_and_what_was_left_begun_or_not(scene: Scene) -> None:
    failed, begun, held, done = (named(scene, name, count) for count, name in enumerate("abcd", start=1))
    scene.fail(PARSE, scene.claim(PARSE, failed), ServiceUnavailable("away"), terminal=False)
    begun_and_killed(scene, begun)
    scene.finish(done)
    assert scene.rows(jobs, jobs.c.status == "failed")
    rest = scene.ledger.batches.left("default", "p")
    assert (rest.kind, rest.status, size(scene, rest.id)) == ("retry", "held", 6)
    assert size(scene, held) == 3
    assert size(scene, scene.ledger.batches.left("default", "q").id) == 0
    assert size(scene, scene.ledger.batches.left("other", "p").id) == 0


def test_a_batch_of_nothing_takes_along_what_was_lost(scene: Scene) -> None:
    assert INDEX.store is not None
    asked = {"tenant": "default", "pipeline": "p", "stage": INDEX.name}
    scene.ledger.stores.join_lost(scene.batch(), **asked, uuid=INDEX.store)
    assert scene.ledger.stores.writers() == [("default", "p")]
    scene.finish(scene.documents(4))
    rest = scene.ledger.batches.left("default", "p")
    assert size(scene, rest.id) == 0
    assert scene.ledger.stores.join_lost(rest.id, **asked, uuid="another") == 4


def test_what_is_dead_cancelled_or_retired_no_store_has_to_have(scene: Scene) -> None:
    scene.documents(6)
    names = sorted(row.doc_id for row in scene.rows(documents))
    numbers = [row.id for row in scene.rows(jobs)]
    for number, status in zip(numbers, ("dead", "cancelled", "retiring", "retired", "failed", "done"), strict=True):
        with scene.ledger.database.write() as connection:
            connection.execute(update(jobs).where(jobs.c.id == number).values(status=status))
    ids = {row.id: row.doc_id for row in scene.rows(documents)}
    expected = {ids[row.document_id] for row in scene.rows(jobs) if row.status not in ("failed", "done")}
    assert scene.ledger.stores.let_go("default", names * 200) == expected
    assert len(expected) == 4
    assert scene.ledger.stores.let_go("other", names) == set()
