"""Which files a list of paths means: files, folders and patterns, in an order that a rerun repeats."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote_from_bytes

from penstock.errors import NotFound

Parts = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A file to read. `name` is its path below `root` (a printable form of it); `problem` why it can't be listed."""

    path: str
    root: str
    parts: Parts
    problem: str = ""

    @property
    def name(self) -> str:
        return "/".join(self.parts)


@dataclass(frozen=True, slots=True)
class Root:
    path: str
    parts: Parts
    """Below the folder that all given paths share: what names its files, wherever that folder lies."""

    @property
    def name(self) -> str:
        return "/".join(self.parts)


def printable(name: str) -> str:
    """A file name as text that every store holds: names that are no UTF-8 are percent-encoded."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return quote_from_bytes(os.fsencode(name))
    return name


def roots(paths: Sequence[str]) -> list[Root]:
    """The files and folders that `paths` name, sorted. Raises NotFound for one that names none.

    A file's name is its path below the folder given, or the deepest folder that holds all that are given: what a shell
    makes of `notes/*.md` gets the same names as `notes`.
    """
    found: dict[str, str] = {}
    for given in paths:
        path = os.path.abspath(os.path.expanduser(given))
        if os.path.lexists(path):
            found[path] = path if os.path.isdir(path) else os.path.dirname(path)
            continue
        matches = glob.glob(path, recursive=True) if glob.has_magic(path) else []
        if not matches:
            raise NotFound(f"no file or folder answers to {given!r}", next_step="check the path, or quote a pattern")
        fixed = Path(path).parts[: next(i for i, part in enumerate(Path(path).parts) if glob.has_magic(part))]
        found.update({match: os.path.join(*fixed) for match in matches if not os.path.isdir(match)})
    shared = os.path.commonpath(found.values()) if found else ""
    below = (Root(path, _parts(os.path.relpath(path, shared))) for path in found)
    return sorted(below, key=lambda root: root.parts)


def _parts(relative: str) -> Parts:
    return tuple(printable(part) for part in relative.split(os.sep) if part != os.curdir)


def walk(root: Root, after: Parts | None = None) -> Iterator[Place]:
    """The root's files in order of their names' parts, from `after` on (that one included).

    Passed over: hidden names, what is no regular file, links to folders, links to files outside the root.
    """
    if not os.path.isdir(root.path):
        yield Place(root.path, root.name, root.parts)
        return
    real = os.path.realpath(root.path)
    stack = [iter([(root.path, root.parts, False)])]
    while stack:
        entry = next(stack[-1], None)
        if entry is None:
            stack.pop()
            continue
        path, parts, is_file = entry
        if after is not None and parts < after[: len(parts)]:
            continue
        if is_file:
            yield Place(path, root.name, parts)
            continue
        try:
            stack.append(iter(_entries(path, parts, real)))
        except OSError as error:
            yield Place(path, root.name, parts, problem=error.strerror or str(error))


def _entries(folder: str, parts: Parts, real: str) -> list[tuple[str, Parts, bool]]:
    with os.scandir(folder) as entries:
        listed = [
            (entry.path, (*parts, printable(entry.name)), entry.is_file())
            for entry in entries
            if not entry.name.startswith(".") and _wanted(entry, real)
        ]
    listed.sort(key=lambda item: item[1])
    return listed


def _wanted(entry: os.DirEntry[str], real: str) -> bool:
    if not entry.is_symlink():
        return entry.is_file() or entry.is_dir()
    try:
        target = os.path.realpath(entry.path, strict=True)
        return target.startswith(real + os.sep) and stat.S_ISREG(os.stat(target).st_mode)
    except OSError:
        return False
