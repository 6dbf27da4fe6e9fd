"""Work that waits for different services goes side by side, so that none holds up another's.

Each lane's work is done in one thread, in its order; what becomes of it is committed in the thread that asked.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Any, Protocol

from penstock.errors import Stopped
from penstock.runner.bisect import ServiceAway

MOST = 32
"""Lanes that are worked on at a time."""

GRACE_SECONDS = 2.0
"""So long are lanes waited for once the end is certain. A download may take minutes."""
_ASK_SECONDS = 0.2


class Lane(Protocol):
    """Hands over what becomes of its work by `settle`, as often as it likes, and calls `stop` between two documents.
    Raises what `stop` raises, ServiceAway, and whatever must end the others, too."""

    def __call__(self, *, settle: Callable[..., None], stop: Callable[[], None]) -> None: ...


def side_by_side(
    lanes: Mapping[str, Lane], settle: Callable[[list[tuple[Any, ...]]], None], stop: Callable[[], None]
) -> dict[str, ServiceAway]:
    """Work them all off; answered are those whose service is away.

    `settle` is called in this thread, with what any of the lanes have handed over since the last time; `stop` here and
    in the lanes.

    What `stop` raises, like any other error of a lane, ends them all at their next document, then it is raised. Who is
    in the middle of one is waited for `GRACE_SECONDS`, and not at all where an error strikes this thread: what they do
    after that is nobody's, and leases see to it.
    """
    todo: SimpleQueue[tuple[str, Lane]] = SimpleQueue()
    done: SimpleQueue[tuple[Any, ...] | None] = SimpleQueue()
    away: dict[str, ServiceAway] = {}
    broken: list[BaseException] = []
    halt = Event()

    def halting() -> None:
        if halt.is_set():
            raise Stopped("the stage has ended")
        stop()

    def work() -> None:
        try:
            while not halt.is_set():
                name, lane = todo.get_nowait()
                try:
                    lane(settle=lambda *settled: done.put(settled), stop=halting)
                except ServiceAway as error:
                    away[name] = error
        except Empty:
            pass
        except BaseException as error:  # noqa: BLE001 — whatever it is, it is raised where the work was asked for
            broken.append(error)
            halt.set()
        finally:
            done.put(None)

    for named in lanes.items():
        todo.put(named)
    working = min(MOST, len(lanes))
    for _ in range(working):
        Thread(target=work, name="penstock-lane", daemon=True).start()
    due = math.inf
    try:
        while working and time.monotonic() < due:
            if handed := _handed(done):
                working -= handed.count(None)
                settle([settled for settled in handed if settled])
            if not halt.is_set():
                try:
                    stop()
                except Stopped as error:
                    broken.append(error)
                    halt.set()
            if halt.is_set():
                due = min(due, time.monotonic() + GRACE_SECONDS)
    finally:
        halt.set()
    if broken:
        raise broken[0]
    return away


def _handed(done: SimpleQueue[tuple[Any, ...] | None]) -> list[tuple[Any, ...] | None]:
    """All there is, waiting a moment for the first."""
    handed = []
    try:
        handed.append(done.get(timeout=_ASK_SECONDS))
        while True:
            handed.append(done.get_nowait())
    except Empty:
        return handed
