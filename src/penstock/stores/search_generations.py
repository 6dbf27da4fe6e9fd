"""Which file an index is: the first one, or a later generation that was built beside it.

An index is known by the name of its first file. Two pointers beside that, each one line with the name of a file in the
same folder, say what is so now: `index.db.current` names the file that is searched (without it, the first one is), and
`index.db.next` the one that is being built. No file is ever put in another's place, since SQLite would apply the WAL
that is left of the one to the other.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from penstock.errors import UsageError

ENDINGS = ("", "-wal", "-shm", "-journal")
"""What SQLite keeps beside a file, and the file itself."""


class Generations:
    """The files of the index whose first one is `first`. Nothing is remembered: any process may change the pointers."""

    def __init__(self, first: Path) -> None:
        self.first = first
        self._current, self._next = (first.with_name(f"{first.name}.{word}") for word in ("current", "next"))
        self._name = re.compile(rf"{re.escape(first.stem)}\.(\d+){re.escape(first.suffix)}")

    @property
    def current(self) -> Path:
        """The file that is searched. Raises UsageError for a pointer that names none."""
        return self._named(self._current) or self.first

    @property
    def next(self) -> Path | None:
        """The file that is being built; None when none is. Raises UsageError for a pointer that names none."""
        named = self._named(self._next)
        return None if named is None or named == self.current else named

    @property
    def files(self) -> list[Path]:
        """Pointers and all that they name, there or not, with what SQLite keeps beside them."""
        databases = [path for path in {self.first, self.current, self.next} if path is not None]
        beside = [path.with_name(f"{path.name}{ending}") for path in databases for ending in ENDINGS]
        return [self._current, self._next, *beside]

    def begin(self) -> bool:
        """From now on what is written goes to a file of its own; whether it didn't already."""
        if self.next is not None:
            return False
        self._sweep()
        found = self._name.fullmatch(self.current.name)
        number = int(found[1]) + 1 if found else 2
        _write(self._next, f"{self.first.stem}.{number}{self.first.suffix}")
        return True

    def switch(self) -> None:
        """What was built is searched from now on, and the file before it is gone.

        Who has that open goes on reading it until its next look.
        """
        if (built := self.next) is not None:
            _write(self._current, built.name)
        self._next.unlink(missing_ok=True)
        self._sweep()

    def discard(self) -> bool:
        """Drop what is being built; whether there was any."""
        was = self.next is not None
        self._next.unlink(missing_ok=True)
        self._sweep()
        return was

    def _sweep(self) -> None:
        """Delete the generations that no pointer names: also what a process left that was killed after its switch."""
        held = {self.current, self.next}
        old = {path for path in self.first.parent.glob("*") if self._name.fullmatch(path.name)}
        for path in {self.first, *old} - held:
            for ending in ENDINGS:
                path.with_name(f"{path.name}{ending}").unlink(missing_ok=True)

    def _named(self, pointer: Path) -> Path | None:
        try:
            name = pointer.read_text("utf-8").strip()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{pointer} can't be read: {error}", reason="index-unusable") from None
        if name != self.first.name and not self._name.fullmatch(name):
            raise UsageError(
                f"{pointer} says {name[:80]!r}, which is no file of this index",
                reason="index-unusable",
                next_step=f"write the file's name into it, as {self.first.stem}.2{self.first.suffix}, or delete it",
            )
        return pointer.with_name(name)


def _write(pointer: Path, name: str) -> None:
    """All of it or nothing, and on the disk."""
    draft = pointer.with_name(f"{pointer.name}.{os.getpid()}")
    with draft.open("w", encoding="utf-8") as file:
        file.write(f"{name}\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, pointer)
    folder = os.open(pointer.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
