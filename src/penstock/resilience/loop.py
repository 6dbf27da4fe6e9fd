"""One event loop in a thread of its own, for as long as the process lives: aiolimiter and HTTP connections belong to
one loop for ever, whoever calls, from whatever thread or loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from penstock.resilience.process import one_per_process

T = TypeVar("T")


class LoopThread:
    """A daemon thread that runs coroutines handed to it from other threads."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="penstock-loop", daemon=True)
        self._thread.start()

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Start `work` there. Cancelling the future cancels the work."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Its result. An exception that strikes the waiting thread cancels the work and goes on.

        Raises RuntimeError when called in the loop's own thread, which would wait for itself.
        """
        if threading.get_ident() == self._thread.ident:
            work.close()
            raise RuntimeError("blocking call in the event loop's own thread")
        future = self.submit(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise


@one_per_process
def loop_thread() -> LoopThread:
    """This process's."""
    return LoopThread()
