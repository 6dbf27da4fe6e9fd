"""Big bytes are kept whole, found again by their hash, and never handed out as others than they are."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from penstock.errors import ArtifactLost, BadInput, StorageFull, StoreBusy
from penstock.stores.artifacts import ArtifactStore, FileArtifacts, MemoryArtifacts, RemoteArtifacts, open_artifacts

DATA = b"a big body"
DIGEST = sha256(DATA).hexdigest()
STORES: list[Callable[[Path], ArtifactStore]] = [
    FileArtifacts,
    lambda folder: RemoteArtifacts(folder.as_uri()),
    lambda folder: RemoteArtifacts(f"memory:/{folder}"),
    lambda folder: MemoryArtifacts(),
]
ON_DISK = STORES[:2]


@pytest.mark.parametrize("store", STORES)
def test_what_is_put_is_found_by_its_hash(tmp_path: Path, store: Callable[[Path], ArtifactStore]) -> None:
    artifacts = store(tmp_path / "artifacts")
    assert not artifacts.has(DIGEST)
    assert artifacts.put(DATA) == artifacts.put(DATA) == DIGEST
    assert artifacts.has(DIGEST)
    assert artifacts.get(DIGEST) == DATA
    artifacts.fetch(DIGEST, tmp_path / "a copy")
    assert (tmp_path / "a copy").read_bytes() == DATA


@pytest.mark.parametrize("store", STORES)
def test_what_comes_in_pieces_is_the_same_object(tmp_path: Path, store: Callable[[Path], ArtifactStore]) -> None:
    artifacts = store(tmp_path / "artifacts")
    assert artifacts.put_stream(iter([DATA[:3], b"", DATA[3:]])) == artifacts.put_stream([DATA]) == DIGEST
    assert artifacts.get(DIGEST) == DATA
    assert artifacts.get(artifacts.put_stream([])) == b""


@pytest.mark.parametrize("store", STORES)
def test_of_a_stream_that_breaks_off_nothing_is_kept(tmp_path: Path, store: Callable[[Path], ArtifactStore]) -> None:
    def broken() -> Iterator[bytes]:
        yield DATA
        raise BadInput("no more")

    artifacts = store(tmp_path / "artifacts")
    with pytest.raises(BadInput, match="no more"):
        artifacts.put_stream(broken())
    assert not artifacts.has(DIGEST)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("store", ON_DISK)
def test_a_large_object_is_never_all_in_memory(tmp_path: Path, store: Callable[[Path], ArtifactStore]) -> None:
    artifacts = store(tmp_path / "artifacts")
    tracemalloc.start()
    try:
        digest = artifacts.put_stream(bytes([n]) * (1 << 20) for n in range(64))
        artifacts.fetch(digest, tmp_path / "a copy")
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert (tmp_path / "a copy").stat().st_size == 64 << 20


@pytest.mark.parametrize("store", STORES)
def test_what_is_not_there_is_lost(tmp_path: Path, store: Callable[[Path], ArtifactStore]) -> None:
    with pytest.raises(ArtifactLost, match=DIGEST):
        store(tmp_path).get(DIGEST)
    with pytest.raises(ArtifactLost, match=DIGEST):
        store(tmp_path).fetch(DIGEST, tmp_path / "a copy")
    assert not (tmp_path / "a copy").exists()


@pytest.mark.parametrize("store", ON_DISK)
@pytest.mark.parametrize("damaged", [b"", b"a big bodx", DATA + b"\0"])
@pytest.mark.parametrize("fetched", [False, True])
def test_other_bytes_are_lost_and_the_right_ones_can_be_put_in_their_place(
    tmp_path: Path, store: Callable[[Path], ArtifactStore], damaged: bytes, fetched: bool
) -> None:
    artifacts = store(tmp_path)
    artifacts.put(DATA)
    (tmp_path / DIGEST[:2] / DIGEST).write_bytes(damaged)
    with pytest.raises(ArtifactLost, match="damaged"):
        artifacts.fetch(DIGEST, tmp_path / "a copy") if fetched else artifacts.get(DIGEST)
    assert not (tmp_path / "a copy").exists()
    assert (tmp_path / DIGEST[:2] / f"{DIGEST}.damaged").read_bytes() == damaged
    artifacts.put(DATA)
    assert artifacts.get(DIGEST) == DATA


def test_an_object_that_cannot_be_read_is_not_taken_for_lost(tmp_path: Path) -> None:
    (tmp_path / DIGEST[:2] / DIGEST).mkdir(parents=True)
    with pytest.raises(StoreBusy):
        FileArtifacts(tmp_path).get(DIGEST)
    with pytest.raises(StoreBusy):
        FileArtifacts(tmp_path).fetch(DIGEST, tmp_path / "a copy")


@pytest.mark.parametrize("store", STORES)
def test_a_place_that_cannot_be_written_to_is_not_taken_for_a_lost_object(
    tmp_path: Path, store: Callable[[Path], ArtifactStore]
) -> None:
    artifacts = store(tmp_path / "artifacts")
    artifacts.put(DATA)
    with pytest.raises(StoreBusy):
        artifacts.fetch(DIGEST, tmp_path / "not there" / "a copy")
    assert artifacts.get(DIGEST) == DATA


@pytest.mark.parametrize("store", ON_DISK)
def test_a_full_disk_is_said_with_its_place_and_nothing_torn_is_left(
    tmp_path: Path, store: Callable[[Path], ArtifactStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    artifacts = store(tmp_path)

    def full() -> Iterator[bytes]:
        yield DATA
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StorageFull, match=rf"{tmp_path}.*: \d+ MiB free"):
        artifacts.put_stream(full())
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


HALF_WAY = """
import sys
from penstock.stores.artifacts import open_artifacts

def pieces():
    yield bytes(1 << 20)
    yield bytes(1 << 20)
    print("half-way", flush=True)
    sys.stdin.read()

open_artifacts(sys.argv[1]).put_stream(pieces())
"""


@pytest.fixture
def half_way(tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """Starts a process that is in the midst of writing to a store, with a folder for temporary files of its own."""
    started: list[subprocess.Popen[bytes]] = []

    def start(location: str) -> subprocess.Popen[bytes]:
        (tmp_path / "tmp").mkdir(exist_ok=True)
        pipe, env = subprocess.PIPE, os.environ | {"TMPDIR": str(tmp_path / "tmp")}
        process = subprocess.Popen([sys.executable, "-c", HALF_WAY, location], stdin=pipe, stdout=pipe, env=env)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"half-way\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def long_ago(*paths: Path) -> None:
    for path in paths:
        os.utime(path, (0, 0))


def test_what_a_killed_process_left_half_written_is_removed_by_the_next_one(tmp_path: Path, half_way: Any) -> None:
    root = tmp_path / "artifacts"
    killed = half_way(str(root))
    killed.kill()
    killed.wait()
    (left,) = files(root)
    foreign = root / ".gitignore"
    foreign.touch()
    long_ago(left, foreign)
    kept = root / FileArtifacts(root).put(DATA)[:2] / DIGEST
    assert files(root) == {foreign, kept}


def test_what_somebody_is_still_writing_is_left_alone(tmp_path: Path, half_way: Any) -> None:
    """However long ago its last byte came."""
    root = tmp_path / "artifacts"
    writing = half_way(str(root))
    long_ago(*files(root))
    FileArtifacts(root).put(DATA)
    writing.communicate()
    assert writing.returncode == 0
    assert FileArtifacts(root).get(sha256(bytes(2 << 20)).hexdigest()) == bytes(2 << 20)


def test_what_was_begun_a_moment_ago_is_left_alone(tmp_path: Path) -> None:
    """Its writer may not have come to lock it."""
    begun = tmp_path / f".{uuid4().hex}"
    begun.touch()
    FileArtifacts(tmp_path).put(DATA)
    assert begun.exists()


def test_on_the_way_to_a_remote_store_nothing_is_left_by_whoever_is_killed(tmp_path: Path, half_way: Any) -> None:
    killed = half_way("memory://artifacts")
    killed.kill()
    killed.wait()
    assert files(tmp_path) == set()


def test_every_folder_that_was_made_or_written_to_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a power cut could take a whole folder of objects that the ledger names."""
    synced: list[str] = []
    sync = os.fsync

    def fsync(handle: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{handle}"))
        sync(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    root = tmp_path / "artifacts"
    FileArtifacts(root).put(DATA)
    assert {str(tmp_path), str(root), str(root / DIGEST[:2])} <= set(synced)
    synced.clear()
    other = next(body for n in range(10_000) if sha256(body := b"%d" % n).hexdigest()[:2] == DIGEST[:2])
    FileArtifacts(root).put(other)
    assert str(root / DIGEST[:2]) in synced
    assert str(root) not in synced


def test_a_location_is_a_folder_or_a_url(tmp_path: Path) -> None:
    for location in (str(tmp_path), tmp_path.as_uri()):
        assert isinstance(open_artifacts(location), FileArtifacts)
    assert isinstance(open_artifacts("memory://artifacts"), RemoteArtifacts)
