"""Documents that are done, but in a store that is no more, come to the next run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ledger_scene import INDEX, PARSE, Scene, record
from penstock.errors import BadInput
from penstock.ledger.schema import batch_jobs, stores

ASKED = {"tenant": "default", "pipeline": "p", "stage": INDEX.name}


def joined(scene: Scene, uuid: str) -> tuple[int, int]:
    batch = scene.batch()
    count = scene.ledger.stores.join_lost(batch, **ASKED, uuid=uuid)
    return count, len(scene.rows(batch_jobs, batch_jobs.c.batch_id == batch))


def test_documents_written_to_a_store_that_was_replaced_join_the_batch_until_all_are_written_again(
    scene: Scene,
) -> None:
    old, new = INDEX.store, "another"
    assert old is not None
    first = scene.documents(600)
    assert joined(scene, old) == (0, 0)
    scene.finish(first)
    assert joined(scene, old) == (0, 0)
    assert joined(scene, new) == (600, 600)
    assert joined(scene, new) == (600, 600), "still, if that run came to nothing"
    again = scene.batch()
    scene.ledger.stores.join_lost(again, **ASKED, uuid=new)
    key = replace(INDEX, store=new)
    while claims := scene.claim(key, again):
        scene.commit(key, claims)
    assert joined(scene, new) == (0, 0)
    assert [s.uuid for s in scene.rows(stores)] == [new], "the older one is of the past"


@pytest.mark.parametrize("other", [{"tenant": "other"}, {"pipeline": "q"}])
def test_the_documents_of_another_tenant_or_pipeline_stay_where_they_are(scene: Scene, other: dict[str, str]) -> None:
    scene.finish(scene.documents(2, **other))
    assert INDEX.store is not None
    joined(scene, INDEX.store)
    assert joined(scene, "another") == (0, 0)


def test_a_store_that_no_stage_writes_to_any_more_is_named(scene: Scene) -> None:
    assert INDEX.store is not None
    joined(scene, INDEX.store)
    forsaken = scene.ledger.stores.forsaken
    asked = {"tenant": "default", "pipeline": "p"}
    assert forsaken(**asked, written={INDEX.name: INDEX.store}) == []
    assert forsaken(**asked, written={"renamed": INDEX.store}) == []
    assert forsaken(**asked, written={"kg": "graph"}) == [INDEX.name]
    assert forsaken(**asked, written={}) == [INDEX.name]


def test_an_older_generation_comes_back_where_the_newest_failed_on_its_way(scene: Scene) -> None:
    """It was searchable until the old store was lost."""
    scene.finish(scene.documents(2))
    worse = scene.batch()
    scene.take(record("d00000", "worse"), batch=worse)
    scene.fail(PARSE, scene.claim(PARSE, worse), BadInput("worse"))
    assert INDEX.store is not None
    joined(scene, INDEX.store)
    assert joined(scene, "another") == (2, 2)
    again = scene.batch()
    scene.ledger.stores.join_lost(again, **ASKED, uuid="another")
    key = replace(INDEX, store="another")
    claims = scene.claim(key, again)
    assert sorted(c.generation for c in claims) == [1, 1]
    scene.ledger.work.release(key, claims)  # as a run does that is stopped
    assert joined(scene, "another") == (2, 2)
    last = scene.batch()
    scene.ledger.stores.join_lost(last, **ASKED, uuid="another")
    scene.commit(key, scene.claim(key, last))
    scene.ledger.work.settle(last, ["ingest", "parse", "index", "tag"])
    assert scene.statuses() == {"superseded": 1, "done": 1, "dead": 1}
    assert joined(scene, "another") == (0, 0)


def test_an_older_generation_gives_way_to_the_newer_one_that_is_there_already(scene: Scene) -> None:
    scene.finish(scene.documents(1))
    newer = scene.batch()
    scene.take(record("d00000", "newer"), batch=newer)
    (claim,) = scene.claim(PARSE, newer)
    assert not scene.ledger.work.give_way(PARSE.name, claim)
    older = replace(claim, generation=1)
    assert scene.ledger.work.give_way(PARSE.name, older)
    assert scene.ledger.work.still_held(PARSE.name, [claim]) == set()
