"""Patterns of paths, as a shell reads them: `*`, `?`, `[…]`, and `**` for folders to any depth."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from fnmatch import translate
from pathlib import Path

_MAGIC = re.compile(r"[*?[]")
_Left = tuple[str, list[str]]
"""A path, and the parts of the pattern that are still to be matched below it."""


def is_pattern(path: str) -> bool:
    return _MAGIC.search(path) is not None


def matches(pattern: str, *, hidden: bool = False) -> Iterator[str]:
    """The files and folders that an absolute pattern names, and folders in its way that can't be read.

    A hidden name is matched where its part of the pattern has the dot too; with `hidden`, wherever it is. `**` follows
    no links, so that one that leads back up can't make it endless.
    """
    anchor, *steps = Path(pattern).parts
    stack: list[_Left] = [(anchor, steps)]
    while stack:
        path, steps = stack.pop()
        if steps:
            stack += _step(path, steps[0], steps[1:], hidden)
        else:
            yield path


def _step(folder: str, step: str, rest: list[str], hidden: bool) -> list[_Left]:
    """Where one part of a pattern leads from a folder."""
    if not is_pattern(step):
        path = os.path.join(folder, step)
        return [(path, rest)] if os.path.isdir(path) or (not rest and os.path.isfile(path)) else []
    if step == "**" and not rest:
        return [(folder, rest)]
    try:
        with os.scandir(folder) as entries:
            seen = [e for e in entries if hidden or step.startswith(".") or not e.name.startswith(".")]
            if step == "**":
                return [(folder, rest), *((e.path, [step, *rest]) for e in seen if e.is_dir(follow_symlinks=False))]
            same = re.compile(translate(step)).match
            return [
                (e.path, rest) for e in seen if same(e.name) and (os.path.isdir(e.path) or (not rest and _is_listed(e)))
            ]
    except OSError:
        return [(folder, [])]


def _is_listed(entry: os.DirEntry[str]) -> bool:
    """Whether it is a file, or a link to nothing, which its reader is to tell of."""
    return os.path.isfile(entry.path) or (entry.is_symlink() and not os.path.exists(entry.path))
