"""Another generation of an index: built beside it, switched to in one step, noticed by who has the old one open."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from penstock.errors import UsageError
from penstock.stores.search_generations import Generations
from penstock.stores.search_index import SqliteSearchIndex
from penstock.stores.search_rows import Counts


@pytest.fixture
def generations(index) -> Generations:
    return Generations(index.path)


def names(generations: Generations) -> list[str]:
    return sorted(path.name for path in generations.first.parent.iterdir())


def building(generations: Generations) -> SqliteSearchIndex:
    return SqliteSearchIndex(generations.first, busy_seconds=2, building=True)


def test_an_index_that_was_never_built_anew_has_one_file_and_no_pointer(index, make, generations):
    index.replace([make("d", "words")])
    index.close()
    assert (generations.current, generations.next) == (index.path, None)
    assert names(generations) == ["index.db"]


def test_what_is_built_is_written_to_and_not_searched_until_the_switch(index, make, generations):
    index.replace([make("d", "old", vectors=[[1, 2]], model="one")])
    assert generations.begin()
    written = building(generations)
    assert not written.exists
    written.replace([make("d", "new", vectors=[[1, 2, 3]], model="two")])
    assert [index.space.model, written.space.model] == ["one", "two"]
    assert (len(index.bm25("t", "old", 9)), len(index.bm25("t", "new", 9))) == (1, 0)
    generations.switch()
    assert index.path.name == "index.2.db"
    assert (len(index.bm25("t", "old", 9)), len(index.bm25("t", "new", 9))) == (0, 1)
    assert index.store_id() == written.store_id() == SqliteSearchIndex(generations.first).store_id()
    index.close()
    written.close()
    assert not {"index.db", "index.db-wal", "index.db-shm", "index.db.next"} & set(names(generations))


def test_a_snapshot_goes_on_over_the_switch(index, make, generations):
    index.replace([make("d", "old")])
    generations.begin()
    building(generations).store_id()
    with index.snapshot():
        generations.switch()
        assert len(index.bm25("t", "old", 9)) == 1
    assert index.count() == Counts(0, 0, 0)


def test_beginning_twice_goes_on_with_the_first(index, make, generations):
    index.store_id()
    generations.begin()
    building(generations).replace([make("d", "new")])
    assert not generations.begin()
    assert building(generations).count() == Counts(1, 1, 0)


def test_each_generation_has_a_name_of_its_own(index, generations):
    for number in (2, 3, 4):
        generations.begin()
        building(generations).store_id()
        generations.switch()
        assert generations.current.name == f"index.{number}.db"


def test_what_is_discarded_is_gone_and_its_writer_is_back_at_the_one_that_is_searched(index, make, generations):
    index.replace([make("d", "old")])
    generations.begin()
    written = building(generations)
    written.replace([make("d", "new")])
    assert generations.discard()
    assert written.path == index.path
    assert written.count() == Counts(1, 1, 0)
    written.close()
    index.close()
    assert names(generations) == ["index.db"]
    assert not generations.discard()


def test_who_began_to_write_before_goes_on_with_the_old_one_until_the_switch(index, make, generations):
    index.replace([make("d", "old")])
    before = building(generations)
    generations.begin()
    assert before.path == index.path
    building(generations).store_id()
    generations.switch()
    assert before.path == index.path == generations.current


def test_what_is_retired_is_found_no_more_while_another_generation_is_built(index, make, generations):
    index.replace([make("d", "old"), make("e", "old")])
    generations.begin()
    written = building(generations)
    written.replace([make("d", "new"), make("e", "new")])
    assert written.retire([("t", "d", 1, 1)]) == 1
    assert index.documents() == written.documents() == {("t", "e")}


def test_a_switch_that_was_killed_after_its_pointer_leaves_nothing_for_good(index, make, generations):
    index.replace([make("d", "old")])
    index.close()
    generations.begin()
    written = building(generations)
    written.replace([make("d", "new")])
    written.close()
    (generations.first.parent / "index.db.current").write_text("index.2.db\n")
    assert (generations.current.name, generations.next) == ("index.2.db", None)
    assert len(index.bm25("t", "new", 9)) == 1
    assert "index.db" in names(generations)
    generations.begin()
    assert generations.next is not None
    assert generations.next.name == "index.3.db"
    assert "index.db" not in names(generations)


def test_only_the_indexs_own_files_are_ever_deleted(index, generations):
    index.store_id()
    folder = generations.first.parent
    others = ["index.backup.db", "index.2.txt", "other.2.db", "index.db.bak"]
    for name in others:
        (folder / name).write_text("precious")
    generations.begin()
    building(generations).store_id()
    generations.switch()
    generations.begin()
    generations.discard()
    assert set(others) <= set(names(generations))


@pytest.mark.parametrize("said", ["", "../elsewhere.db", "index.two.db", "\0", "x" * 500])
def test_a_pointer_that_names_no_file_of_the_index_is_a_plain_mistake(index, generations, said):
    (generations.first.parent / "index.db.current").write_text(said)
    with pytest.raises(UsageError, match="is no file of this index") as refused:
        index.count()
    assert "delete it" in refused.value.next_step


def test_a_pointer_of_no_text_is_one_too(index, generations):
    (generations.first.parent / "index.db.current").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="can't be read"):
        index.count()


def test_all_its_files_are_known(index, generations):
    index.store_id()
    generations.begin()
    written = building(generations)
    written.store_id()
    known = set(generations.files)
    assert set(generations.first.parent.iterdir()) <= known


def test_a_fork_notices_the_switch(index, make, generations):
    index.replace([make("d", "old")])
    generations.begin()
    building(generations).replace([make("d", "new")])
    generations.switch()
    child = os.fork()
    if not child:
        os._exit(0 if len(index.bm25("t", "new", 9)) == 1 else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_a_name_without_ending_or_with_signs_is_as_good(tmp_path: Path, make):
    for name in ("index", "my[1].index.db"):
        first = tmp_path / name
        index = SqliteSearchIndex(first)
        index.replace([make("d", "old")])
        generations = Generations(first)
        generations.begin()
        building(generations).replace([make("d", "new")])
        generations.switch()
        assert index.path != first
        assert len(index.bm25("t", "new", 9)) == 1
        assert not first.exists()
