"""Poison is cut out of a batch, whatever it looks like; an outage is told from it and dead-letters nobody."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

import corpus
import oracle
from house import House, pipeline

POISON = "hemlock"
DOCUMENTS = 128
ONE_GROUP = {"PENSTOCK_GROUP_SIZE": str(DOCUMENTS)}
BREAKER = """\
policies:
  default: {max_attempts: 1, backoff_strategy: none, timeout_seconds: 60}
  touchy:
    max_attempts: 1
    backoff_strategy: none
    timeout_seconds: 60
    circuit_breaker: {failure_threshold: 5, reset_timeout_seconds: 60}
"""


def poisoned(folder: Path, count: int) -> Path:
    """DOCUMENTS notes, `count` of them poison, wherever chance puts them."""
    return corpus.notes(folder, DOCUMENTS, marked=dict.fromkeys(Random(count).sample(range(DOCUMENTS), count), POISON))


@pytest.mark.parametrize("mood", ["poison", "unavailable"])
@pytest.mark.parametrize("count", [0, 1, 3, 16])
def test_poison_is_dead_lettered_alone_in_few_calls(house: House, count: int, mood: str) -> None:
    house.mood.write_text(mood)
    ran = house.run(poisoned(house.folder / "documents", count), **ONE_GROUP)
    assert ran.status == (3 if count else 0), ran.err
    expected = {"done": DOCUMENTS - count} | ({"dead": count} if count else {})
    assert ran.report["statuses"] == expected
    assert len(house.calls("embed")) <= oracle.most_calls(DOCUMENTS, count)
    assert oracle.problems(house.home) == []
    assert all(POISON not in line for line in ran.err.splitlines())


def test_nobody_but_poison_is_dead_lettered_when_poison_opens_the_circuit(house: House) -> None:
    house.configure(pipeline(policy="touchy"), BREAKER)
    house.mood.write_text("unavailable")
    documents = poisoned(house.folder / "documents", 16)
    statuses: dict[str, int] = {}
    for _ in range(20):
        ran = house.run(documents, **ONE_GROUP)
        statuses = ran.report["statuses"]
        assert statuses.get("dead", 0) <= 16
        if ran.status == 3:
            break
    assert statuses == {"done": DOCUMENTS - 16, "dead": 16}
    assert oracle.problems(house.home) == []


def test_poison_that_was_mended_comes_through_on_retry(house: House, tmp_path: Path) -> None:
    documents = poisoned(tmp_path / "documents", 3)
    house.mood.write_text("poison")
    assert house.run(documents).status == 3
    house.mood.unlink()
    assert house.run(documents).status == 3, "dead letters stay dead in a plain rerun"
    house.forget()
    assert house.penstock("retry").status == 0
    assert house.worked().keys() == {(stage, doc) for stage, doc in house.worked() if stage not in ("parse", "chunk")}
    assert {stage for stage, _ in house.worked()} == {"embed", "index", "extract", "kg"}
    assert len(house.worked()) == 3 * 4
    assert oracle.problems(house.home) == []


def test_an_outage_fails_the_run_in_one_line_and_dead_letters_nobody(house: House, tmp_path: Path) -> None:
    documents = corpus.notes(tmp_path / "documents", 100)
    house.mood.write_text("outage")
    ran = house.penstock("run", "counted", str(documents))
    assert ran.status == 1
    said = [line for line in (ran.out + ran.err).splitlines() if "embed: the embedding service answers 503" in line]
    assert len(said) == 1
    assert len(house.calls("embed")) == 6, "the whole, both halves, one from each end and from the middle"
    statuses = house.run(documents).report["statuses"]
    assert statuses == {"failed": 36, "pending": 64}, "who had not been tried went first, the rest is as it was"
    assert oracle.problems(house.home, pending=64) == []


def test_after_an_outage_a_retry_completes_what_it_left(house: House, tmp_path: Path) -> None:
    documents = corpus.notes(tmp_path / "documents", 100)
    house.mood.write_text("outage")
    assert house.run(documents).status == 1
    house.mood.unlink()
    house.forget()
    assert house.penstock("retry").status == 0
    assert oracle.problems(house.home) == []
    assert not {"parse", "chunk"} & {stage for stage, _ in house.worked()}
    rerun = house.run(documents)
    assert rerun.report["nothing_to_do"]
    assert rerun.report["statuses"] == {"done": 100}


def test_a_rerun_after_an_outage_completes_it_too(house: House, tmp_path: Path) -> None:
    documents = corpus.notes(tmp_path / "documents", 100)
    house.mood.write_text("outage")
    assert house.run(documents).status == 1
    house.mood.unlink()
    ran = house.run(documents)
    assert (ran.status, ran.report["statuses"]) == (0, {"done": 100})
    assert oracle.problems(house.home) == []


def test_a_pipeline_that_forbids_dead_letters_fails_on_one(house: House, tmp_path: Path) -> None:
    house.configure(pipeline(dead_letters="fail"))
    house.mood.write_text("poison")
    ran = house.run(corpus.notes(tmp_path / "documents", 10, marked={3: POISON}))
    assert ran.status == 1
    assert "on_dead_letter" in ran.report["error"]
    assert ran.report["statuses"] == {"pending": 9, "dead": 1}
    assert oracle.problems(house.home, pending=9) == []
