"""Things of which a process has one."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def one_per_process(make: Callable[[], T]) -> Callable[[], T]:
    """`make`, called at most once in a process, also when threads ask at the same moment (functools.cache would call
    it for each of them). A forked child makes its own: threads don't survive a fork."""
    made: dict[int, T] = {}
    making = threading.Lock()

    def get() -> T:
        process = os.getpid()
        if process not in made:
            with making:
                if process not in made:
                    made[process] = make()
        return made[process]

    return get
