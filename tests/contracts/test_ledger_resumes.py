"""What is through its gate goes on in batches: each asks for a run and gathers for a while; no two have a document."""

from __future__ import annotations

from sqlalchemy import update

from gate_scene import AFTER, FIELD, GATE, age, at_gate, claim, give
from ledger_scene import Scene, at_once, record
from penstock.ledger.batches import Batch
from penstock.ledger.ledger import Ledger
from penstock.ledger.schema import batch_jobs, batches, jobs


def launch(ledger: Ledger, limit: int = 100, tenant: str = "default") -> Batch | None:
    return ledger.resumes.launch(FIELD, "p", tenant, limit)


def launched(scene: Scene, limit: int = 100, tenant: str = "default") -> Batch:
    batch = launch(scene.ledger, limit, tenant)
    assert batch is not None
    return batch


def join(
    ledger: Ledger, batch: Batch, limit: int, fingerprint: str = "f1", stages: tuple[str, ...] = ("ingest",)
) -> int:
    return ledger.resumes.join(batch, FIELD, limit, fingerprint, stages)


def members(scene: Scene, batch: int) -> list[int]:
    return [row.job_id for row in scene.rows(batch_jobs, batch_jobs.c.batch_id == batch)]


def ready(scene: Scene) -> int:
    return sum(r.documents for r in scene.ledger.resumes.ready(FIELD, "p", 100))


def test_a_launch_takes_what_has_been_ready_for_longest_and_asks_for_a_run(scene: Scene) -> None:
    at_gate(scene, 4)
    assert launch(scene.ledger) is None
    give(scene.ledger, scene.runner, 3)
    with scene.ledger.database.write() as connection:
        connection.execute(update(jobs).where(jobs.c.id == 1).values(updated_at=jobs.c.updated_at + 60_000))
    batch = launched(scene, 2)
    assert (batch.kind, batch.status, batch.attempt) == ("resume", "claimed", 1)
    assert scene.ledger.batches.claimed() == [batch]
    assert members(scene, batch.id) == [2, 3]
    assert scene.statuses() == {"pending": 2, "waiting": 2}
    assert scene.work.candidates(batch.id, AFTER)[0].job_id == 2


def test_what_is_ready_is_counted_by_tenant_and_has_an_age(scene: Scene) -> None:
    assert scene.ledger.resumes.ready(FIELD, "p", 10) == []
    at_gate(scene, 3)
    give(scene.ledger, scene.runner, 3)
    age(scene, 100)
    scene.take(record("theirs"), tenant="acme")
    at = scene.rows(batches)[-1].id
    scene.ledger.gates.sort(at, GATE, ["ingest"], FIELD, True)
    give(scene.ledger, scene.runner)
    old, new = scene.ledger.resumes.ready(FIELD, "p", 10)
    assert (old.tenant, old.documents) == ("default", 3)
    assert 100_000 <= old.age < 160_000
    assert (new.tenant, new.documents) == ("acme", 1)
    assert new.age < 60_000
    assert [(r.tenant, r.documents) for r in scene.ledger.resumes.ready(FIELD, "p", 2)] == [("default", 2)]
    assert scene.ledger.resumes.ready(FIELD, "q", 10) == []


def test_a_batch_is_of_one_tenant(scene: Scene) -> None:
    for tenant in ("acme", "other"):
        scene.take(record(f"of {tenant}"), tenant=tenant)
        scene.ledger.gates.sort(scene.rows(batches)[-1].id, GATE, ["ingest"], FIELD, True)
    give(scene.ledger, scene.runner, 2)
    batch = launched(scene, tenant="other")
    assert (batch.tenant, members(scene, batch.id)) == ("other", [2])
    assert join(scene.ledger, batch, 100) == 0
    assert ready(scene) == 1


def test_processes_that_launch_at_once_take_each_document_once_and_no_empty_batch(scene: Scene) -> None:
    at_gate(scene, 60)
    give(scene.ledger, scene.runner, 60)

    def run(ledger: Ledger, number: int) -> list[int]:
        found = []
        while batch := launch(ledger, 7):
            found.append(batch.id)
        return found

    ids = [n for some in at_once(scene.ledger.database, run) for n in some]
    assert sorted(job for n in ids for job in members(scene, n)) == list(range(1, 61))
    assert sorted(ids) == [row.id for row in scene.rows(batches, batches.c.kind == "resume")]
    assert len(ids) == 9


def test_a_batch_gathers_until_it_has_gathered(scene: Scene) -> None:
    at_gate(scene, 5)
    give(scene.ledger, scene.runner)
    batch = launched(scene)
    gathering = scene.ledger.resumes.gathering_for(batch.id)
    assert gathering is not None
    assert 0 <= gathering < 60_000
    assert join(scene.ledger, batch, 10) == 0
    give(scene.ledger, scene.runner, 3)
    assert join(scene.ledger, batch, 2) == 2
    assert join(scene.ledger, batch, 10) == 1
    assert members(scene, batch.id) == [1, 2, 3, 4]
    scene.ledger.resumes.gathered(batch.id)
    assert scene.ledger.resumes.gathering_for(batch.id) is None
    give(scene.ledger, scene.runner)
    assert join(scene.ledger, batch, 10) == 0
    assert ready(scene) == 1


def test_a_batch_gathers_only_what_its_own_pipeline_brought_to_the_gate(scene: Scene) -> None:
    at_gate(scene, 3)
    give(scene.ledger, scene.runner)
    batch = launched(scene)
    give(scene.ledger, scene.runner, 2)
    assert join(scene.ledger, batch, 10, fingerprint="f2") == 0
    assert join(scene.ledger, batch, 10, stages=("ingest", "downloaded anew")) == 0
    assert ready(scene) == 2, "the next batch's run does with them what its pipeline says"
    assert join(scene.ledger, batch, 10) == 2


def test_a_full_batch_gathers_nothing(scene: Scene) -> None:
    at_gate(scene, 2)
    give(scene.ledger, scene.runner, 2)
    assert scene.ledger.resumes.gathering_for(launched(scene, 2).id) is None


def test_other_batches_never_gather(scene: Scene) -> None:
    assert scene.ledger.resumes.gathering_for(at_gate(scene, 1)) is None


def test_a_launch_and_runs_that_gather_at_once_take_each_document_once(scene: Scene) -> None:
    at_gate(scene, 44)
    give(scene.ledger, scene.runner, 4)
    gathering = [launched(scene, 2) for _ in range(2)]
    with scene.ledger.database.write() as connection:
        connection.execute(update(batches).values(gathered_at=None))
    give(scene.ledger, scene.runner, 40)

    def run(ledger: Ledger, number: int) -> int:
        taken = 0
        while ledger.resumes.ready(FIELD, "p", 1):
            if number < 2:
                taken += join(ledger, gathering[number], 3)
            elif batch := launch(ledger, 3):
                taken += ledger.batches.size(batch.id)
        return taken

    assert sum(at_once(scene.ledger.database, run)) == 40
    resumes = [row.id for row in scene.rows(batches, batches.c.kind == "resume")]
    assert sorted(job for n in resumes for job in members(scene, n)) == list(range(1, 45))


def test_what_is_on_the_way_is_said_by_tenant(scene: Scene) -> None:
    scene.ledger.batches.close(at_gate(scene, 3), "complete")
    resumes = scene.ledger.resumes

    def on_the_way() -> str | None:
        assert resumes.on_the_way("q") == {}
        return resumes.on_the_way("p").get("default")

    assert on_the_way() is None
    give(scene.ledger, scene.runner)
    batch = launched(scene)
    assert on_the_way() == "coming"
    with scene.ledger.database.write() as connection:
        connection.execute(update(batches).where(batches.c.id == batch.id).values(status="started"))
    assert on_the_way() == "gathering"
    resumes.gathered(batch.id)
    assert on_the_way() == "going"
    give(scene.ledger, scene.runner)
    second = launched(scene)
    assert on_the_way() == "coming", "the one that promises most"
    scene.ledger.batches.close(second.id, "cancelled")
    scene.ledger.batches.requeue(batch.id, note="it died", attempts=3)
    assert on_the_way() == "going"
    scene.ledger.batches.close(batch.id, "complete")
    assert on_the_way() is None
    give(scene.ledger, scene.runner)
    assert resumes.take(FIELD, "p", "default", 10)[1] == 1
    assert on_the_way() is None, "a run by hand gathers nothing"


def test_a_batch_that_resumes_is_claimed_again_by_who_asks_for_those(scene: Scene) -> None:
    at_gate(scene, 1)
    give(scene.ledger, scene.runner)
    batch = launched(scene)
    assert scene.ledger.batches.requeue(batch.id, note="it died", attempts=3)
    assert scene.ledger.batches.claim_queued(10, ["p"]) == []
    assert scene.ledger.batches.claim_queued(10, [], ["q"]) == []
    [again] = scene.ledger.batches.claim_queued(10, [], ["p"])
    assert (again.id, again.attempt) == (batch.id, 2)


def test_a_run_by_hand_takes_what_is_ready_or_makes_no_batch(scene: Scene) -> None:
    scene.ledger.batches.close(at_gate(scene, 3), "complete")
    before = len(scene.rows(batches))
    assert scene.ledger.resumes.take(FIELD, "p", "default", 10)[1] == 0
    assert len(scene.rows(batches)) == before
    give(scene.ledger, scene.runner, 2)
    batch, count = scene.ledger.resumes.take(FIELD, "p", "default", 10)
    assert (count, members(scene, batch.id)) == (2, [1, 2])
    assert (batch.status, batch.attempt) == ("held", 0)
    assert scene.ledger.resumes.gathering_for(batch.id) is None


def test_a_run_by_hand_leaves_to_the_sensor_what_it_has_launched(scene: Scene) -> None:
    scene.ledger.batches.close(at_gate(scene, 3), "partial")
    give(scene.ledger, scene.runner)
    batch = launched(scene)
    assert scene.ledger.resumes.take(FIELD, "p", "default", 10)[1] == 0
    scene.ledger.batches.close(batch.id, "failed")
    assert scene.ledger.resumes.take(FIELD, "p", "default", 10)[1] == 1


def test_a_run_by_hand_takes_along_what_broke_off_behind_the_gate(scene: Scene) -> None:
    scene.ledger.batches.close(at_gate(scene, 3), "complete")
    give(scene.ledger, scene.runner, 2)
    broken, _ = scene.ledger.resumes.take(FIELD, "p", "default", 1)
    scene.ledger.batches.close(broken.id, "failed", "an outage")
    other = scene.batch()
    scene.take(record("no further than ingest"), batch=other)
    scene.ledger.batches.close(other, "failed")
    batch, count = scene.ledger.resumes.take(FIELD, "p", "default", 10)
    assert (count, members(scene, batch.id)) == (2, [1, 2])
    assert scene.ledger.resumes.take(FIELD, "p", "acme", 10)[1] == 0


def test_what_was_superseded_meanwhile_is_not_taken(scene: Scene) -> None:
    batch = at_gate(scene, 2)
    give(scene.ledger, scene.runner, 2)
    scene.take(record("d00000", "other bytes"), batch=batch)
    taken = launched(scene)
    assert members(scene, taken.id) == [2]


def test_what_waits_at_a_gate_that_is_no_more_is_taken_on_by_hand(scene: Scene) -> None:
    at_gate(scene, 3)
    for pipeline, tenant, there in (("p", "default", [GATE]), ("p", "other", []), ("q", "default", [])):
        assert scene.ledger.resumes.stranded(pipeline, tenant, there) is None
    give(scene.ledger, scene.runner)
    [(waiter, _)] = claim(scene.ledger, scene.runner)
    batch = scene.ledger.resumes.stranded("p", "default", ["another"])
    assert batch is not None
    assert scene.statuses(batch.id) == {"pending": 2}, "a worker is at the third"
    assert scene.statuses() == {"pending": 2, "waiting": 1}
    assert scene.rows(jobs, jobs.c.status == "waiting")[0].id == waiter.claim.job_id


def test_what_a_run_by_hand_took_and_never_began_with_is_taken_on_by_the_next(scene: Scene) -> None:
    at_gate(scene, 2)
    broken = scene.ledger.resumes.stranded("p", "default", ["another"])
    assert broken is not None
    batch = scene.ledger.resumes.stranded("p", "default", ["another"])
    assert batch is not None
    assert (batch.id != broken.id, scene.statuses(batch.id)) == (True, {"pending": 2})
