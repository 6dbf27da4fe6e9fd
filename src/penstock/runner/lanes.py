"""Work that waits for different services goes side by side, so that none holds up another's.

Each lane's work is done in one thread, in its order; what becomes of it is committed in the thread that asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Any, Protocol

from penstock.errors import Stopped
from penstock.runner.bisect import ServiceAway

MOST = 32
"""Lanes that are worked on at a time."""


class Lane(Protocol):
    """Hands over what becomes of its work by `settle`, as often as it likes, and calls `stop` between two documents.
    Raises what `stop` raises, ServiceAway, and whatever must end the others, too."""

    def __call__(self, *, settle: Callable[..., None], stop: Callable[[], None]) -> None: ...


def side_by_side(
    lanes: Mapping[str, Lane], settle: Callable[[list[tuple[Any, ...]]], None], stop: Callable[[], None]
) -> dict[str, ServiceAway]:
    """Work them all off; answered are those whose service is away.

    `settle` is called in this thread, with what any of the lanes have handed over since the last time.

    Any other error of a lane, or of `settle`, ends the others at their next document, then it is raised. An error that
    strikes this thread does not wait for them: what they do after that is nobody's, and leases see to it.
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
    try:
        while working:
            handed = [done.get()]
            while not done.empty():
                handed.append(done.get())
            working -= handed.count(None)
            settle([settled for settled in handed if settled])
    finally:
        halt.set()
    if broken:
        raise broken[0]
    return away
