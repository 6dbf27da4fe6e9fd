"""Records become documents and jobs once; what changed gets a new generation, what did not is left alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy import update

from ledger_scene import PARSE, TAG, Scene, at_once, digest, record
from penstock.errors import BadInput, ServiceUnavailable
from penstock.ledger.cancel import cancel
from penstock.ledger.ledger import Ledger
from penstock.ledger.listing import Route
from penstock.ledger.schema import artifacts, batch_jobs, documents, jobs, origins, outbox, stage_states
from penstock.ledger.turns import StageKey


def counts(taken: Any) -> tuple[int, int, int, int, int]:
    return taken.new, taken.changed, taken.retried, taken.unchanged, taken.still_dead


def test_new_records_become_documents_whose_ingest_is_done(scene: Scene) -> None:
    taken = scene.take(record("a"), record("b"))
    assert counts(taken) == (2, 0, 0, 0, 0)
    assert [(j.status, j.generation, j.round) for j in scene.rows(jobs)] == [("pending", 1, 1)] * 2
    assert [(s.stage, s.status) for s in scene.rows(stage_states)] == [("ingest", "done")] * 2
    assert [bytes(a.body) for a in scene.rows(artifacts)] == [b"a", b"b"]
    assert sorted(e.type for e in scene.rows(outbox)) == ["completed"] * 2 + ["started"] * 2


def test_a_pipeline_that_only_ingests_is_done_with_it(scene: Scene) -> None:
    batch = scene.batch()
    scene.take(record("a"), batch=batch, final=True)
    assert scene.statuses(batch) == {"done": 1}


def test_what_has_not_changed_joins_the_batch_and_nothing_else_happens(scene: Scene) -> None:
    scene.take(record("a"), record("b"))
    events = len(scene.rows(outbox))
    batch = scene.batch()
    assert counts(scene.take(record("a"), record("b"), batch=batch)) == (0, 0, 0, 2, 0)
    assert len(scene.rows(jobs)) == 2
    assert scene.statuses(batch) == {"pending": 2}
    assert len(scene.rows(outbox)) == events


def test_a_changed_record_gets_a_new_generation_and_fences_off_the_old_one(scene: Scene) -> None:
    first = scene.batch()
    scene.take(record("a", "one"), record("b"), batch=first)
    claims = scene.claim(PARSE, first)
    assert counts(scene.take(record("a", "two"), record("b"))) == (0, 1, 0, 1, 0)
    assert sorted((j.document_id, j.generation, j.status) for j in scene.rows(jobs)) == [
        (1, 1, "superseded"),
        (1, 2, "pending"),
        (2, 1, "pending"),
    ]
    committed = scene.commit(PARSE, claims)
    assert (committed.done, [c.source_id for c in committed.fenced]) == (1, ["a"])
    assert bytes(scene.rows(documents)[0].content) == record("a", "two").content


def test_a_document_that_goes_back_to_what_it_was_is_a_third_generation_with_the_old_payload(scene: Scene) -> None:
    for content in ("one", "two", "one"):
        scene.take(record("a", content))
    assert [(j.generation, j.status) for j in scene.rows(jobs)] == [
        (1, "superseded"),
        (2, "superseded"),
        (3, "pending"),
    ]
    assert len(scene.rows(artifacts)) == 2
    assert counts(scene.take(record("a", "one"))) == (0, 0, 0, 1, 0)


def test_two_places_that_state_one_identifier_do_not_take_turns_at_being_new(scene: Scene) -> None:
    left, right = record("NCT1", "left", place="left.json"), record("NCT1", "right", place="right.json")
    assert counts(scene.take(left)) == (1, 0, 0, 0, 0)
    assert counts(scene.take(right)) == (0, 1, 0, 0, 0)
    for _ in range(3):
        assert counts(scene.take(left)) == (0, 0, 0, 1, 0)
        assert counts(scene.take(right)) == (0, 0, 0, 1, 0)
    assert scene.rows(documents)[0].generation == 2
    assert counts(scene.take(record("NCT1", "left, mended", place="left.json"))) == (0, 1, 0, 0, 0)


def test_a_failed_document_whose_place_holds_another_now_is_of_the_past(scene: Scene) -> None:
    batch = scene.batch()
    scene.take(record("torn", place="x.json"), batch=batch)
    scene.fail(PARSE, scene.claim(PARSE, batch), BadInput("torn"))
    assert counts(scene.take(record("NCT1", place="x.json"))) == (1, 0, 0, 0, 0)
    assert scene.statuses(batch) == {"superseded": 1}
    assert [o.document_id for o in scene.rows(origins)] == [2]


def test_a_document_that_went_through_stays_when_its_place_holds_another(scene: Scene) -> None:
    batch = scene.batch()
    scene.take(record("whole", place="x.json"), batch=batch)
    scene.finish(batch)
    scene.take(record("NCT1", place="x.json"))
    assert scene.statuses(batch) == {"done": 1}


def test_a_document_that_comes_back_to_its_place_is_tried_again(scene: Scene) -> None:
    """It would stay superseded for ever, since neither its bytes nor the pipeline changed."""
    batch = scene.batch()
    scene.take(record("torn", place="x.json"), batch=batch)
    scene.fail(PARSE, scene.claim(PARSE, batch), BadInput("torn"))
    scene.take(record("NCT1", place="x.json"))
    assert counts(scene.take(record("torn", place="x.json"))) == (0, 0, 1, 0, 0)
    assert scene.statuses(batch) == {"pending": 1}
    assert len(scene.claim(PARSE, batch)) == 1


def test_another_fingerprint_is_a_new_generation_that_supersedes_every_older_job(scene: Scene) -> None:
    batch = scene.documents(3)
    scene.finish(batch)
    running = scene.batch()
    scene.take(record("d00000", "other"), batch=running)
    claims = scene.claim(PARSE, running)
    again = scene.batch()
    names = [record("d00000", "other"), record("d00001"), record("d00002")]
    taken = scene.take(*names, batch=again, fingerprint="f2")
    assert (counts(taken), taken.risen) == ((0, 0, 0, 0, 0), 3)
    assert scene.statuses() == {"superseded": 4, "pending": 3}
    assert scene.commit(PARSE, claims).fenced == claims
    assert {d.fingerprint for d in scene.rows(documents)} == {"f2"}


def test_rebasing_a_batch_gives_its_documents_todays_fingerprint(scene: Scene) -> None:
    batch = scene.documents(300)
    claims = scene.claim(PARSE, batch, limit=10)
    route = Route("default", "", "p", "f2", "ingest", 1, "c")
    assert scene.ledger.intake.rebase(route, batch) == 300
    assert scene.ledger.intake.rebase(route, batch) == 0
    assert scene.statuses(batch) == {"pending": 300}
    assert scene.commit(PARSE, claims).done == 0
    assert len(scene.claim(PARSE, batch)) == 300


def test_rebasing_a_batch_begins_anew_what_a_listing_of_another_name_left_under_way(scene: Scene) -> None:
    batch = scene.documents(3)
    [claim] = scene.claim(PARSE, batch, limit=1)
    scene.fail(PARSE, [claim], BadInput("torn"))
    route = Route("default", "", "p", "f1", "take", 1, "c")
    assert scene.ledger.intake.rebase(route, batch) == 2
    assert scene.ledger.intake.rebase(route, batch) == 0
    assert scene.statuses(batch) == {"dead": 1, "pending": 2}
    assert len(scene.claim(StageKey("parse", ("take",), 1), batch)) == 2


def test_a_plain_run_tries_failed_documents_again_and_leaves_dead_ones(scene: Scene) -> None:
    batch = scene.documents(2)
    failed, dead = scene.claim(PARSE, batch)
    scene.fail(PARSE, [failed], ServiceUnavailable("away"), terminal=False, attempts=3)
    scene.fail(PARSE, [dead], BadInput("torn"))
    again = scene.batch()
    assert counts(scene.take(record("d00000"), record("d00001"), batch=again)) == (0, 0, 1, 1, 1)
    assert scene.statuses(again) == {"pending": 1, "dead": 1}
    (claim,) = scene.claim(PARSE, again)
    assert (claim.job_id, claim.round, claim.attempts) == (failed.job_id, 2, 0)
    assert counts(scene.take(record("d00001"))) == (0, 0, 0, 1, 1)


def test_a_retry_tries_dead_documents_again_from_the_stage_that_failed(scene: Scene) -> None:
    batch = scene.documents(3)
    scene.finish(batch, PARSE)
    from ledger_scene import INDEX

    claims = scene.claim(INDEX, batch)
    scene.commit(INDEX, claims[:1])
    scene.fail(INDEX, claims[1:2], BadInput("torn", reason="truncated"))
    scene.fail(INDEX, claims[2:], BadInput("odd"))
    ((made, count),) = scene.ledger.batches.retry(tenant="default", queued=True, reason="truncated")
    assert (made.kind, made.status, count) == ("retry", "queued", 1)
    (claim,) = scene.claim(INDEX, made.id)
    assert (claim.job_id, claim.round) == (claims[1].job_id, 2)
    assert scene.claim(PARSE, made.id) == []
    assert scene.ledger.batches.retry(tenant="other", queued=True) == []
    assert scene.ledger.batches.new_round(batch) == 1


def test_only_todays_generation_is_retried(scene: Scene) -> None:
    """A cancelled job of an older generation would go on beside the newer one, and over it."""
    from penstock.ledger.cancel import cancel

    batch = scene.batch()
    scene.take(record("a", "one"), batch=batch)
    assert cancel(scene.ledger.database, "default", [record("a").doc_id]) == [record("a").doc_id]
    scene.take(record("a", "two"))
    assert scene.ledger.batches.retry(tenant="default", queued=False, status="cancelled") == []
    assert scene.statuses(batch) == {"cancelled": 1}


def test_processes_that_list_the_same_folder_at_once_make_each_document_once(scene: Scene) -> None:
    batches = [scene.batch() for _ in range(4)]

    def take(ledger: Ledger, number: int) -> tuple[int, int]:
        own = Scene(ledger)
        done = [
            own.take(*(record(f"d{n}", f"v{version} {n}") for n in range(40)), batch=batches[number])
            for version in (1, 2, 3)
        ]
        return sum(t.new for t in done), sum(t.changed for t in done)

    answers = at_once(scene.ledger.database, take)
    assert sum(new for new, _ in answers) == 40
    alive = [j for j in scene.rows(jobs) if j.status == "pending"]
    assert len(alive) == len(scene.rows(documents)) == 40
    generations = {d.id: d.generation for d in scene.rows(documents)}
    assert all(j.generation == generations[j.document_id] for j in alive)
    assert len(scene.rows(jobs)) == 40 + sum(changed for _, changed in answers)


def test_names_and_places_that_no_database_can_hold_are_cleaned_and_found_again(scene: Scene) -> None:
    odd = record("a\0b\ud800", place="x\0\udcff", uri="file:///\udcff", version="\0")
    assert counts(scene.take(odd)) == (1, 0, 0, 0, 0)
    again = record("a\0b\ud800", place="x\0\udcff", uri="file:///\udcff", version="\0")
    assert counts(scene.take(again)) == (0, 0, 0, 1, 0)
    assert scene.rows(documents)[0].source_id == "a\ufffdb\ufffd"
    assert (scene.rows(origins)[0].key, scene.rows(origins)[0].uri) == ("x\ufffd\ufffd", "file:///\ufffd")


def test_a_body_that_rests_elsewhere_leaves_only_its_name(scene: Scene) -> None:
    scene.take(record("big", body=None, size=10_000_000))
    assert [(a.size, a.body) for a in scene.rows(artifacts)] == [(10_000_000, None)]


def test_every_document_is_in_one_state_and_none_is_lost(scene: Scene) -> None:
    """Conservation: what was submitted is done, failed, dead, superseded or on its way, and adds up."""
    batch = scene.documents(40)
    claims = scene.claim(PARSE, batch)
    scene.commit(PARSE, claims[:30])
    scene.fail(PARSE, claims[30:33], BadInput("torn"))
    scene.fail(PARSE, claims[33:35], ServiceUnavailable("away"), terminal=False)
    scene.work.release(PARSE, claims[35:])
    scene.finish(batch)
    scene.take(record("d00000", "changed"), record("d00031", "changed"), batch=batch)
    assert scene.statuses(batch) == {"done": 34, "dead": 2, "failed": 2, "superseded": 2, "pending": 2}
    assert scene.ledger.reports.statuses(batch) == scene.statuses(batch)
    assert len(scene.rows(batch_jobs)) == len(scene.rows(jobs)) == 42
    assert set(scene.ends().values()) == {1}
    assert not [s for s in scene.rows(stage_states) if s.status == "running" or s.runner_id is not None]
    assert scene.ledger.reports.passed(batch, TAG.name) == 34


def test_a_payload_is_kept_under_its_own_hash(scene: Scene) -> None:
    scene.take(record("a"))
    assert [bytes(a.key) for a in scene.rows(artifacts)] == [digest("a")]


def test_a_cancelled_document_stays_cancelled_until_its_bytes_change(scene: Scene) -> None:
    """Neither a changed pipeline nor a copy of it under another name brings it back."""
    batch = scene.batch()
    scene.take(record("a"), record("b"), batch=batch)
    (doc_id,) = (d.doc_id for d in scene.rows(documents, documents.c.source_id == "a"))
    assert cancel(scene.ledger.database, "default", [doc_id]) == [doc_id]
    for way in ({}, {"fingerprint": "f2"}, {"pipeline": "copy", "fingerprint": "f2"}, {"pipeline": "copy"}):
        taken = scene.take(record("a"), **way)
        assert (counts(taken), taken.cancelled) == ((0, 0, 0, 1, 0), 1), way
        assert taken.jobs == []
    assert scene.take(record("a", "other bytes")).changed == 1
    assert sorted(j.status for j in scene.rows(jobs)) == ["cancelled", "pending", "pending"]


def test_a_pipeline_that_was_renamed_takes_its_documents_along(scene: Scene) -> None:
    batch = scene.documents(3)
    dead, under_way, _ = scene.claim(PARSE, batch)
    scene.fail(PARSE, [dead], BadInput("torn"))
    names = [record(f"d{n:05}") for n in range(3)]
    moved = scene.batch()
    assert scene.take(*names, batch=moved, pipeline="renamed").unchanged == 3
    assert scene.statuses(moved) == {"pending": 2, "dead": 1}
    assert {j.pipeline for j in scene.rows(jobs)} == {"renamed"}
    assert scene.commit(PARSE, [under_way]).fenced == [], "what was under way is of use to both"
    assert {d.pipeline for d in scene.rows(documents)} == {"renamed"}
    assert {d.generation for d in scene.rows(documents)} == {1}, "nothing that reaches a sink has changed"
    assert scene.take(*names, pipeline="renamed").unchanged == 3
    assert scene.take(*names).unchanged == 3, "and back"
    assert len(scene.rows(jobs)) == 3


def test_a_listing_says_how_many_records_have_the_identifier_of_another(scene: Scene) -> None:
    submission, batch, _ = scene.submit()
    listing = scene.ledger.submissions.lease_listing(submission.id, scene.runner)
    left, right = record("NCT1", "left", place="left.json"), record("NCT1", "right", place="right.json")
    assert scene.take(left, batch=batch.id, listing=listing).rivals == 0
    assert scene.take(right, batch=batch.id, listing=listing).rivals == 1
    mended = record("NCT1", "right, mended", place="right.json")
    later, batch, _ = scene.submit()
    with scene.ledger.database.write() as connection:  # a listing of another day
        connection.execute(update(origins).values(seen_at=0))
    listing = scene.ledger.submissions.lease_listing(later.id, scene.runner)
    assert scene.take(mended, batch=batch.id, listing=listing).rivals == 0


def test_a_record_that_is_sniffed_differently_now_keeps_its_bytes_under_the_new_name(scene: Scene) -> None:
    scene.take(record("a"))
    scene.take(replace(record("a"), kind="other", head=b'{"kind":"other"}'), fingerprint="f2")
    assert [d.kind for d in scene.rows(documents)] == ["other"]
    assert [a.head for a in scene.rows(artifacts)] == [b'{"kind":"other"}']
