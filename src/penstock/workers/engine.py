"""The Protocol of engines: a PDF in, what stands on its pages out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel

from penstock.workers.parsed import Parsed

Progress = Callable[[int, int], None]
"""Called with (pages done, pages in all) whenever a page is done: a limit on a page's time is counted from call to
call."""

LOST = "engine-lost"
"""The reason of an EngineUnavailable that came while the engine was at this very document: what it asks died, was
started anew or hung. That may well be the document's doing, so it counts like the death of a process that parses."""


class Engine(Protocol):
    """An engine is constructed in a child process, `cls(options)`, and parses one PDF after the other there.

    `version` rises whenever what it gives for the same bytes may change. Whatever it raises that is no PenstockError
    is a bug of its own, and the document's end ("unexpected").
    """

    name: str
    version: str
    Options: type[BaseModel]

    def parse(self, pdf: Path, progress: Progress) -> Parsed:
        """Raises BadInput (encrypted, corrupt, no-pages, too-large, no-text-layer) for what no other try would mend,
        EngineUnavailable when the engine itself can't work: then the document is given back untouched."""
        ...
