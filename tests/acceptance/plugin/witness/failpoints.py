"""Moments at which a process can be made to die or to stand still, without a line for it in the product.

A failpoint is `moment place #n`: the n-th time that a process comes to `enter` (a write is about to begin), `before`
(it is about to be committed) or `after` (it has been) of a place. Places are the function of the ledger or graph that
writes, `SqliteSearchIndex.replace`, and `FileArtifacts.put` (where the commit is a rename).
`arm` reads the environment: FAILPOINT is where the process sends itself FAILSIGNAL (SIGKILL by default); the file
that FAILPOINTS names is told of every failpoint passed. The heartbeat's writes come by the clock and don't count.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from penstock.ledger.database import Database
from penstock.stores.search_file import SearchFile

PASSING = ("contextlib.py", "failpoints.py")
"""Files whose frames are not the place."""


def arm() -> None:
    passed: Counter[str] = Counter()
    deadly, log = os.environ.get("FAILPOINT"), os.environ.get("FAILPOINTS")
    chosen = signal.Signals[os.environ.get("FAILSIGNAL", "SIGKILL")]

    def at(moment: str, place: str) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        name = f"{moment} {place}"
        passed[name] += 1
        name = f"{name} #{passed[name]}"
        if log:
            with open(log, "a") as file:
                file.write(f"{name}\n")
        if name == deadly:
            os.kill(os.getpid(), chosen)

    Database.write = _watched(Database.write, at)  # type: ignore[method-assign]
    SearchFile.writing = _watched(SearchFile.writing, at)  # type: ignore[method-assign]
    rename = os.replace

    def replace(source: Any, target: Any) -> None:
        at("before", "FileArtifacts.put")
        rename(source, target)
        at("after", "FileArtifacts.put")

    os.replace = replace  # type: ignore[assignment]


def _watched(
    transaction: Callable[..., AbstractContextManager[Any]], at: Callable[[str, str], None]
) -> Callable[..., AbstractContextManager[Any]]:
    @contextmanager
    def watched(*arguments: Any, **options: Any) -> Iterator[Any]:
        place = _place()
        at("enter", place)
        with transaction(*arguments, **options) as connection:
            yield connection
            at("before", place)
        at("after", place)

    return watched


def _place() -> str:
    """The function whose write this is, by its public name; `_turn` only opens the graph's transactions for others."""
    frame = sys._getframe(1)
    while frame.f_code.co_filename.endswith(PASSING) or frame.f_code.co_name == "_turn":
        assert frame.f_back is not None
        frame = frame.f_back
    return frame.f_code.co_qualname.replace("._", ".")
