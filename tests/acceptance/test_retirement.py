"""What is gone from its source leaves index and graph when it is asked for, wholly, and comes back by itself."""

from __future__ import annotations

import signal
from contextlib import closing
from pathlib import Path

import pytest

import corpus
import oracle
from house import House
from penstock.ledger.database import Database
from penstock.ledger.graph import SqlGraph
from penstock.stores.search_index import SqliteSearchIndex

COUNT, GONE = 30, 3
POINTS = [
    f"{moment} {place} #1"
    for place in ("Retirement.mark", "SqliteSearchIndex.retire", "SqlGraph.replace", "Retirement.left")
    for moment in ("before", "after")
]
SHORT = {"before Retirement.mark #1", "after SqliteSearchIndex.retire #1", "before Retirement.left #1"}
"""These in `make test`."""


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    return corpus.mixed(tmp_path / "documents", COUNT)


def take_away(documents: Path, aside: Path) -> None:
    aside.mkdir()
    for path in sorted(path for path in documents.rglob("*") if path.is_file())[:GONE]:
        path.rename(aside / path.name)


def searchable(house: House) -> set[str]:
    with closing(SqliteSearchIndex(house.home / "index.db")) as index:
        return {chunk.doc_id for chunk in index.select("default")}


def in_graph(house: House) -> int:
    """How many documents the graph has anything of."""
    with closing(Database(f"sqlite:///{house.home / 'ledger.db'}")) as database:
        graph = SqlGraph(database)
        return sum(bool((said := graph.standing("default", doc)) and said.entities) for doc in known(house))


def known(house: House) -> list[str]:
    listed = house.penstock("jobs", "--json", "--limit", "1000").report["jobs"]
    return [job["doc_id"] for job in listed]


def retire(house: House, documents: Path, *more: str, **environment: str) -> int:
    return house.penstock("run", "counted", str(documents), "--json", "--retire", *more, **environment).status


def test_what_is_gone_leaves_when_it_is_asked_for_and_comes_back(house: House, documents: Path, tmp_path: Path) -> None:
    assert house.run(documents).status == 0
    before = oracle.facts(house.home)
    take_away(documents, tmp_path / "aside")
    assert house.run(documents).status == 0
    assert len(searchable(house)) == COUNT, "not unless asked"
    assert retire(house, documents) == 0
    assert (len(searchable(house)), in_graph(house)) == (COUNT - GONE, COUNT - GONE)
    assert house.penstock("jobs", "--status", "retired", "--json").report["total"] == GONE
    for path in (tmp_path / "aside").iterdir():
        path.rename(documents / path.name)
    house.forget()
    assert house.run(documents).status == 0
    assert {stage for stage, _ in house.worked()} == {"index", "kg"}, "everything else is there still"
    assert oracle.problems(house.home) == []
    assert oracle.facts(house.home) == before


def test_more_than_a_tenth_is_refused_until_it_is_confirmed(house: House, documents: Path, tmp_path: Path) -> None:
    assert house.run(documents).status == 0
    take_away(documents, tmp_path / "aside")
    next(path for path in documents.rglob("*") if path.is_file()).unlink()
    refused = house.penstock("run", "counted", str(documents), "--retire")
    assert refused.status == 1
    assert f"{GONE + 1} of {COUNT} documents are no longer listed" in " ".join(refused.out.split())
    assert len(searchable(house)) == COUNT
    assert retire(house, documents, "--yes") == 0
    assert len(searchable(house)) == COUNT - GONE - 1


def test_nothing_is_retired_while_something_could_not_be_read(house: House, documents: Path, tmp_path: Path) -> None:
    """A file that is cut off may have held what seems gone."""
    assert house.run(documents).status == 0
    take_away(documents, tmp_path / "aside")
    torn = documents / "torn.jsonl"
    torn.write_text('{"a": ')
    ran = house.penstock("run", "counted", str(documents), "--json", "--retire", "--yes")
    assert ran.status == 3
    assert any(note.startswith("nothing is retired: 1 of what was listed") for note in ran.report["notes"])
    assert len(searchable(house)) == COUNT
    torn.unlink()
    assert retire(house, documents) == 0
    assert len(searchable(house)) == COUNT - GONE


@pytest.mark.parametrize(
    "point", [point if point in SHORT else pytest.param(point, marks=pytest.mark.full) for point in POINTS]
)
def test_a_retirement_killed_at_any_commit_is_brought_to_its_end(
    house: House, documents: Path, tmp_path: Path, point: str
) -> None:
    assert house.run(documents).status == 0
    take_away(documents, tmp_path / "aside")
    assert retire(house, documents, FAILPOINT=point) == -signal.SIGKILL
    begun = not point.startswith("before Retirement.mark")
    assert (house.run(documents).status if begun else retire(house, documents)) == 0
    assert (len(searchable(house)), in_graph(house)) == (COUNT - GONE, COUNT - GONE)
    assert oracle.problems(house.home) == []
