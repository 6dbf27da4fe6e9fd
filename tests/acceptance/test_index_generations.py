"""An index built anew with another model: killed at any moment the old one answers, and the end is as if fresh."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

import corpus
import oracle
from embed_server import embed_server
from house import House
from penstock.stores.search_generations import Generations
from penstock.stores.search_index import SqliteSearchIndex

PIPELINE = """\
version: "1.0"
name: counted
applicable_sources: [files]
stages:
  - {name: ingest, type: IngestStage}
  - {name: parse, type: ParseStage, use: witness, depends_on: [ingest]}
  - {name: chunk, type: ChunkStage, use: witness, depends_on: [parse], with: {size: 200}}
  - {name: embed, type: EmbedStage, depends_on: [chunk]}
  - {name: index, type: IndexStage, depends_on: [embed]}
"""
DOCUMENTS, GROUP = 40, 16
KILLED = -signal.SIGKILL
OLD, NEW = "first", "second-model"
POINTS = [
    f"{moment} {place}"
    for place in ("Intake.rebase #1", "SqliteSearchIndex.replace #1", "SqliteSearchIndex.replace #3", "Work.commit #2")
    for moment in ("before", "after")
]
SHORT = {"before SqliteSearchIndex.replace #3", "after Work.commit #2"}
"""These in `make test`."""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with embed_server() as url:
        yield url


@pytest.fixture
def settings(endpoint: str) -> Callable[[str], dict[str, str]]:
    def settings(model: str) -> dict[str, str]:
        return {
            "PENSTOCK_EMBED_URL": endpoint,
            "PENSTOCK_EMBED_MODEL": model,
            "PENSTOCK_GROUP_SIZE": str(GROUP),
        }

    return settings


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    return corpus.mixed(tmp_path / "documents", DOCUMENTS)


Settings = Callable[[str], dict[str, str]]


def index_of(house: House) -> SqliteSearchIndex:
    return SqliteSearchIndex(house.home / "index.db")


def built(house: House, documents: Path, settings: dict[str, str]) -> str:
    """Run over the documents; the index's digest."""
    house.configure(PIPELINE)
    ran = house.run(documents, **settings)
    assert ran.status == 0, ran.err
    return index_of(house).digest()


def hits(house: House, settings: dict[str, str]) -> list[str]:
    found = house.quick("search", "study of patients", "--k", "20", "--json", **settings).report
    assert found["legs"] == ["bm25", "dense"], found["note"]
    return [hit["chunk_id"] for hit in found["hits"]]


def expect_untouched(house: House, settings: Settings, digest: str, found: list[str]) -> None:
    index = index_of(house)
    if Generations(house.home / "index.db").current == house.home / "index.db":
        assert index.digest() == digest
        assert hits(house, settings(OLD)) == found
    assert index.problems() == []


@pytest.mark.parametrize(
    "point", [point if point in SHORT else pytest.param(point, marks=pytest.mark.full) for point in POINTS]
)
def test_killed_around_each_write_the_old_one_answers_and_the_next_goes_on(
    house: House, new_house: Callable[[str], House], documents: Path, settings: Settings, point: str
) -> None:
    fresh = built(new_house("fresh"), documents, settings(NEW))
    digest = built(house, documents, settings(OLD))
    found = hits(house, settings(OLD))
    parsed = house.worked()
    ran = house.quick("index", "rebuild", FAILPOINT=point, **settings(NEW))
    assert ran.status == KILLED, ran.err
    expect_untouched(house, settings, digest, found)
    again = house.quick("index", "rebuild", **settings(NEW))
    assert again.status == 0, again.out + again.err
    assert index_of(house).digest() == fresh
    assert index_of(house).problems() == []
    assert oracle.problems(house.home) == []
    assert house.worked() == parsed, "parsed and chunked again"
    assert sorted(path.name for path in house.home.glob("index*.db")) == ["index.2.db"]


@pytest.mark.full
@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_random_moments_it_goes_on_each_time(
    house: House, new_house: Callable[[str], House], documents: Path, settings: Settings, seed: int
) -> None:
    fresh = new_house("fresh")
    expected = built(fresh, documents, settings(NEW))
    digest = built(house, documents, settings(OLD))
    found = hits(house, settings(OLD))
    timed = fresh.quick("index", "rebuild", **settings(OLD))
    assert timed.status == 0, timed.err
    random = Random(seed)
    kills = 0
    for _ in range(4):
        ran = house.quick("index", "rebuild", seconds=random.uniform(0.1, 0.6) * timed.seconds, **settings(NEW))
        assert ran.status in (KILLED, 0), ran.out + ran.err
        kills += ran.status == KILLED
        expect_untouched(house, settings, digest, found)
    assert kills
    last = house.quick("index", "rebuild", **settings(NEW))
    assert last.status == 0, last.out + last.err
    assert index_of(house).digest() == expected
    assert oracle.problems(house.home) == []
