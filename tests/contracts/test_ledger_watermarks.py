"""From when on a listing asks for changes."""

from __future__ import annotations

from typing import Any

from ledger_scene import Scene, record
from penstock.ledger.submissions import Submission

ASKED = {"source": "clinicaltrials", "request": '{"query":"x"}'}


def listed(scene: Scene, fingerprint: str = "f1", *, records: int = 0, **changes: Any) -> Submission:
    """A listing that came to its end."""
    submission, batch, _ = scene.submit(**ASKED | changes)
    scene.ledger.watermarks.since(submission, fingerprint)
    listing = scene.ledger.submissions.lease_listing(submission.id, scene.runner)
    assert listing is not None
    if records:
        scene.take(*(record(f"d{n}") for n in range(records)), batch=batch.id, listing=listing)
    scene.ledger.submissions.listed(listing)
    return submission


def since(scene: Scene, fingerprint: str = "f1", **changes: Any) -> int:
    submission, _, _ = scene.submit(**ASKED | changes)
    return scene.ledger.watermarks.since(submission, fingerprint)


def test_the_first_listing_asks_for_everything_and_the_next_for_what_changed(scene: Scene) -> None:
    assert since(scene) == 0
    first = listed(scene)
    begun = since(scene)
    assert begun > 0
    again = listed(scene)
    assert since(scene) >= begun
    assert scene.ledger.watermarks.complete(first.id)
    assert not scene.ledger.watermarks.complete(again.id)


def test_only_the_same_question_for_the_same_pipeline_counts(scene: Scene) -> None:
    listed(scene)
    assert since(scene, request='{"query":"y"}') == 0
    assert since(scene, source="openalex") == 0
    assert since(scene, tenant="other") == 0
    assert since(scene, pipeline="q") == 0
    assert since(scene, fingerprint="f2") == 0


def test_a_listing_that_was_stopped_is_none(scene: Scene) -> None:
    submission, _, _ = scene.submit(**ASKED)
    scene.ledger.watermarks.since(submission, "f1")
    scene.ledger.submissions.lease_listing(submission.id, scene.runner)
    assert since(scene) == 0


def test_a_listing_that_came_up_short_is_none(scene: Scene) -> None:
    scene.ledger.watermarks.came_up_short(listed(scene).id)
    assert since(scene) == 0
    listed(scene, full=True)
    whole = since(scene)
    scene.ledger.watermarks.came_up_short(listed(scene).id)
    assert since(scene) == whole > 0


def test_a_listing_keeps_to_its_question_whatever_ends_meanwhile(scene: Scene) -> None:
    submission, _, _ = scene.submit(**ASKED)
    assert scene.ledger.watermarks.since(submission, "f1") == 0
    listed(scene)
    assert scene.ledger.watermarks.since(submission, "f1") == 0


def test_everything_can_be_asked_for_and_is_the_next_watermark(scene: Scene) -> None:
    listed(scene)
    full = listed(scene, full=True)
    assert scene.ledger.watermarks.complete(full.id)
    assert since(scene) > 0


def test_a_listing_that_came_to_its_limit_is_not_known_to_be_complete(scene: Scene) -> None:
    limited = {"request": '{"limit":3,"query":"x"}'}
    assert scene.ledger.watermarks.complete(listed(scene, records=2, full=True, **limited).id)
    assert not scene.ledger.watermarks.complete(listed(scene, records=3, full=True, **limited).id)
    assert scene.ledger.watermarks.complete(listed(scene, records=3, full=True).id)
    assert scene.ledger.watermarks.complete(scene.submit(source="files")[0].id)


def test_a_stopped_listing_of_changes_is_not_gone_on_with_when_everything_is_wanted(scene: Scene) -> None:
    listed(scene)
    submission, _, _ = scene.submit(**ASKED)
    assert not scene.ledger.watermarks.changes_only(submission.id)
    scene.ledger.watermarks.since(submission, "f1")
    assert scene.ledger.watermarks.changes_only(submission.id)
