"""How fast a service may be called, kept by all processes of a ledger together."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import update

from ledger_scene import Scene, at_once
from penstock.errors import StoreBusy
from penstock.ledger.database import Database
from penstock.ledger.ledger import Ledger
from penstock.ledger.schema import rates
from penstock.resilience.limits import SharedLimits


def forward(scene: Scene, seconds: float) -> None:
    """As if that much time had passed."""
    moved = {"next_us": rates.c.next_us - int(seconds * 1e6), "paused_until": rates.c.paused_until - int(seconds * 1e3)}
    with scene.ledger.database.write() as connection:
        connection.execute(update(rates).values(**moved))


def test_turns_are_evenly_spaced_and_none_is_saved_up(scene: Scene) -> None:
    waits = [scene.ledger.rates.take("a", 0.1)[0] for _ in range(3)]
    assert waits == pytest.approx([0, 10, 20], abs=2)
    assert scene.ledger.rates.take("b", 0.1)[0] == 0
    forward(scene, 3600)
    waits = [scene.ledger.rates.take("a", 0.1)[0] for _ in range(2)]
    assert waits == pytest.approx([0, 10], abs=2)


@pytest.mark.parametrize("rate", [0.3, 3.0, 10_000.0])
def test_a_rate_that_is_no_whole_number_of_milliseconds_is_not_exceeded(scene: Scene, rate: float) -> None:
    scene.ledger.rates.take("a", 0.001)  # the next turns lie ahead, so that the clock has no part in them
    ahead = []
    for _ in range(3):
        ahead.append(scene.rows(rates)[0].next_us)
        scene.ledger.rates.take("a", rate)
    assert ahead[2] - ahead[0] == pytest.approx(2e6 / rate, abs=2)
    assert ahead[2] - ahead[0] >= 2e6 / rate


def test_a_pause_is_never_shortened_and_ends(scene: Scene) -> None:
    scene.ledger.rates.pause("api.example.org", 100)
    scene.ledger.rates.pause("api.example.org", 10)
    scene.ledger.rates.pause("other.example.org", 10)
    _, pauses = scene.ledger.rates.take("polite@api.example.org", 5)
    assert pauses == pytest.approx({"api.example.org": 100, "other.example.org": 10}, abs=5)
    forward(scene, 50)
    assert scene.ledger.rates.take("polite@api.example.org", 5)[1].keys() == {"api.example.org"}


def test_four_processes_at_five_a_second_stay_below_it_and_none_is_starved(database: Database) -> None:
    def calls(ledger: Ledger, number: int) -> list[float]:
        made: list[float] = []
        until = time.time() + 10.5
        while time.time() < until:
            time.sleep(ledger.rates.take("polite@api.example.org", 5.0)[0])
            made.append(time.time())
        return made

    by_process = at_once(database, calls)
    made = sorted(moment for calls in by_process for moment in calls)
    busiest = max(sum(begin <= moment < begin + 10 for moment in made) for begin in made)
    assert busiest <= 55
    assert len(made) >= 45
    assert min(len(calls) for calls in by_process) >= 5


def test_limits_of_two_processes_share_turns_and_pauses(database: Database) -> None:
    ours, theirs = (SharedLimits(lambda: Ledger(database).rates) for _ in range(2))
    ours.pause("host", 100)
    assert ours.paused("host") > 90
    assert theirs.paused("host") == 0
    ours.acquire("key", 1000.0).result(30)
    theirs.acquire("key", 1000.0).result(30)
    assert theirs.paused("host") == pytest.approx(100, abs=5)
    ours.close()
    theirs.close()


def test_a_pause_that_could_not_be_written_fails_the_next_turn() -> None:
    class Away:
        def take(self, key: str, rate: float) -> tuple[float, dict[str, float]]:
            return 0.0, {}

        def pause(self, key: str, seconds: float) -> None:
            raise StoreBusy("away")

    limits = SharedLimits(Away)
    limits.pause("host", 1)
    with pytest.raises(StoreBusy):
        limits.acquire("key", 1.0).result(30)
    limits.acquire("key", 1.0).result(30)
    limits.close()
