"""What a user asked for is kept once, listed by one, and cut into batches that are launched once."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select, update

from ledger_scene import PARSE, Scene, at_once, record
from penstock.errors import Fenced, NotFound, UsageError
from penstock.ledger.ledger import Ledger
from penstock.ledger.runs import Run
from penstock.ledger.schema import batch_jobs, batches, runners, submissions

ASKED: dict[str, Any] = {"tenant": "default", "pipeline": "p", "source": "files", "request": "{}"}


def test_a_request_with_a_known_key_is_the_same_submission(scene: Scene) -> None:
    first, batch, new = scene.submit(idempotency_key="k")
    assert (batch.kind, batch.status, new) == ("whole", "held", True)
    assert scene.submit(idempotency_key="k") == (first, batch, False)


@pytest.mark.parametrize("other", [{"pipeline": "q"}, {"source": "web"}, {"request": '{"a":1}'}])
def test_a_key_that_was_used_for_another_request_is_refused(scene: Scene, other: dict[str, str]) -> None:
    scene.submit(idempotency_key="k")
    with pytest.raises(UsageError, match="idempotency key 'k' was used for another request"):
        scene.submit(idempotency_key="k", **other)


def test_a_key_is_a_tenants_own(scene: Scene) -> None:
    assert scene.submit(idempotency_key="k")[0].id != scene.submit(idempotency_key="k", tenant="other")[0].id


def test_requests_without_a_key_are_submissions_of_their_own(scene: Scene) -> None:
    assert scene.submit()[0].id != scene.submit()[0].id


def test_four_processes_with_one_key_make_one_submission(scene: Scene) -> None:
    def submit(ledger: Ledger, number: int) -> tuple[int, int, bool]:
        submission, batch, new = ledger.submissions.submit(**ASKED, idempotency_key="k")
        return submission.id, batch.id, new

    answers = at_once(scene.ledger.database, submit)
    assert len({(s, b) for s, b, _ in answers}) == 1
    assert [new for _, _, new in answers].count(True) == 1
    assert len(scene.rows(submissions)) == len(scene.rows(batches)) == 1


def test_a_submission_or_batch_nobody_made_is_not_found(scene: Scene) -> None:
    with pytest.raises(NotFound, match="no submission 7"):
        scene.ledger.submissions.get(7)
    with pytest.raises(NotFound, match="no batch 7"):
        scene.ledger.batches.batch(7)


def test_one_runner_lists_and_goes_on_from_the_cursor_another_left(scene: Scene) -> None:
    submission, batch, _ = scene.submit()
    mine = scene.ledger.submissions.lease_listing(submission.id, scene.runner)
    assert mine is not None
    other = scene.ledger.leases.register(60)
    assert scene.ledger.submissions.lease_listing(submission.id, other) is None
    scene.take(record("a"), record("b"), batch=batch.id, listing=mine, cursor="b")
    scene.ledger.submissions.release_listing(mine)
    theirs = scene.ledger.submissions.lease_listing(submission.id, other)
    assert theirs is not None
    assert scene.ledger.submissions.get(submission.id).cursor == "b"
    scene.ledger.submissions.listed(theirs)
    assert scene.ledger.submissions.get(submission.id).status == "listed"
    assert scene.ledger.submissions.lease_listing(submission.id, other) is None


def test_a_stalled_lister_is_fenced_off_and_changes_nothing(scene: Scene) -> None:
    submission, batch, _ = scene.submit()
    stalled = scene.ledger.submissions.lease_listing(submission.id, scene.runner)
    assert stalled is not None
    scene.ledger.submissions.release_listing(stalled)
    other = scene.ledger.submissions.lease_listing(submission.id, scene.ledger.leases.register(60))
    assert other is not None
    with pytest.raises(Fenced):
        scene.take(record("a"), batch=batch.id, listing=stalled, cursor="a")
    assert scene.statuses(batch.id) == {}
    assert scene.ledger.submissions.get(submission.id).cursor is None
    scene.ledger.submissions.release_listing(stalled)
    assert scene.rows(submissions)[0].runner_id == other_runner(scene)


def other_runner(scene: Scene) -> int:
    return max(row.id for row in scene.rows(runners))


def test_a_stalled_lister_cannot_declare_a_listing_whole(scene: Scene) -> None:
    """It would let half a batch be launched while the other lister still fills it."""
    submission, first, _ = scene.submit(queued=True, batch_size=1)
    stalled = scene.ledger.submissions.lease_listing(submission.id, scene.runner)
    assert stalled is not None
    scene.take(record("a"), batch=first.id, listing=stalled)
    filling, _ = scene.ledger.submissions.filling(submission, first.id)
    scene.ledger.leases.end(scene.runner)
    assert scene.ledger.submissions.lease_listing(submission.id, scene.ledger.leases.register(60))
    with pytest.raises(Fenced):
        scene.ledger.submissions.listed(stalled)
    assert scene.ledger.batches.batch(filling.id).status == "filling"
    assert scene.ledger.submissions.get(submission.id).status == "listing"


def test_a_listing_held_by_a_runner_that_was_declared_dead_can_be_taken_over(scene: Scene) -> None:
    submission, _, _ = scene.submit()
    scene.ledger.leases.end(scene.runner)
    assert scene.ledger.submissions.lease_listing(submission.id, scene.runner) is not None
    assert scene.ledger.submissions.lease_listing(submission.id, scene.ledger.leases.register(60)) is not None


def test_a_sliced_listing_fills_batches_and_queues_them_when_full(scene: Scene) -> None:
    submission, first, _ = scene.submit(queued=True, batch_size=2)
    listing = scene.ledger.submissions.lease_listing(submission.id, scene.runner)
    assert listing is not None
    seen = []
    for name in "abcde":
        batch, held = scene.ledger.submissions.filling(submission, first.id)
        seen.append((batch.id - first.id, held))
        scene.take(record(name), batch=batch.id, listing=listing, cursor=name)
    assert seen == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)]
    assert [b.status for b in scene.rows(batches)] == ["queued", "queued", "filling"]
    scene.ledger.submissions.listed(listing)
    assert [b.status for b in scene.rows(batches)] == ["queued"] * 3
    assert scene.rows(submissions)[0].records == 5


def test_a_listing_that_breaks_off_lets_go_of_the_slice_it_filled_and_takes_it_back_later(scene: Scene) -> None:
    submission, first, _ = scene.submit(queued=True, batch_size=2)
    listing = scene.ledger.submissions.lease_listing(submission.id, scene.runner)
    assert listing is not None
    scene.take(record("a"), record("b"), batch=first.id, listing=listing)
    second, _ = scene.ledger.submissions.filling(submission, first.id)
    scene.take(record("c"), batch=second.id, listing=listing)
    scene.ledger.submissions.release_listing(listing)
    assert [b.status for b in scene.rows(batches)] == ["queued", "queued"]
    assert scene.ledger.submissions.filling(submission, first.id) == (second, 1), "taken back"
    assert scene.ledger.batches.batch(second.id).status == "filling"


@pytest.mark.parametrize("status", ["claimed", "started", "complete", "failed"])
def test_nothing_comes_into_a_slice_that_a_run_has_or_had(scene: Scene, status: str) -> None:
    """It would be nobody's: the run may have looked for the last time."""
    submission, first, _ = scene.submit(queued=True, batch_size=2)
    listing = scene.ledger.submissions.lease_listing(submission.id, scene.runner)
    scene.take(record("a"), record("b"), batch=first.id, listing=listing)
    second, _ = scene.ledger.submissions.filling(submission, first.id)
    scene.take(record("c"), batch=second.id, listing=listing)
    with scene.ledger.database.write() as connection:
        connection.execute(update(batches).where(batches.c.id == second.id).values(status=status))
    third, held = scene.ledger.submissions.filling(submission, first.id)
    assert (third.id, third.status, held) == (second.id + 1, "filling", 0)


def test_what_a_slice_holds_is_not_cut_again(scene: Scene) -> None:
    submission, first, _ = scene.submit(queued=True, batch_size=2)
    listing = scene.ledger.submissions.lease_listing(submission.id, scene.runner)
    scene.take(record("a"), record("b"), batch=first.id, listing=listing)
    second, _ = scene.ledger.submissions.filling(submission, first.id)
    scene.take(record("c"), batch=second.id, listing=listing)
    mended = [record("a"), record("b", "other"), record("c"), record("d")]
    taken = scene.take(*mended, batch=second.id, listing=listing)
    assert (taken.new, taken.changed, taken.unchanged) == (1, 1, 2)
    assert scene.statuses(first.id) == {"pending": 1, "superseded": 1}
    assert scene.statuses(second.id) == {"pending": 3}, "c, the new b and d; a stays with the first"


def test_an_unfinished_listing_nobody_is_at_is_found_again(scene: Scene) -> None:
    asked = {"tenant": "default", "pipeline": "p", "source": "files", "request": "{}"}
    submission, batch, _ = scene.submit()
    find = scene.ledger.submissions.unfinished
    assert find(**asked) is None, "not begun"
    listing = scene.ledger.submissions.lease_listing(submission.id, scene.runner)
    assert listing is not None
    assert find(**asked) is None, "somebody is at it"
    scene.ledger.submissions.release_listing(listing)
    assert find(**asked) == batch
    assert find(**{**asked, "request": "{}x"}) is None
    again = scene.ledger.submissions.lease_listing(submission.id, scene.runner)
    assert again is not None
    scene.ledger.submissions.listed(again)
    assert find(**asked) is None, "whole"


def test_a_queued_batch_is_claimed_once_by_processes_that_ask_at_once(scene: Scene) -> None:
    wanted = sorted(scene.submit(queued=True)[1].id for _ in range(40))

    def claim(ledger: Ledger, number: int) -> list[int]:
        got = []
        while some := ledger.batches.claim_queued(3, ["p"]):
            got += [b.id for b in some]
        return got

    answers = at_once(scene.ledger.database, claim)
    assert sorted(b for got in answers for b in got) == wanted
    assert {b.attempt for b in scene.rows(batches)} == {1}


def test_only_batches_of_pipelines_that_are_loaded_are_claimed(scene: Scene) -> None:
    mine, other = scene.submit(queued=True)[1], scene.submit(queued=True, pipeline="q")[1]
    assert [b.id for b in scene.ledger.batches.claim_queued(10, ["p"])] == [mine.id]
    assert scene.ledger.batches.queued_elsewhere(["p"]) == ("q", 1)
    assert scene.ledger.batches.claim_queued(10, []) == []
    assert scene.ledger.batches.batch(other.id).status == "queued"


def test_a_claimed_batch_is_asked_for_again_until_its_run_begins(scene: Scene) -> None:
    scene.submit(queued=True)
    (claimed,) = scene.ledger.batches.claim_queued(10, ["p"])
    assert scene.ledger.batches.claimed() == [claimed]
    scene.ledger.runs.open(Run("r", "r", claimed.id, "p", "d", "{}", None), scene.runner)
    assert scene.ledger.batches.claimed() == []
    assert [(b.id, run) for b, run in scene.ledger.batches.started_runs()] == [(claimed.id, "r")]


def test_a_batch_whose_run_died_is_queued_again_until_it_has_had_its_attempts(scene: Scene) -> None:
    batch = scene.submit(queued=True)[1].id
    for attempt in (1, 2):
        (claimed,) = scene.ledger.batches.claim_queued(10, ["p"])
        assert (claimed.id, claimed.attempt) == (batch, attempt)
        assert scene.ledger.batches.requeue(batch, note="died", attempts=2) is (attempt == 1)
    row = scene.rows(batches)[0]
    assert (row.status, row.note) == ("failed", "died")
    assert row.finished_at is not None
    assert scene.ledger.batches.claim_queued(10, ["p"]) == []


def test_requeueing_leaves_a_batch_alone_that_has_ended(scene: Scene) -> None:
    batch = scene.submit(queued=True)[1].id
    scene.ledger.batches.claim_queued(10, ["p"])
    scene.ledger.batches.close(batch, "complete")
    assert scene.ledger.batches.requeue(batch, note="died", attempts=2) is False
    assert scene.rows(batches)[0].status == "complete"


def test_a_run_is_found_by_its_id_and_its_newest_re_execution_by_the_first(scene: Scene) -> None:
    batch = scene.batch()
    scene.ledger.runs.open(Run("r1", "r1", batch, "p", "d1", "{}", None), None)
    with scene.ledger.database.write() as connection:
        connection.exec_driver_sql("UPDATE runs SET started_at = started_at - 1000")
    scene.ledger.runs.open(Run("r2", "r1", batch, "p", "d2", "{}", "note"), None)
    scene.ledger.runs.open(Run("r2", "r1", batch, "p", "d3", "{}", None), None)
    found = scene.ledger.runs.get("r2")
    assert found is not None
    assert (found.digest, found.note) == ("d2", "note"), "the first op's word stands"
    assert scene.ledger.runs.newest("r1") == found
    assert scene.ledger.runs.get("r3") is None


def test_a_retry_makes_a_batch_for_each_pipeline_and_two_at_once_share_the_documents(scene: Scene) -> None:
    from penstock.errors import BadInput

    for pipeline, names in (("p", "abcd"), ("q", "xyz")):
        batch = scene.submit(pipeline=pipeline)[1].id
        scene.take(*(record(n) for n in names), batch=batch, pipeline=pipeline)
        scene.fail(PARSE, scene.claim(PARSE, batch), BadInput("torn"))

    def retry(ledger: Ledger, number: int) -> list[tuple[str, int]]:
        made = ledger.batches.retry(tenant="default", queued=True)
        return [(batch.pipeline, count) for batch, count in made]

    answers = [part for answer in at_once(scene.ledger.database, retry) for part in answer]
    assert sum(n for name, n in answers if name == "p") == 4
    assert sum(n for name, n in answers if name == "q") == 3
    assert scene.statuses() == {"pending": 7}


def test_a_retry_takes_more_names_than_a_statement_has_parameters(scene: Scene) -> None:
    from penstock.errors import BadInput

    batch = scene.documents(2)
    scene.fail(PARSE, scene.claim(PARSE, batch), BadInput("torn"))
    names = [f"n{n}" for n in range(70_000)] + ["d00001"]
    ((made, count),) = scene.ledger.batches.retry(tenant="default", queued=False, doc_ids=names)
    assert (made.kind, made.status, count) == ("retry", "held", 1)
    with scene.ledger.database.read() as connection:
        held = select(func.count()).select_from(batch_jobs).where(batch_jobs.c.batch_id == made.id)
        assert connection.execute(held).scalar_one() == 1
