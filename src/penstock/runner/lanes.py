"""Work that waits for different services goes side by side, so that none holds up another's.

Each lane's work is done in its order, never two parts of it at a time; what becomes of it is committed in the thread
that asked.
"""

from __future__ import annotations

import math
import resource
import time
from collections import deque
from collections.abc import Callable, Mapping
from queue import Empty, SimpleQueue
from threading import Event, Lock, Thread
from typing import Any, Protocol

from penstock.errors import Stopped

MOST = 256
"""Lanes that are worked on at a time. Most of what their threads do is wait."""
FILES_EACH = 3
"""Files that a lane may have open: a connection, what it brings, the store. Half of what this process may open is left
to others."""

GRACE_SECONDS = 2.0
"""So long are lanes waited for once the end is certain. A download may take minutes."""
_ASK_SECONDS = 0.2


class Part(Protocol):
    """Some work of a lane. Hands over what becomes of it by `settle`, as often as it likes, and calls `stop` between
    two documents. Raises what `stop` raises, and whatever must end the others, too."""

    def __call__(self, *, settle: Callable[..., None], stop: Callable[[], None]) -> None: ...


def side_by_side(
    more: Callable[[], Mapping[str, Part]],
    settle: Callable[[list[tuple[Any, ...]]], None],
    stop: Callable[[], None],
) -> None:
    """Work off what `more` gives, parts by lane, until it gives nothing though all is through.

    `more` and `settle` are called in this thread by turns, the latter with what any of the lanes have handed over
    since the last time; `stop` here and in the lanes.

    What `stop` raises, like any other error of a lane, ends them all at their next document, then it is raised. Who is
    in the middle of one is waited for `GRACE_SECONDS`, and not at all where an error strikes this thread: what they do
    after that is nobody's, and leases see to it.
    """
    lanes = _Lanes(stop)
    due = math.inf
    try:
        while time.monotonic() < due:
            further: Mapping[str, Part] = {}
            if lanes.halt.is_set():
                due = min(due, time.monotonic() + GRACE_SECONDS)
            else:
                try:
                    stop()
                    further = more()
                except Stopped as error:
                    lanes.broken.append(error)
                    lanes.halt.set()
            for name, part in further.items():
                lanes.add(name, part)
            if not lanes.parts:
                break
            if handed := lanes.handed(0.0 if further else _ASK_SECONDS):
                settle(handed)
    finally:
        lanes.end()
    if lanes.broken:
        raise lanes.broken[0]


class _Lanes:
    """The threads at work, and what there is for them. `parts` (touched by the asking thread alone) are those that
    were added and are not through; `broken` what a lane, or somebody else, must end for."""

    def __init__(self, stop: Callable[[], None]) -> None:
        self.parts = 0
        self.broken: list[BaseException] = []
        self.halt = Event()
        self._stop = stop
        self._most = _at_a_time()
        self._waiting: dict[str, deque[Part]] = {}  # the first of each is due, or somebody is at it
        self._lock = Lock()
        self._due: SimpleQueue[str | None] = SimpleQueue()
        self._done: SimpleQueue[tuple[Any, ...] | None] = SimpleQueue()
        self._threads = 0

    def add(self, name: str, part: Part) -> None:
        self.parts += 1
        with self._lock:
            is_new = name not in self._waiting
            self._waiting.setdefault(name, deque()).append(part)
            wanted = min(self._most, len(self._waiting))
        if is_new:
            self._due.put(name)
        if self._threads < wanted:
            self._threads += 1
            Thread(target=self._work, name="penstock-lane", daemon=True).start()

    def handed(self, seconds: float) -> list[tuple[Any, ...]]:
        """All that was handed over, waiting so long for the first."""
        found = []
        try:
            found.append(self._done.get(timeout=seconds))
            while True:
                found.append(self._done.get_nowait())
        except Empty:
            pass
        self.parts -= found.count(None)
        return [settled for settled in found if settled]

    def end(self) -> None:
        self.halt.set()
        for _ in range(self._threads):
            self._due.put(None)

    def _work(self) -> None:
        while (name := self._due.get()) is not None:
            try:
                if not self.halt.is_set():
                    self._waiting[name][0](settle=lambda *settled: self._done.put(settled), stop=self._halting)
            except BaseException as error:  # noqa: BLE001 — whatever it is, it is raised where the work was asked for
                self.broken.append(error)
                self.halt.set()
            with self._lock:
                parts = self._waiting[name]
                parts.popleft()
                if not parts:
                    del self._waiting[name]
            if parts:
                self._due.put(name)
            self._done.put(None)

    def _halting(self) -> None:
        if self.halt.is_set():
            raise Stopped("the stage has ended")
        self._stop()


def _at_a_time() -> int:
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MOST if files == resource.RLIM_INFINITY else max(1, min(MOST, files // (2 * FILES_EACH)))
