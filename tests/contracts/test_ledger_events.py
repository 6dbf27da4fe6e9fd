"""The outbox: what happened is told once, and what nobody will publish any more goes by age."""

from __future__ import annotations

from sqlalchemy import update

from ledger_scene import Scene, record
from penstock.ledger.outbox import KEEP_DAYS, age_out
from penstock.ledger.schema import outbox

DAY = 86_400_000


def age(scene: Scene, days: float, up_to: int) -> None:
    """Make the events up to an id older."""
    with scene.ledger.database.write() as connection:
        older = update(outbox).where(outbox.c.id <= up_to).values(at=outbox.c.at - int(days * DAY))
        connection.execute(older)


def test_old_events_go_when_somebody_reaps_and_young_ones_stay(scene: Scene) -> None:
    scene.documents(10)
    age(scene, KEEP_DAYS + 1, up_to=12)
    scene.ledger.leases.reap()
    assert [e.id for e in scene.rows(outbox)] == list(range(13, 21))
    scene.ledger.leases.reap()
    assert len(scene.rows(outbox)) == 8


def test_events_younger_than_a_week_stay(scene: Scene) -> None:
    scene.documents(10)
    age(scene, KEEP_DAYS - 1, up_to=20)
    assert age_out(scene.ledger.database) == 0
    assert len(scene.rows(outbox)) == 20


def test_only_so_many_go_at_a_time(scene: Scene) -> None:
    scene.documents(10)
    age(scene, KEEP_DAYS + 1, up_to=15)
    assert [age_out(scene.ledger.database, at_once=6) for _ in range(4)] == [6, 6, 3, 0]


def test_the_newest_event_stays_so_that_no_number_is_given_twice(scene: Scene) -> None:
    scene.documents(10)
    age(scene, KEEP_DAYS + 1, up_to=20)
    assert age_out(scene.ledger.database) == 19
    scene.take(record("later"))
    assert [e.id for e in scene.rows(outbox)] == [20, 21, 22]


def test_an_empty_outbox_has_nothing_to_lose(scene: Scene) -> None:
    assert age_out(scene.ledger.database) == 0
