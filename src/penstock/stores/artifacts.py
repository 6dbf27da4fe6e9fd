"""Big bytes at rest: content-addressed objects behind fsspec, never torn."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, BinaryIO, NoReturn, Protocol
from uuid import uuid4

from penstock.errors import ArtifactLost, StorageFull, StoreBusy, UsageError

DAMAGED = ".damaged"
"""What an object is called on behind its name once its bytes were found to be others."""


_PIECE = 1 << 20
_HALF_WRITTEN = "." + "[0-9a-f]" * 32
_BEGUN_SECONDS = 10.0
"""What was written to less long ago may be about to be locked."""
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


class ArtifactStore(Protocol):
    """Objects named by the sha256 (hex) of their bytes, each there whole or not at all. `put` of the same bytes again
    is a cheap no-op."""

    def put(self, data: bytes) -> str: ...

    def put_stream(self, pieces: Iterable[bytes]) -> str:
        """The same for bytes that are never all in memory. What `pieces` raises goes through: then nothing is kept."""
        ...

    def has(self, digest: str) -> bool:
        """Whether there is such an object; its bytes are not looked at."""
        ...

    def get(self, digest: str) -> bytes:
        """The bytes. Raises ArtifactLost when they are gone, or are others: those are put aside, so that the right ones
        can be put in their place."""
        ...

    def fetch(self, digest: str, to: Path) -> None:
        """The bytes as a file of the caller's, never all of them in memory. Raises as `get` does, and leaves no file
        then."""
        ...


class MemoryArtifacts:
    """A store that lives as long as its process: for tests and embedding."""

    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}

    def put(self, data: bytes) -> str:
        digest = sha256(data).hexdigest()
        self._objects.setdefault(digest, data)
        return digest

    def put_stream(self, pieces: Iterable[bytes]) -> str:
        return self.put(b"".join(pieces))

    def has(self, digest: str) -> bool:
        return digest in self._objects

    def get(self, digest: str) -> bytes:
        try:
            return self._objects[digest]
        except KeyError:
            raise ArtifactLost(f"no artifact {digest}") from None

    def fetch(self, digest: str, to: Path) -> None:
        _write([self.get(digest)], to)


class FileArtifacts:
    """A folder. Objects are written under a temporary name, synced, then renamed, and their folder synced.

    Their writer holds a lock on them meanwhile, which ends with its process however that ends: what is half-written
    and held by nobody is removed when a store is first written to.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._swept = False

    def put(self, data: bytes) -> str:
        digest = sha256(data).hexdigest()
        return digest if self.has(digest) else self.put_stream([data])

    def put_stream(self, pieces: Iterable[bytes]) -> str:
        temporary = self._root / f".{uuid4().hex}"
        with _errors(self._root):
            changed = [] if self._root.exists() else [self._root.parent]
            self._root.mkdir(parents=True, exist_ok=True)
            self._sweep()
            with _new(temporary) as file:
                _lock(file)
                digest = _copy(pieces, file)
                file.flush()
                os.fsync(file.fileno())
                path = self._path(digest)
                changed += [path.parent] if path.parent.exists() else [path.parent, self._root]
                path.parent.mkdir(exist_ok=True)
                temporary.replace(path)
            for folder in changed:
                _sync(folder)
        return digest

    def has(self, digest: str) -> bool:
        with _errors(self._root):
            return self._path(digest).exists()

    def get(self, digest: str) -> bytes:
        with self._opened(digest) as file:
            data = file.read()
        if sha256(data).hexdigest() != digest:
            self._put_aside(digest)
        return data

    def fetch(self, digest: str, to: Path) -> None:
        with self._opened(digest) as file:
            found = _write(_pieces(file), to)
        if found != digest:
            to.unlink()
            self._put_aside(digest)

    def _path(self, digest: str) -> Path:
        return self._root / digest[:2] / digest

    def _sweep(self) -> None:
        if self._swept:
            return
        self._swept = True
        for path in self._root.glob(_HALF_WRITTEN):
            with suppress(OSError), path.open("r+b") as file:
                if time.time() - path.stat().st_mtime > _BEGUN_SECONDS and _lock(file):
                    path.unlink()

    @contextmanager
    def _opened(self, digest: str) -> Iterator[BinaryIO]:
        try:
            with self._path(digest).open("rb") as file:
                yield file
        except FileNotFoundError:
            raise ArtifactLost(f"no artifact {digest} in {self._root}") from None
        except OSError as error:
            raise StoreBusy(f"the artifact store at {self._root}: {error}") from error

    def _put_aside(self, digest: str) -> NoReturn:
        path = self._path(digest)
        with suppress(OSError):
            path.replace(path.with_suffix(DAMAGED))
        raise ArtifactLost(f"the artifact {digest} in {self._root} is damaged")


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
        self._upload(digest, lambda path: self._fs.pipe_file(path, data))
        return digest

    def put_stream(self, pieces: Iterable[bytes]) -> str:
        """Spooled in the system's folder for temporary files, since the name is known last; in a file that has no name
        itself, so that whoever is killed leaves nothing."""
        with _errors(Path(tempfile.gettempdir())), tempfile.TemporaryFile() as spooled:
            digest = _copy(pieces, spooled)
            spooled.seek(0)
            self._upload(digest, lambda path: self._fs.put_file(f"/dev/fd/{spooled.fileno()}", path))
        return digest

    def has(self, digest: str) -> bool:
        with self._faults():
            return bool(self._fs.exists(self._path(digest)))

    def get(self, digest: str) -> bytes:
        with self._faults(digest):
            data = bytes(self._fs.cat_file(self._path(digest)))
        if sha256(data).hexdigest() != digest:
            self._put_aside(digest)
        return data

    def fetch(self, digest: str, to: Path) -> None:
        found = _write(self._read(digest), to)
        if found != digest:
            to.unlink()
            self._put_aside(digest)

    def _path(self, digest: str) -> str:
        return f"{self._root}/{digest[:2]}/{digest}"

    def _upload(self, digest: str, upload: Callable[[str], None]) -> None:
        path = self._path(digest)
        with self._faults():
            if not self._fs.exists(path):
                self._fs.makedirs(f"{self._root}/{digest[:2]}", exist_ok=True)
                upload(path)

    def _read(self, digest: str) -> Iterator[bytes]:
        with self._faults(digest), self._fs.open(self._path(digest), "rb") as file:
            yield from _pieces(file)

    def _put_aside(self, digest: str) -> NoReturn:
        path = self._path(digest)
        with self._faults():
            self._fs.mv(path, path + DAMAGED)
        raise ArtifactLost(f"the artifact {digest} in {self._root} is damaged")

    @contextmanager
    def _faults(self, digest: str | None = None) -> Iterator[None]:
        """Each file system has errors of its own; whatever they are, no document is to blame for them. `digest`: what
        is read, which may be gone."""
        try:
            yield
        except Exception as error:
            if digest is not None and isinstance(error, FileNotFoundError):
                raise ArtifactLost(f"no artifact {digest} in {self._root}") from None
            raise StoreBusy(f"the artifact store at {self._root}: {type(error).__name__}: {error}") from error


@contextmanager
def _errors(folder: Path) -> Iterator[None]:
    """What the file system says of a folder that is written to, as an error of ours."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
            free = shutil.disk_usage(there).free >> 20
            raise StorageFull(f"no room left in {folder}: {free} MiB free") from error
        if error.errno in _FORBIDDEN:
            raise UsageError(f"{folder} can't be written: {error.strerror}") from error
        raise StoreBusy(f"{folder}: {error}") from error


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    return iter(partial(file.read, _PIECE), b"")


@contextmanager
def _new(path: Path) -> Iterator[BinaryIO]:
    """A file to write. Whatever is raised leaves none."""
    try:
        with _errors(path.parent), path.open("wb") as file:
            yield file
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _write(pieces: Iterable[bytes], to: Path) -> str:
    with _new(to) as file:
        return _copy(pieces, file)


def _copy(pieces: Iterable[bytes], file: IO[bytes]) -> str:
    """The sha256 of what was written."""
    digest = sha256()
    for piece in pieces:
        digest.update(piece)
        file.write(piece)
    return digest.hexdigest()


def _lock(file: IO[bytes]) -> bool:
    """Whether it is ours now, until it is closed: not where somebody has it, or where files can't be locked."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


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
