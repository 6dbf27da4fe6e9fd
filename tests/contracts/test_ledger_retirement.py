"""What a whole listing no longer gives is retired, once and for all scopes, and comes back when it is listed again."""

from __future__ import annotations

from ledger_scene import INDEX, PARSE, Scene, record
from penstock.errors import BadInput
from penstock.ledger.listing import Listing
from penstock.ledger.schema import documents, jobs, outbox, scope_documents, stage_states


def listing(scene: Scene, *names: str, request: str = "{}") -> tuple[Listing, int]:
    """A whole listing of these, whose documents went through."""
    submission, batch, _ = scene.submit(request=request)
    leased = scene.ledger.submissions.lease_listing(submission.id, scene.runner)
    assert leased is not None
    if names:
        scene.take(*map(record, names), batch=batch.id, listing=leased)
    scene.ledger.submissions.listed(leased)
    scene.finish(batch.id)
    return leased, batch.id


def retire(scene: Scene, of: Listing) -> list[str]:
    """The source ids that are to leave the stores, which have let go of them then."""
    scene.ledger.retirement.mark("default", of.scope, of.submission, [INDEX.name])
    leaving = scene.ledger.retirement.leaving("default", "p")
    scene.ledger.retirement.left(leaving)
    names = {d.doc_id: d.source_id for d in scene.rows(documents)}
    return [names[gone.doc_id] for gone in leaving]


def test_what_the_newest_listing_of_the_only_scope_lacks_is_retired(scene: Scene) -> None:
    first, _ = listing(scene, "a", "b", "c")
    assert scene.ledger.retirement.missing(first.scope, first.submission) == (0, 3)
    second, _ = listing(scene, "a", "c")
    assert second.scope == first.scope
    assert scene.ledger.retirement.missing(second.scope, second.submission) == (1, 3)
    assert retire(scene, second) == ["b"]
    assert scene.statuses() == {"done": 2, "retired": 1}
    assert scene.ledger.retirement.missing(second.scope, second.submission) == (0, 2)
    assert retire(scene, second) == []
    assert [e.type for e in scene.rows(outbox, outbox.c.type == "retired")] == ["retired"]


def test_a_document_that_another_scope_has_stays(scene: Scene) -> None:
    other, _ = listing(scene, "a", "b", request='{"q":1}')
    listing(scene, "a", "b")
    second, _ = listing(scene, "a")
    assert retire(scene, second) == []
    assert scene.statuses() == {"done": 2}
    last, _ = listing(scene, request='{"q":1}')
    assert last.scope == other.scope
    assert scene.ledger.retirement.missing(last.scope, last.submission) == (1, 2)
    assert retire(scene, last) == ["b"], "a is still in the other scope"
    assert {s.document_id for s in scene.rows(scope_documents)} == {1}


def test_it_is_undone_by_coming_back_and_its_sinks_are_written_again(scene: Scene) -> None:
    listing(scene, "a", "b")
    second, _ = listing(scene, "a")
    retire(scene, second)
    _, batch = listing(scene, "a", "b")
    assert scene.statuses(batch) == {"done": 2}
    again = scene.rows(stage_states, stage_states.c.job_id == 2, stage_states.c.stage == INDEX.name)[0]
    assert (again.status, again.token) == ("done", 2)


def test_whoever_is_at_a_document_that_leaves_is_fenced_off(scene: Scene) -> None:
    submission, batch, _ = scene.submit()
    leased = scene.ledger.submissions.lease_listing(submission.id, scene.runner)
    scene.take(record("a"), batch=batch.id, listing=leased)
    assert leased is not None
    scene.ledger.submissions.listed(leased)
    claims = scene.claim(PARSE, batch.id)
    order = claims[0].order
    empty, _ = listing(scene)
    scene.ledger.retirement.mark("default", empty.scope, empty.submission, [INDEX.name])
    assert scene.commit(PARSE, claims).fenced == claims
    assert scene.claim(PARSE, batch.id) == []
    (leaving,) = scene.ledger.retirement.leaving("default", "p")
    assert leaving.order > order, "a sink refuses what was claimed before"


def test_a_document_that_comes_back_before_its_stores_let_go_is_not_retired_after_all(scene: Scene) -> None:
    listing(scene, "a", "b")
    second, _ = listing(scene, "a")
    scene.ledger.retirement.mark("default", second.scope, second.submission, [INDEX.name])
    leaving = scene.ledger.retirement.leaving("default", "p")
    listing(scene, "a", "b")
    scene.ledger.retirement.left(leaving)
    assert scene.statuses() == {"done": 2}
    (b,) = scene.rows(jobs, jobs.c.id == leaving[0].job_id)
    assert b.status == "done"


def test_a_failure_that_is_gone_from_its_source_is_retired_if_it_was_never_in_a_store(scene: Scene) -> None:
    submission, batch, _ = scene.submit()
    leased = scene.ledger.submissions.lease_listing(submission.id, scene.runner)
    scene.take(record("torn"), record("well"), batch=batch.id, listing=leased)
    assert leased is not None
    scene.ledger.submissions.listed(leased)
    torn, _ = scene.claim(PARSE, batch.id)
    scene.fail(PARSE, [torn], BadInput("torn"))
    scene.ledger.work.release(PARSE, [_])
    scene.finish(batch.id)
    worse, other = listing(scene, "well"), scene.batch()
    scene.take(record("well", "worse"), batch=other)
    scene.fail(PARSE, scene.claim(PARSE, other), BadInput("worse"))
    forget = scene.ledger.retirement.forget_failures
    assert forget("default", worse[0].scope, worse[0].submission, [INDEX.name]) == 1
    empty, _ = listing(scene)
    assert forget("default", empty.scope, empty.submission, [INDEX.name]) == 0, "its older text is searchable still"
    assert scene.statuses() == {"retired": 1, "superseded": 1, "dead": 1}


def test_a_listing_beside_an_older_one_takes_nothing_away_that_either_gives(scene: Scene) -> None:
    """Two runs of one request at once: the older one goes over everything once more after the newer one did."""
    listing(scene, "a", "b")
    older, first, _ = scene.submit()
    newer, second, _ = scene.submit()
    theirs = scene.ledger.submissions.lease_listing(older.id, scene.runner)
    mine = scene.ledger.submissions.lease_listing(newer.id, scene.ledger.leases.register(60))
    assert mine is not None
    scene.take(record("a"), batch=second.id, listing=mine)
    scene.ledger.submissions.listed(mine)
    scene.take(record("a"), record("b"), batch=first.id, listing=theirs)
    assert scene.ledger.retirement.missing(mine.scope, mine.submission) == (0, 2), "b is there again, or still"
    assert retire(scene, mine) == []
