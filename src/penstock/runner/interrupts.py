"""SIGINT and SIGTERM, held while a group is being worked on and answered between documents."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from penstock.errors import Stopped


class Interrupts:
    """Call it between documents: it raises Stopped once a signal has come. `received` is that signal, or None."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None

    def __call__(self) -> None:
        if self.received is not None:
            raise Stopped(f"stopped by {self.received.name}; what was under way is given back")


@contextmanager
def held_interrupts() -> Iterator[Interrupts]:
    """Hold SIGINT and SIGTERM within the block. A second one of the same kind gets through. Main thread only."""
    interrupts = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return
    before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}

    def hold(number: int, frame: FrameType | None) -> None:
        interrupts.received = signal.Signals(number)
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, hold)
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
