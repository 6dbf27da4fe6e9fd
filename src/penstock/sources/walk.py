"""Which files a list of paths means: files, folders and patterns, in an order that a rerun repeats."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote_to_bytes

from penstock.errors import NotFound, UsageError
from penstock.sources.patterns import is_pattern, matches

Parts = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A file to read, found by the path `given`; `path` is the real one. `problem`: why it can't be listed."""

    given: str
    path: str
    problem: str = ""


def parts(path: str) -> Parts:
    """What paths are sorted by: `a/b` comes before `a.txt`."""
    return Path(path).parts


def real(path: str) -> str:
    """The real path, which a link to nothing has of its own: where it lies."""
    if os.path.lexists(path) and not os.path.exists(path):
        return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
    return os.path.realpath(path)


def named(path: str) -> str:
    """What a file is called: its path, as text that every store holds and that is no other file's.

    As a file: URL where it is no UTF-8, or holds what parts a file's name from the place of a record in it (`!`, `#`).
    """
    return Path(path).as_uri() if "!" in path or "#" in path else address(path)


def address(path: str) -> str:
    """Where a file is: its path, as a file: URL when it is no UTF-8."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return Path(path).as_uri()
    return path


def located(address: str) -> str:
    """The path that `address` was made of."""
    return os.fsdecode(unquote_to_bytes(address[7:])) if address.startswith("file:///") else address


def roots(given: Sequence[str], skip: Set[str] = frozenset()) -> list[str]:
    """The real paths of the files and folders that `given` names, sorted, none that the walk of another comes by.

    A file: URL is its path to the letter, which is never a pattern.

    Raises NotFound for a path that names none, UsageError for one that is in `skip`, or in a folder that is.
    """
    found: set[str] = set()
    for path in given:
        wanted = {place for match in _meant(path) if not _within(place := real(match), skip)}
        if not wanted:
            raise UsageError(
                f"{path!r} is where Penstock keeps its own files",
                next_step="give documents a folder outside PENSTOCK_HOME and PENSTOCK_CONFIG, or set these to others",
            )
        found |= wanted
    folders = {path for path in found if os.path.isdir(path)}
    return sorted((path for path in found if not _is_met(path, folders)), key=parts)


def _meant(given: str) -> list[str]:
    path = located(given) if given.startswith("file:///") else os.path.abspath(os.path.expanduser(given))
    if os.path.exists(path):
        return [path]
    pattern = path if is_pattern(path) and not given.startswith("file:///") else ""
    found = list(matches(pattern)) if pattern else []
    if found:
        return found
    hidden = min(matches(pattern, hidden=True), default=None) if pattern else None
    if hidden is not None:
        raise NotFound(
            f"only hidden names answer to {given!r}, such as {hidden!r}",
            next_step="name them with their dot, as in .*",
        )
    raise NotFound(f"no file or folder answers to {given!r}", next_step="check the path, or quote a pattern")


def _within(path: str, folders: Set[str]) -> bool:
    return bool(folders) and (path in folders or any(str(parent) in folders for parent in Path(path).parents))


def _is_met(path: str, folders: Set[str]) -> bool:
    """Whether the walk of one of the folders comes by this path."""
    if not (os.path.isfile(path) or os.path.isdir(path) or os.path.islink(path)):
        return False
    name, below = Path(path).name, Path(path).parent
    while name and not name.startswith("."):
        if str(below) in folders:
            return True
        name, below = below.name, below.parent
    return False


def walk(root: str, after: Parts | None = None, skip: Set[str] = frozenset()) -> Iterator[Place]:
    """The files of a root (a real path) in order of their paths' parts, from `after` on (that one included).

    Passed over: what is in `skip`, hidden names, what is no regular file, links to folders and to files outside the
    root, and links to files that the walk comes by anyway. A link to nothing is a place, which can't be read.
    """
    if not os.path.isdir(root):
        yield Place(root, root)
        return
    stack = [iter([(root, True)])]
    while stack:
        entry = next(stack[-1], None)
        if entry is None:
            stack.pop()
            continue
        path, is_folder = entry
        if after is not None and (here := parts(path)) < after[: len(here)]:
            continue
        if not is_folder:
            yield Place(path, real(path) if os.path.islink(path) else path)
            continue
        try:
            stack.append(_entries(path, root, skip))
        except OSError as error:
            yield Place(path, path, problem=error.strerror or str(error))


def _entries(folder: str, root: str, skip: Set[str]) -> Iterator[tuple[str, bool]]:
    """(path, whether it is a folder) by name. A folder of a million files costs the memory of their names."""
    names: list[str] = []
    folders: set[str] = set()
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith(".") and entry.path not in skip and _is_wanted(entry, root, skip):
                names.append(entry.name)
                if entry.is_dir(follow_symlinks=False):
                    folders.add(entry.name)
    names.sort()
    return ((os.path.join(folder, name), name in folders) for name in names)


def _is_wanted(entry: os.DirEntry[str], root: str, skip: Set[str]) -> bool:
    if not entry.is_symlink():
        return entry.is_file() or entry.is_dir()
    try:
        target = os.path.realpath(entry.path, strict=True)
        inside = target.startswith(os.path.join(root, "")) and not _within(target, skip)
        return inside and not _is_met(target, {root}) and stat.S_ISREG(os.stat(target).st_mode)
    except OSError:
        return True
