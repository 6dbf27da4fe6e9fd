"""What failed at a gate is told once."""

from __future__ import annotations

import pytest

from gate_scene import GATE, age, at_gate
from ledger_scene import Scene
from penstock.ledger import told
from penstock.ledger.schema import jobs
from penstock.ledger.told import Telling, Told

HERE = [("p", GATE)]


def fail(scene: Scene, count: int) -> None:
    at_gate(scene, count, timeout_seconds=1)
    age(scene, 60, "waiting_until")
    assert scene.ledger.gates.expire() == count


def names(scene: Scene) -> list[str]:
    """What a person is told now, and has heard then."""
    found = list(scene.ledger.tellings.untold("default", "p", [GATE]))
    assert not found or scene.ledger.tellings.remember(found[-1][1])
    return [lost.source_id for some, _ in found for lost in some]


def last(scene: Scene) -> Telling:
    """What a person who is told now is to remember."""
    return list(scene.ledger.tellings.untold("default", "p", [GATE]))[-1][1]


def test_people_are_told_once_of_what_failed_after_their_first_run(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(told, "AT_ONCE", 2)
    assert names(scene) == []
    scene.ledger.tellings.begin("default", "p")
    scene.ledger.tellings.begin("other", "p")
    fail(scene, 5)
    scene.ledger.tellings.begin("default", "p")
    assert len(names(scene)) == 5
    assert names(scene) == []
    assert [lost for some, _ in scene.ledger.tellings.untold("other", "p", [GATE]) for lost in some] == []


def test_what_is_not_remembered_is_told_again(scene: Scene) -> None:
    scene.ledger.tellings.begin("default", "p")
    fail(scene, 1)
    assert len(list(scene.ledger.tellings.untold("default", "p", [GATE]))) == 1
    assert len(names(scene)) == 1


def test_of_two_that_look_at_the_same_time_one_tells(scene: Scene) -> None:
    scene.ledger.tellings.begin("default", "p")
    fail(scene, 1)
    older = last(scene)
    fail(scene, 2)
    assert scene.ledger.tellings.remember(last(scene))
    assert not scene.ledger.tellings.remember(older), "nor is anything set back"
    assert names(scene) == []


def test_what_could_not_be_told_is_told_the_next_time(scene: Scene) -> None:
    scene.ledger.tellings.begin("default", "p")
    fail(scene, 1)
    telling = last(scene)
    scene.ledger.tellings.remember(telling)
    scene.ledger.tellings.forget(telling)
    assert len(names(scene)) == 1


def test_what_others_have_told_since_is_not_forgotten(scene: Scene) -> None:
    scene.ledger.tellings.begin("default", "p")
    fail(scene, 1)
    telling = last(scene)
    scene.ledger.tellings.remember(telling)
    fail(scene, 2)
    assert len(names(scene)) == 2
    scene.ledger.tellings.forget(telling)
    assert names(scene) == []


def test_another_round_is_another_failure(scene: Scene) -> None:
    scene.ledger.tellings.begin("default", "p")
    fail(scene, 1)
    names(scene)
    [(again, _)] = scene.ledger.batches.retry(tenant="default", queued=False)
    scene.ledger.gates.sort(again.id, GATE, ["ingest"], "pdf_ir_ready", True, 1)
    age(scene, 60, "waiting_until")
    scene.ledger.gates.expire()
    assert len(names(scene)) == 1


def test_what_is_committed_late_is_told_and_what_is_long_past_is_not_kept(scene: Scene) -> None:
    fail(scene, 2)
    found, heard = scene.ledger.tellings.since_then(HERE, Told())
    assert heard.rounds == {lost.key for lost in found} == {"1:1", "2:1"}
    assert Told.of(heard.cursor) == heard
    assert scene.ledger.tellings.since_then(HERE, Told(heard.since, frozenset({"1:1"})))[0] == found[1:]
    with scene.ledger.database.write() as connection:
        connection.execute(jobs.update().values(updated_at=jobs.c.updated_at - 2 * told.LATE_MS))
    assert scene.ledger.tellings.since_then(HERE, heard)[1].rounds == frozenset()
