from __future__ import annotations

import asyncio
import os
import threading
from typing import Any

import pytest

from penstock.resilience.loop import LoopThread, loop_thread
from penstock.resilience.process import one_per_process


def test_threads_that_ask_at_the_same_moment_get_the_same_thing() -> None:
    made: list[object] = []
    all_here = threading.Barrier(8)

    def make() -> object:
        made.append(object())
        threading.Event().wait(0.02)
        return made[-1]

    get = one_per_process(make)
    found: list[object] = []

    def body() -> None:
        all_here.wait()
        found.append(get())

    threads = [threading.Thread(target=body) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert found == made * 8


def test_a_forked_child_has_a_loop_of_its_own_that_runs() -> None:
    async def answer() -> int:
        return 42

    assert loop_thread().run(answer()) == 42
    child = os.fork()
    if child == 0:
        os._exit(loop_thread().submit(answer()).result(5))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 42


def test_an_interrupted_wait_cancels_the_work() -> None:
    started, cancelled = threading.Event(), threading.Event()

    async def work() -> None:
        started.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    from penstock.errors import AttemptTimeout
    from penstock.resilience.timeout import call_within

    with pytest.raises(AttemptTimeout):
        call_within(0.05, lambda: loop_thread().run(work()))
    assert started.is_set()
    assert cancelled.wait(5)


def test_waiting_in_the_loops_own_thread_is_refused_rather_than_never_ending() -> None:
    loop = LoopThread()

    async def nothing() -> None: ...

    async def waits_for_itself() -> Any:
        return loop.run(nothing())

    with pytest.raises(RuntimeError, match="own thread"):
        loop.submit(waits_for_itself()).result(5)
