"""The index's file under deletion, damage, locks, full disks, forks, threads and processes."""

from __future__ import annotations

import multiprocessing
import os
import resource
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import apsw
import pytest

from penstock.errors import StorageFull, StoreBusy, UsageError
from penstock.stores import search_file, search_schema
from penstock.stores.search_index import SqliteSearchIndex
from penstock.stores.search_rows import Counts


class Room(NamedTuple):
    free: int


WRITER = """
import sys
from penstock.ir import Chunk
from penstock.stores.search_index import SqliteSearchIndex
from penstock.stores.search_rows import IndexedDocument

index = SqliteSearchIndex(sys.argv[1])
for n in range(int(sys.argv[3])):
    name = f"{sys.argv[2]}-{n}"
    chunk = Chunk(chunk_id=name + ":0", ordinal=0, start=0, end=4, text="text of " + name)
    index.replace([IndexedDocument("t", name, 1, 1, "s", name, "k", "", [chunk])])
"""


def writer(path: Path, name: str, documents: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", WRITER, str(path), name, str(documents)], stderr=subprocess.PIPE)


def test_asking_whether_there_is_an_index_makes_none(index):
    assert not index.exists
    assert list(index.path.parent.iterdir()) == []
    index.store_id()
    assert index.exists


def test_a_missing_folder_is_made(tmp_path: Path):
    assert SqliteSearchIndex(tmp_path / "a" / "b" / "index.db").count() == Counts(0, 0, 0)


def test_an_index_outlives_its_process(index, make):
    index.replace([make("d", "words")])
    again = SqliteSearchIndex(index.path)
    assert again.store_id() == index.store_id()
    assert again.count() == Counts(1, 1, 0)


@pytest.mark.parametrize("leave", [(), ("-wal",), ("-wal", "-shm")])
def test_a_deleted_file_is_a_new_and_empty_index_even_to_who_had_it_open(index, make, leave):
    index.replace([make("d", "words")])
    before = index.store_id()
    for suffix in ("", "-wal", "-shm"):
        if suffix not in leave:
            Path(f"{index.path}{suffix}").unlink(missing_ok=True)
    assert index.store_id() != before
    assert index.count() == Counts(0, 0, 0)
    [receipt] = index.replace([make("d", "words")])
    assert receipt.store == index.store_id()
    assert index.problems() == []


def test_letting_go_of_a_deleted_file_does_not_take_its_successors_wal_along(index, make):
    index.replace([make("d", "old")])
    for suffix in ("", "-wal", "-shm"):
        Path(f"{index.path}{suffix}").unlink()
    successor = SqliteSearchIndex(index.path)
    successor.replace([make("e", "new")])
    wal = Path(f"{index.path}-wal").stat().st_ino
    assert index.count() == Counts(1, 1, 0)
    assert Path(f"{index.path}-wal").stat().st_ino == wal
    successor.close()
    index.close()
    assert SqliteSearchIndex(index.path).chunk_ids("t") == {"e:0"}


def test_a_file_that_is_no_database_is_refused_and_left_alone(index):
    index.path.write_bytes(b"this is text, not a database, and precious" * 100)
    before = index.path.read_bytes()
    with pytest.raises(UsageError, match="is no search index") as refused:
        index.count()
    assert "delete" not in refused.value.next_step, "it is somebody's"
    assert index.path.read_bytes() == before


def test_another_database_is_refused_and_left_alone(index):
    connection = sqlite3.connect(index.path)
    connection.execute("CREATE TABLE ledger (a)")
    connection.commit()
    connection.close()
    before = index.path.read_bytes()
    with pytest.raises(UsageError, match="not a search index"):
        index.store_id()
    assert index.path.read_bytes() == before


def test_an_index_of_another_schema_version_is_refused(index):
    index.store_id()
    index._file._connection().pragma("user_version", 99)
    index.close()
    with pytest.raises(UsageError, match="schema version 99") as refused:
        index.store_id()
    assert "delete" in refused.value.next_step


def test_a_damaged_index_is_named_as_such(index, make):
    index.replace([make(f"d{n}", "many words here " * 50) for n in range(300)])
    index.close()
    damaged = bytearray(index.path.read_bytes())
    for at in range(20_000, len(damaged), 16_384):
        damaged[at : at + 8_000] = b"\xff" * 8_000
    index.path.write_bytes(damaged)
    with pytest.raises(UsageError, match="damaged"):
        index.digest()


def test_a_truncated_index_is_named_as_such(index, make):
    index.replace([make(f"d{n}", "many words here " * 50) for n in range(300)])
    index.close()
    with index.path.open("r+b") as file:
        file.truncate(40_000)
    with pytest.raises(UsageError, match="damaged"):
        index.digest()


def test_a_folder_in_its_place_is_a_plain_mistake(tmp_path: Path):
    with pytest.raises(UsageError, match="can't be opened"):
        SqliteSearchIndex(tmp_path).count()


def test_a_file_in_place_of_its_folder_is_a_plain_mistake(tmp_path: Path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="can't be opened"):
        SqliteSearchIndex(tmp_path / "file" / "index.db").count()


def test_another_writer_that_stays_is_named_and_readers_never_wait_for_it(tmp_path: Path, make):
    index, other = (SqliteSearchIndex(tmp_path / "index.db", busy_seconds=0.05) for _ in range(2))
    index.replace([make("d", "words")])
    with other._file.writing():
        with pytest.raises(StoreBusy, match="locked"):
            index.replace([make("e", "more")])
        assert index.count() == Counts(1, 1, 0)
    index.replace([make("e", "more")])
    assert index.count() == Counts(2, 2, 0)


def test_a_database_that_may_not_grow_changes_nothing_and_says_how_much_is_free(index, make):
    index.replace([make("d", "kept", vectors=[[1, 2]])])
    before = index.digest()
    connection = index._file._connection()
    connection.pragma("max_page_count", connection.pragma("page_count") + 4)
    with pytest.raises(StorageFull, match=r"index\.db: .* MB free"):
        index.replace([make(f"e{n}", "many words " * 500, vectors=[[1, n + 1]]) for n in range(100)])
    connection.pragma("max_page_count", 1 << 30)
    assert index.digest() == before
    assert index.problems() == []
    index.replace([make(f"e{n}", "many words " * 500, vectors=[[1, n + 1]]) for n in range(100)])
    assert index.count() == Counts(101, 101, 101)


def test_a_system_that_refuses_to_write_more_is_a_full_disk_too(index, make):
    """RLIMIT_FSIZE stands in for quotas: write() fails with EFBIG, which SQLite calls an I/O error."""
    index.replace([make("d", "kept")])
    before = index.digest()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, hard))
    try:
        with pytest.raises(StorageFull):
            index.replace([make(f"e{n}", f"many words {n} " * 500) for n in range(300)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert index.digest() == before
    assert index.problems() == []
    index.replace([make("e", "now there is room")])
    assert index.count() == Counts(2, 2, 0)


@pytest.mark.parametrize(("pages", "free"), [(5, 1 << 40), (50, 1_000_000)])
def test_no_room_for_a_block_of_vectors_is_a_full_disk_though_the_extension_calls_it_otherwise(
    index, make, monkeypatch, pages, free
):
    index.store_id()
    connection = index._file._connection()
    connection.pragma("max_page_count", connection.pragma("page_count") + pages)
    monkeypatch.setattr(search_file.shutil, "disk_usage", lambda _: Room(free))
    with pytest.raises(StorageFull):
        index.replace([make("d", "words", vectors=[[1.0] * 4096])])
    assert index.count() == Counts(0, 0, 0)


def test_an_error_inside_a_transaction_undoes_all_of_it(index, make):
    index.replace([make("d", "kept")])

    def fail() -> None:
        with index._file.writing() as db:
            db.execute("DELETE FROM documents")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert index.count() == Counts(1, 1, 0)


def test_bugs_keep_their_own_names(index):
    with pytest.raises(apsw.SQLError), index.snapshot() as db:
        db.execute("SELECT nothing FROM nowhere")


def test_a_snapshot_does_not_see_what_is_written_beside_it(index, make):
    index.replace([make("d", "one")])
    with index.snapshot():
        assert index.count() == Counts(1, 1, 0)
        SqliteSearchIndex(index.path).replace([make("e", "two")])
        assert index.count() == Counts(1, 1, 0)
    assert index.count() == Counts(2, 2, 0)


def test_a_write_inside_a_snapshot_is_a_bug_and_said_to_be(index, make):
    with index.snapshot(), pytest.raises(RuntimeError):
        index.replace([make("d", "one")])


def test_each_thread_has_a_connection_of_its_own(index, make):
    index.store_id()
    failures: list[BaseException] = []

    def work(name: int) -> None:
        try:
            for n in range(10):
                index.replace([make(f"{name}-{n}", "words")])
                index.bm25("t", "words", 5)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert index.count() == Counts(40, 40, 0)


def test_a_forked_child_writes_on_a_connection_of_its_own(index, make):
    index.replace([make("parent", "words")])
    fork = multiprocessing.get_context("fork")
    children = [fork.Process(target=index.replace, args=([make(f"child{n}", "words")],)) for n in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0, 0]
    index.replace([make("parent2", "words")])
    assert index.count() == Counts(5, 5, 0)
    assert index.problems() == []


def test_a_forked_child_never_touches_nor_closes_its_parents_connection(index, make):
    index.replace([make("d", "words")])
    inherited = index._file._connection()
    child = os.fork()
    if child == 0:
        closed_or_same = index._file._connection() is inherited or index.count() != Counts(1, 1, 0)
        os._exit(closed_or_same or not any(one is inherited for one in search_file._inherited))
    assert os.waitpid(child, 0)[1] == 0


def test_processes_that_make_the_file_at_the_same_moment_share_one_index(index):
    writers = [writer(index.path, name, 15) for name in ("a", "b", "c")]
    for process in writers:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors.decode()
    assert index.count() == Counts(45, 45, 0)
    assert index.problems() == []


def test_who_finds_the_file_being_made_waits_for_that_and_not_for_the_lock(index):
    maker = apsw.Connection(str(index.path))
    maker.pragma("journal_mode", "wal")
    maker.execute("BEGIN IMMEDIATE")
    other = threading.Thread(target=SqliteSearchIndex(index.path, busy_seconds=60).store_id)
    other.start()
    maker.execute(search_schema._TABLES)
    maker.execute("INSERT INTO meta VALUES ('uuid', 'made')")
    maker.execute("COMMIT; BEGIN IMMEDIATE")
    other.join(timeout=20)
    waits = other.is_alive()
    maker.execute("COMMIT")
    assert not waits
    assert index.store_id() == "made"


def test_a_writer_killed_in_the_middle_leaves_whole_documents_only(index):
    process = writer(index.path, "a", 100_000)
    try:
        while not index.exists or index.count().documents < 20:
            assert process.poll() is None, process.communicate()
    finally:
        process.kill()
        process.communicate()
    assert index.problems() == []
    assert index.count().documents >= 20
    assert len(index.chunk_ids("t")) == index.count().chunks


def test_it_is_opened_by_apsw_with_full_synchronisation(index):
    connection = index._file._connection() if index.store_id() else None
    assert connection is not None
    assert (connection.pragma("journal_mode"), connection.pragma("synchronous")) == ("wal", 2)
    assert os.path.getsize(index.path) % connection.pragma("page_size") == 0


NOBODY = 65534


@contextmanager
def not_as_root() -> Iterator[None]:
    """Root may write anywhere."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that anybody can get to, unlike tmp_path."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
        Path(folder).chmod(0o755)


def test_where_nothing_may_be_written_it_is_still_read(public: Path, make):
    written = SqliteSearchIndex(public / "index.db")
    written.replace([make("d", "alpha", vectors=[[1, 0]])])
    written.close()
    written.path.chmod(0o444)
    public.chmod(0o555)
    with not_as_root():
        index = SqliteSearchIndex(written.path)
        assert index.count() == Counts(1, 1, 1)
        assert len(index.bm25("t", "alpha", 5)) == 1
        with pytest.raises(UsageError, match="readonly"):
            index.replace([make("e", "beta")])
        index.close()
    assert [path.name for path in public.iterdir()] == ["index.db"]


def test_one_that_only_others_may_write_is_read_anew_when_they_have(public: Path, make):
    writer = SqliteSearchIndex(public / "index.db")
    writer.replace([make("d", "alpha")])
    writer.close()
    public.chmod(0o555)
    reader = SqliteSearchIndex(writer.path)
    with not_as_root():
        assert len(reader.bm25("t", "alpha", 5)) == 1
    public.chmod(0o755)
    writer.replace([make("e", "alpha beta")])
    writer.close()
    public.chmod(0o555)
    with not_as_root():
        assert len(reader.bm25("t", "alpha", 5)) == 2
        reader.close()
