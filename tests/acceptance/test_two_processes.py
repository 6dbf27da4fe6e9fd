"""Several processes on one ledger: each document is worked on once, and who was away for too long changes nothing."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

import corpus
import oracle
from house import STAGES, Child, House, until

SMALL_GROUPS = {"PENSTOCK_GROUP_SIZE": "8"}
SHORT_LEASE = {"PENSTOCK_LEASE_SECONDS": "1"}


def test_two_processes_over_one_folder_do_each_document_once(
    house: House, new_house: Callable[[str], House], tmp_path: Path
) -> None:
    documents = corpus.mixed(tmp_path / "documents", 60)
    children = [house.start("run", "counted", str(documents), "--json", **SMALL_GROUPS) for _ in range(2)]
    reports = []
    for child in children:
        ran = child.result()
        assert ran.status == 0, ran.err
        reports.append(ran.report)
    assert house.redone() == {}
    assert len(house.worked()) == 60 * len(STAGES)
    for number in range(1, 1 + len(STAGES)):
        assert sum(report["stages"][number]["done"] for report in reports) == 60
    calm = new_house("calm")
    assert calm.run(documents).status == 0
    assert oracle.facts(house.home) == oracle.facts(calm.home)
    assert oracle.problems(house.home) == []


@pytest.mark.parametrize(
    "point",
    ["enter SqliteSearchIndex.replace #1", "enter SqlGraph.replace #1", "after SqliteSearchIndex.replace #1"],
)
def test_a_process_that_slept_past_its_lease_in_a_sink_does_not_undo_what_is_newer(
    house: House, new_house: Callable[[str], House], tmp_path: Path, point: str
) -> None:
    documents = corpus.notes(tmp_path / "documents", 5)
    sleeper = asleep(house, documents, point)
    newer = corpus.note(documents, 2)
    newer.write_text(newer.read_text() + "\nA newer sentence, which must stay.\n")
    assert house.run(documents, **SHORT_LEASE).status == 0
    assert oracle.problems(house.home) == []
    before = oracle.facts(house.home)

    sleeper.process.send_signal(signal.SIGCONT)
    woken = sleeper.result()

    assert oracle.facts(house.home) == before
    assert oracle.problems(house.home) == []
    assert woken.status == 0, woken.err
    assert "Traceback" not in woken.err
    assert "taken over" in woken.out
    calm = new_house("calm")
    assert calm.run(documents).status == 0
    assert searchable(house) == searchable(calm)


def test_a_process_that_sleeps_inside_a_write_holds_the_others_up_and_then_loses(house: House, tmp_path: Path) -> None:
    documents = corpus.notes(tmp_path / "documents", 5)
    sleeper = asleep(house, documents, "before SqliteSearchIndex.replace #1")
    newer = corpus.note(documents, 2)
    newer.write_text(newer.read_text() + "\nA newer sentence, which must stay.\n")
    other = house.start("run", "counted", str(documents), **SHORT_LEASE)
    until(lambda: len(house.calls("index")) == 2, "the other one comes to the index, too")
    sleeper.process.send_signal(signal.SIGCONT)
    assert other.result().status == 0
    assert sleeper.result().status == 0
    assert oracle.problems(house.home) == []
    assert house.run(documents).report["nothing_to_do"]


def asleep(house: House, documents: Path, point: str) -> Child:
    """A run that has stopped itself there, its lease over."""
    child = house.start("run", "counted", str(documents), FAILPOINT=point, FAILSIGNAL="SIGSTOP", **SHORT_LEASE)
    child.until_stopped()
    return child


def searchable(house: House) -> list[str]:
    """What index and graph hold, by their digests."""
    return [fact for fact in oracle.facts(house.home) if fact.startswith(('["index"', '["graph"'))]
