"""Stops a call that takes too long, from inside the thread it runs in.

In the main thread SIGALRM does it, elsewhere an exception that a watchdog thread sends (PyThreadState_SetAsyncExc).
Both are delivered between two bytecodes:

| what the call is doing                      | main thread           | another thread        |
|---------------------------------------------|-----------------------|-----------------------|
| Python code, loops, many short C calls      | stopped at once       | stopped at once       |
| `time.sleep`, a lock, a socket, a subprocess| stopped at once       | when that one returns |
| one long C call (parser, numpy, compression)| when that one returns | when that one returns |

A regular expression counts as Python code in the main thread only. What neither can stop must run in a child process.
The interrupt is no Exception, so `except Exception` in the call can't swallow it; where something else did (a
destructor, a callback from C), it is sent again every second. A call that swallows it and returns late has timed out
all the same.
"""

from __future__ import annotations

# What signal's own two functions call; they turn each handler into an enum, at ten times the cost of the call.
import _signal as handlers  # type: ignore[import-not-found]
import ctypes
import math
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Any, Protocol, TypeVar

from penstock.errors import AttemptTimeout
from penstock.resilience.process import one_per_process

T = TypeVar("T")

_AGAIN_SECONDS = 1.0
_SOONEST = 1e-6


class Interrupt(BaseException):
    """Unwinds a call whose time is up; `limit` tells whose."""

    limit: object = None


class _Limit(Protocol):
    fired: bool

    def start(self) -> None: ...

    def stop(self) -> None:
        """From here on nothing is sent any more, and nothing is on its way. May be called again."""
        ...


def call_within(seconds: float, fn: Callable[[], T]) -> T:
    """`fn()`, stopped after `seconds` of wall-clock time. May be nested; the outer limit holds within the inner.

    Raises AttemptTimeout, whose cause tells where the call was stopped, and whatever `fn` raises.
    """
    limit: _Limit = _Alarm(seconds) if _alarm_is_ours() else _Watched(seconds)
    try:
        try:
            limit.start()
            value = fn()
        finally:
            limit.stop()
    except Interrupt as interrupt:
        if interrupt.limit is not limit:
            raise
        raise AttemptTimeout(f"stopped after {seconds:g} s") from interrupt
    finally:
        limit.stop()
    if limit.fired:
        raise AttemptTimeout(f"went on after it was stopped at {seconds:g} s")
    return value


def _alarm_is_ours() -> bool:
    """Whether SIGALRM can be taken and given back: in the main thread, where there is one, unless C code holds it."""
    return (
        threading.get_ident() == threading.main_thread().ident
        and hasattr(signal, "SIGALRM")
        and handlers.getsignal(signal.SIGALRM) is not None
    )


class _Alarm:
    """By ITIMER_REAL. A timer that was running before, an outer limit's or a stranger's, still rings in time."""

    def __init__(self, seconds: float) -> None:
        self.fired = False
        self._seconds = seconds
        self._due = math.inf
        self._before: Any = None
        self._before_due = math.inf
        self._before_interval = 0.0
        self._armed = False
        self._live = False

    def start(self) -> None:
        now = time.monotonic()
        self._due = now + self._seconds
        self._see_timer_before(now)
        self._before = handlers.getsignal(signal.SIGALRM)
        self._armed = True
        handlers.signal(signal.SIGALRM, self._ring)
        self._live = True
        self._set_timer(now)

    def stop(self) -> None:
        self._live = False  # first: an alarm that still comes finds nobody
        if not self._armed:
            return
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        handlers.signal(signal.SIGALRM, self._before)
        if self._before_due < math.inf:
            left = max(self._before_due - time.monotonic(), _SOONEST)
            signal.setitimer(signal.ITIMER_REAL, left, self._before_interval)
        self._armed = False

    def _ring(self, number: int, frame: FrameType | None) -> None:
        if not self._live:
            return
        now = time.monotonic()
        try:
            if self._before_due <= now:
                signal.setitimer(signal.ITIMER_REAL, self._before_interval, self._before_interval)
                try:
                    if callable(self._before):
                        self._before(number, frame)
                finally:
                    self._see_timer_before(now)
            if self._due <= now:
                self._due = now + _AGAIN_SECONDS
                self.fired = True
                raise _interrupt(self)
        finally:
            self._set_timer(now)

    def _see_timer_before(self, now: float) -> None:
        left, self._before_interval = signal.getitimer(signal.ITIMER_REAL)
        self._before_due = now + left if left else math.inf

    def _set_timer(self, now: float) -> None:
        signal.setitimer(signal.ITIMER_REAL, max(min(self._due, self._before_due) - now, _SOONEST))


def _interrupt(limit: object) -> Interrupt:
    interrupt = Interrupt()
    interrupt.limit = limit
    return interrupt


class _Watched:
    """By the process's watchdog."""

    def __init__(self, seconds: float) -> None:
        self.fired = False
        self.thread = threading.get_ident()
        self.due = time.monotonic() + seconds
        self._watchdog = _watchdog()

    def start(self) -> None:
        self._watchdog.add(self)

    def stop(self) -> None:
        self._watchdog.remove(self)

    def interrupt(self) -> None:
        """Called by the watchdog, under its lock."""
        self.fired = True
        self.due = time.monotonic() + _AGAIN_SECONDS
        _send(self.thread, type("Interrupt", (Interrupt,), {"limit": self}))


class _Watchdog(threading.Thread):
    """Sends interrupts to the threads whose limit is due.

    It holds only the calls that are running, at most a few a thread, so it looks at all of them when it wakes; adding
    one wakes it only when that one is due before all others. An interrupt may strike a thread in `add` or `remove`:
    lock and bell are C objects, which it can't leave half-way, as it could a Condition or an Event.
    """

    def __init__(self) -> None:
        super().__init__(name="penstock-watchdog", daemon=True)
        self._lock = threading.Lock()
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._limits: set[_Watched] = set()
        self._wakes_at = math.inf

    def add(self, limit: _Watched) -> None:
        with self._lock:
            self._limits.add(limit)
            if limit.due < self._wakes_at:
                self._bell.put(None)

    def remove(self, limit: _Watched) -> None:
        """After this no interrupt of `limit` is pending: one that was sent and not yet delivered is withdrawn."""
        with self._lock:
            if limit in self._limits:
                self._limits.discard(limit)
                if limit.fired:
                    _send(limit.thread, None)

    def run(self) -> None:
        while True:
            with self._lock:
                now = time.monotonic()
                for limit in self._limits:
                    if limit.due <= now:
                        limit.interrupt()
                self._wakes_at = min((limit.due for limit in self._limits), default=math.inf)
            with suppress(Empty):
                self._bell.get(timeout=None if self._wakes_at == math.inf else max(self._wakes_at - now, 0.0))


@one_per_process
def _watchdog() -> _Watchdog:
    watchdog = _Watchdog()
    watchdog.start()
    return watchdog


def _send(thread: int, interrupt: type[Interrupt] | None) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread), None if interrupt is None else ctypes.py_object(interrupt)
    )
