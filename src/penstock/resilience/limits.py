"""How fast a service may be called, and pauses that a service asked for. Shared by all who call it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

from penstock.resilience.loop import loop_thread
from penstock.resilience.process import one_per_process

if TYPE_CHECKING:
    from aiolimiter import AsyncLimiter

_MOST_KEYS = 4096


class Limits(Protocol):
    """The seam for limits wider than one process. Durations rather than moments: processes share no clock."""

    def acquire(self, key: str, rate: float) -> Future[None]:
        """Done when one more call under `key` keeps within `rate` a second. Cancel it to give the place up."""
        ...

    def pause(self, key: str, seconds: float) -> None:
        """Nobody calls `key` for so long. Never shortens a pause."""
        ...

    def paused(self, key: str) -> float:
        """Seconds left of the pause, 0 when there is none."""
        ...


class LocalLimits:
    """For the threads and tasks of this process.

    Calls are spaced evenly: never more than `rate` in any second, where a bucket of `rate` would let twice as many
    through at its edge. All limiters live on the process's one event loop, as aiolimiter asks.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}
        self._limiters: dict[tuple[str, float], AsyncLimiter] = {}
        self._lock = threading.Lock()

    def acquire(self, key: str, rate: float) -> Future[None]:
        return loop_thread().submit(self._acquire(key, rate))

    def pause(self, key: str, seconds: float) -> None:
        now = self._clock()
        with self._lock:
            if len(self._until) >= _MOST_KEYS:
                self._until = {k: until for k, until in self._until.items() if until > now}
            self._until[key] = max(now + seconds, self._until.get(key, 0.0))

    def paused(self, key: str) -> float:
        until = self._until.get(key)
        return max(until - self._clock(), 0.0) if until is not None else 0.0

    async def _acquire(self, key: str, rate: float) -> None:
        await self._limiter(key, rate).acquire()

    def _limiter(self, key: str, rate: float) -> AsyncLimiter:
        """Only called on the loop's thread, hence without a lock."""
        from aiolimiter import AsyncLimiter

        if len(self._limiters) >= _MOST_KEYS:
            self._limiters = {k: limiter for k, limiter in self._limiters.items() if not limiter.has_capacity()}
        return self._limiters.setdefault((key, rate), AsyncLimiter(1, 1 / rate))


@one_per_process
def process_limits() -> LocalLimits:
    """The limits that everything in this process shares."""
    return LocalLimits()


class Turns(Protocol):
    """A place that several processes share, such as a row for each key in a database, with a clock of its own."""

    def take(self, key: str, rate: float) -> tuple[float, Mapping[str, float]]:
        """Take the next turn under `key`, of `rate` a second, evenly spaced.

        The seconds until it has come, and those left of each pause there is, by its key.
        """
        ...

    def pause(self, key: str, seconds: float) -> None:
        """Never shortens a pause."""
        ...


class SharedLimits:
    """For all processes that share a `Turns`, which is asked for when it is first needed, in a thread of its own.

    Turns are given in the order they are asked for, so none is starved. A pause that another process was told of is
    known here with the next turn; a turn whose call is given up is lost, which nobody has to wait for twice.
    """

    def __init__(self, turns: Callable[[], Turns]) -> None:
        self._turns = turns
        self._here = LocalLimits()
        self._thread = ThreadPoolExecutor(1, "penstock-limits")
        self._told: Future[None] | None = None

    def acquire(self, key: str, rate: float) -> Future[None]:
        return loop_thread().submit(self._acquire(key, rate))

    def pause(self, key: str, seconds: float) -> None:
        """Known here at once, and to the others as soon as it is written; if that fails, the next turn does too."""
        self._here.pause(key, seconds)
        self._told = self._thread.submit(lambda: self._turns().pause(key, seconds))

    def paused(self, key: str) -> float:
        return self._here.paused(key)

    def close(self) -> None:
        """Wait for what is being written."""
        self._thread.shutdown(wait=True)

    async def _acquire(self, key: str, rate: float) -> None:
        await asyncio.sleep(await asyncio.wrap_future(self._thread.submit(self._take, key, rate)))

    def _take(self, key: str, rate: float) -> float:
        told, self._told = self._told, None
        if told is not None:
            told.result()
        seconds, pauses = self._turns().take(key, rate)
        for paused, left in pauses.items():
            self._here.pause(paused, left)
        return seconds
