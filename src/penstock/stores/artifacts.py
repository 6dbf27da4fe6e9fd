"""Big bytes at rest: content-addressed objects behind fsspec, never torn."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from penstock.errors import ArtifactLost, StorageFull, StoreBusy, UsageError

DAMAGED = ".damaged"
"""What an object is called on behind its name once its bytes were found to be others."""


class ArtifactStore(Protocol):
    """Objects named by the sha256 (hex) of their bytes. `put` of the same bytes again is a cheap no-op."""

    def put(self, data: bytes) -> str: ...

    def get(self, digest: str) -> bytes:
        """The bytes. Raises ArtifactLost when they are gone, or are others: those are put aside, so that the right ones
        can be put in their place."""
        ...


class MemoryArtifacts:
    """A store that lives as long as its process: for tests and embedding."""

    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}

    def put(self, data: bytes) -> str:
        digest = sha256(data).hexdigest()
        self._objects.setdefault(digest, data)
        return digest

    def get(self, digest: str) -> bytes:
        try:
            return self._objects[digest]
        except KeyError:
            raise ArtifactLost(f"no artifact {digest}") from None


class FileArtifacts:
    """A folder. Objects are written under a temporary name, synced, then renamed, and their folder synced."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, data: bytes) -> str:
        digest = sha256(data).hexdigest()
        path = self._path(digest)
        if path.exists():
            return digest
        temporary = path.with_name(f".{digest}.{uuid4().hex}")
        try:
            changed = [path.parent, *(folder.parent for folder in (path.parent, self._root) if not folder.exists())]
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            for folder in changed:
                _sync(folder)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
                free = shutil.disk_usage(self._root).free >> 20
                raise StorageFull(f"no room for {len(data)} bytes at {path}: {free} MiB free") from error
            if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
                raise UsageError(f"the artifact store at {self._root} can't be written: {error.strerror}") from error
            raise StoreBusy(f"the artifact store at {self._root}: {error}") from error
        return digest

    def get(self, digest: str) -> bytes:
        path = self._path(digest)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise ArtifactLost(f"no artifact {digest} in {self._root}") from None
        except OSError as error:
            raise StoreBusy(f"the artifact store at {self._root}: {error}") from error
        if sha256(data).hexdigest() != digest:
            with suppress(OSError):
                path.replace(path.with_suffix(DAMAGED))
            raise ArtifactLost(f"the artifact {digest} in {self._root} is damaged")
        return data

    def _path(self, digest: str) -> Path:
        return self._root / digest[:2] / digest


class RemoteArtifacts:
    """Any fsspec file system. One upload makes an object whole or not at all, as object stores do."""

    def __init__(self, url: str) -> None:
        import fsspec

        try:
            self._fs: Any
            self._fs, self._root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise UsageError(f"PENSTOCK_ARTIFACTS_URL: {error}") from None

    def put(self, data: bytes) -> str:
        digest = sha256(data).hexdigest()
        path = f"{self._root}/{digest[:2]}/{digest}"
        with self._faults():
            if not self._fs.exists(path):
                self._fs.makedirs(f"{self._root}/{digest[:2]}", exist_ok=True)
                self._fs.pipe_file(path, data)
        return digest

    def get(self, digest: str) -> bytes:
        path = f"{self._root}/{digest[:2]}/{digest}"
        with self._faults():
            try:
                data = bytes(self._fs.cat_file(path))
            except FileNotFoundError:
                raise ArtifactLost(f"no artifact {digest} in {self._root}") from None
            if sha256(data).hexdigest() != digest:
                self._fs.mv(path, path + DAMAGED)
                raise ArtifactLost(f"the artifact {digest} in {self._root} is damaged")
            return data

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Each file system has errors of its own; whatever they are, no document is to blame for them."""
        try:
            yield
        except ArtifactLost:
            raise
        except Exception as error:
            raise StoreBusy(f"the artifact store at {self._root}: {type(error).__name__}: {error}") from error


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def open_artifacts(location: str) -> ArtifactStore:
    """A folder for a path or file:// URL, fsspec for any other URL."""
    if "://" not in location:
        return FileArtifacts(Path(location))
    if location.startswith("file://"):
        return FileArtifacts(Path(location.removeprefix("file://")))
    return RemoteArtifacts(location)
