"""A process killed at any moment: run again, and all is as if nothing had happened, next to nothing redone."""

from __future__ import annotations

import shutil
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import select

import corpus
import oracle
from house import STAGES, House, Warm
from penstock.ledger import schema
from penstock.ledger.database import Database

DOCUMENTS, GROUP = 40, 16
"""Two groups and a rest, so that kills fall before, between and after."""
IN_GROUPS = {"PENSTOCK_GROUP_SIZE": str(GROUP)}
MANY = 300
KILLED = -signal.SIGKILL


class Undisturbed:
    """What a run that nobody disturbs leads to, and by which failpoints and in what time."""

    def __init__(self, house: House, documents: Path) -> None:
        self.house, self.documents = house, documents
        ran = house.run(documents, **IN_GROUPS)
        assert ran.status == 0, ran.err
        self.seconds = ran.seconds
        assert oracle.problems(house.home) == []
        assert house.redone() == {}
        self.facts = oracle.facts(house.home)
        self.commits = [point for point in house.passed() if not point.startswith("enter")]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, site: Path, warm: Warm) -> Undisturbed:
    folder = tmp_path_factory.mktemp("small")
    return Undisturbed(House(folder, site, warm), corpus.mixed(folder / "documents", DOCUMENTS))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory, site: Path, warm: Warm) -> Undisturbed:
    folder = tmp_path_factory.mktemp("large")
    return Undisturbed(House(folder, site, warm), corpus.mixed(folder / "documents", MANY))


def kill_at(house: House, calm: Undisturbed, point: str) -> None:
    """Kill a first run at a failpoint; the second completes, as if undisturbed, with at most one group redone."""
    assert house.run(calm.documents, FAILPOINT=point, **IN_GROUPS).status == KILLED, point
    assert house.passed()[-1] == point
    again = house.run(calm.documents, **IN_GROUPS)
    assert again.status == 0, again.err
    expect_no_trace(house, calm, kills=1, where=point)


def expect_no_trace(house: House, calm: Undisturbed, *, kills: int, where: str) -> None:
    assert oracle.problems(house.home) == [], where
    assert oracle.facts(house.home) == calm.facts, where
    assert house.redone().total() <= kills * GROUP, f"{where}: {house.redone()}"
    assert len(house.worked()) == len(calm.house.worked()), where


def stage_at_hand(home: Path) -> str:
    """The stage a killed process was at: where the ledger has somebody at work, else what it last heard of."""
    try:
        database = Database(f"sqlite:///{home / 'ledger.db'}")
        with database.read() as connection:
            running = select(schema.stage_states.c.stage).where(schema.stage_states.c.status == "running")
            last = select(schema.outbox.c.stage).order_by(schema.outbox.c.id.desc())
            found = connection.execute(running.limit(1)).scalar() or connection.execute(last.limit(1)).scalar()
        database.close()
    except Exception:  # killed before the ledger had its tables
        found = None
    return str(found or "start")


@pytest.mark.full
def test_a_run_killed_around_a_write_to_a_store_is_picked_up_without_a_trace(
    new_house: Callable[[str], House], small: Undisturbed
) -> None:
    places = ("Intake.take", "FileArtifacts.put", "SqliteSearchIndex.replace", "SqlGraph.replace")
    points = [f"{moment} {place} #1" for place in places for moment in ("before", "after")]
    for number, point in enumerate(points):
        kill_at(new_house(str(number)), small, point)


@pytest.mark.parametrize("stage", STAGES)
def test_a_run_killed_around_the_commit_of_a_stages_group_is_picked_up_without_a_trace(
    new_house: Callable[[str], House], small: Undisturbed, stage: str
) -> None:
    groups = -(-DOCUMENTS // GROUP)
    second = STAGES.index(stage) * groups + 2
    for moment in ("before", "after"):
        kill_at(new_house(moment), small, f"{moment} Work.commit #{second}")


@pytest.mark.full
def test_a_run_killed_at_any_commit_is_picked_up_without_a_trace(
    new_house: Callable[[str], House], small: Undisturbed
) -> None:
    assert len(small.commits) > 100
    for number, point in enumerate(small.commits):
        house = new_house(str(number))
        kill_at(house, small, point)
        shutil.rmtree(house.folder)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_run_killed_at_several_random_moments_is_picked_up_each_time(
    house: House, large: Undisturbed, seed: int
) -> None:
    kills = kill_at_random(house, large, Random(seed), times=4)
    assert sum(kills.values()) >= 2, "the machine was too fast for this test: kill earlier"


@pytest.mark.full
def test_a_run_killed_at_thirty_random_moments_is_picked_up_each_time(
    new_house: Callable[[str], House], large: Undisturbed, record_testsuite_property: Callable[..., None]
) -> None:
    fell: Counter[str] = Counter()
    for seed in range(30):
        house = new_house(str(seed))
        fell += kill_at_random(house, large, Random(seed), times=1)
        shutil.rmtree(house.folder)
    record_testsuite_property("kills", dict(fell))
    print(f"kills fell at: {dict(fell)}")
    assert fell.total() >= 25
    assert len(fell) >= 4, f"all kills fell in the same few places: {fell}"


def kill_at_random(house: House, calm: Undisturbed, random: Random, *, times: int) -> Counter[str]:
    """Kill so many runs, each within what an undisturbed one takes, then let one complete. Where the kills fell."""
    fell: Counter[str] = Counter()
    for _ in range(times):
        moment = random.uniform(0.05, 0.95) * calm.seconds / times
        killed = house.run(calm.documents, seconds=moment, **IN_GROUPS)
        if killed.status == 0:
            break
        assert killed.status == KILLED, killed.err
        fell[stage_at_hand(house.home)] += 1
    last = house.run(calm.documents, **IN_GROUPS)
    assert last.status == 0, last.err
    expect_no_trace(house, calm, kills=fell.total(), where=f"killed at {dict(fell)}")
    return fell
