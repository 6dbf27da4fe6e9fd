"""Big bytes are kept whole, found again by their hash, and never handed out as others than they are."""

from __future__ import annotations

import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from penstock.errors import ArtifactLost, StoreBusy
from penstock.stores.artifacts import ArtifactStore, FileArtifacts, MemoryArtifacts, RemoteArtifacts, open_artifacts

DATA = b"a big body"
DIGEST = sha256(DATA).hexdigest()
STORES: list[Callable[[Path], ArtifactStore]] = [
    FileArtifacts,
    lambda folder: RemoteArtifacts(folder.as_uri()),
    lambda folder: MemoryArtifacts(),
]
ON_DISK = STORES[:2]


@pytest.mark.parametrize("store", STORES)
def test_what_is_put_is_found_by_its_hash(tmp_path: Path, store: Callable[[Path], ArtifactStore]) -> None:
    artifacts = store(tmp_path / "artifacts")
    assert artifacts.put(DATA) == artifacts.put(DATA) == DIGEST
    assert artifacts.get(DIGEST) == DATA


@pytest.mark.parametrize("store", STORES)
def test_what_is_not_there_is_lost(tmp_path: Path, store: Callable[[Path], ArtifactStore]) -> None:
    with pytest.raises(ArtifactLost, match=DIGEST):
        store(tmp_path).get(DIGEST)


@pytest.mark.parametrize("store", ON_DISK)
@pytest.mark.parametrize("damaged", [b"", b"a big bodx", DATA + b"\0"])
def test_other_bytes_are_lost_and_the_right_ones_can_be_put_in_their_place(
    tmp_path: Path, store: Callable[[Path], ArtifactStore], damaged: bytes
) -> None:
    artifacts = store(tmp_path)
    artifacts.put(DATA)
    (tmp_path / DIGEST[:2] / DIGEST).write_bytes(damaged)
    with pytest.raises(ArtifactLost, match="damaged"):
        artifacts.get(DIGEST)
    assert (tmp_path / DIGEST[:2] / f"{DIGEST}.damaged").read_bytes() == damaged
    artifacts.put(DATA)
    assert artifacts.get(DIGEST) == DATA


def test_an_object_that_cannot_be_read_is_not_taken_for_lost(tmp_path: Path) -> None:
    (tmp_path / DIGEST[:2] / DIGEST).mkdir(parents=True)
    with pytest.raises(StoreBusy):
        FileArtifacts(tmp_path).get(DIGEST)


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
