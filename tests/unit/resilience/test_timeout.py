from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from penstock.errors import AttemptTimeout
from penstock.resilience.timeout import _Alarm, call_within


def spin() -> None:
    while True:
        pass


def nap() -> None:
    while True:
        time.sleep(0.005)


def in_thread(run: Callable[[], Any]) -> Any:
    """`run()` in another thread; its result, or the exception it raised."""
    found: list[Any] = []

    def body() -> None:
        try:
            found.append(run())
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join(20)
    assert not thread.is_alive(), "was not stopped"
    return found[0]


def in_main(run: Callable[[], Any]) -> Any:
    try:
        return run()
    except BaseException as error:
        return error


both = pytest.mark.parametrize("where", [in_main, in_thread])


@pytest.fixture(autouse=True)
def _leaves_no_alarm_behind() -> Iterator[None]:
    before = signal.getsignal(signal.SIGALRM)
    yield
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) is before


@both
def test_a_call_in_time_gives_its_value(where: Callable[..., Any]) -> None:
    assert where(lambda: call_within(5, lambda: 42)) == 42


@both
def test_a_calls_own_error_comes_through(where: Callable[..., Any]) -> None:
    def fail() -> None:
        raise KeyError("x")

    assert isinstance(where(lambda: call_within(5, fail)), KeyError)


@both
@pytest.mark.parametrize("work", [spin, nap])
def test_a_looping_call_is_stopped(where: Callable[..., Any], work: Callable[[], None]) -> None:
    error = where(lambda: call_within(0.03, work))
    assert isinstance(error, AttemptTimeout)
    assert error.__cause__ is not None
    names = []
    trace = error.__cause__.__traceback__
    while trace:
        names.append(trace.tb_frame.f_code.co_name)
        trace = trace.tb_next
    assert work.__name__ in names, "the cause tells where it was stopped"


def test_one_long_sleep_is_stopped_in_the_main_thread() -> None:
    with pytest.raises(AttemptTimeout):
        call_within(0.03, lambda: time.sleep(60))


def test_a_lock_that_never_comes_is_given_up_in_the_main_thread() -> None:
    lock = threading.Lock()
    lock.acquire()
    with pytest.raises(AttemptTimeout):
        call_within(0.03, lock.acquire)


@both
def test_a_call_cannot_swallow_it_as_an_exception(where: Callable[..., Any]) -> None:
    def stubborn() -> None:
        while True:
            try:
                nap()
            except Exception:
                continue

    assert isinstance(where(lambda: call_within(0.03, stubborn)), AttemptTimeout)


@both
def test_a_call_that_swallows_it_all_the_same_and_goes_on_has_timed_out(where: Callable[..., Any]) -> None:
    def stubborn() -> str:
        with suppress(BaseException):
            nap()
        return "late"

    assert isinstance(where(lambda: call_within(0.03, stubborn)), AttemptTimeout)


@both
def test_it_is_sent_again_where_the_first_was_lost(where: Callable[..., Any], monkeypatch: Any) -> None:
    monkeypatch.setattr("penstock.resilience.timeout._AGAIN_SECONDS", 0.05)

    def loses_one() -> None:
        with suppress(BaseException):
            nap()
        nap()

    assert isinstance(where(lambda: call_within(0.03, loses_one)), AttemptTimeout)


@both
def test_the_outer_limit_holds_within_an_inner_one(where: Callable[..., Any]) -> None:
    reached: list[str] = []

    def inner() -> None:
        call_within(60, nap)

    def outer() -> None:
        try:
            inner()
        except AttemptTimeout:
            reached.append("taken for the inner's")
            raise

    error = where(lambda: call_within(0.03, outer))
    assert isinstance(error, AttemptTimeout)
    assert "0.03" in str(error)
    assert reached == []


@both
def test_an_inner_limit_stops_only_the_inner_call_and_the_outer_still_rings(where: Callable[..., Any]) -> None:
    def outer() -> str:
        with pytest.raises(AttemptTimeout, match=r"0\.02"):
            call_within(0.02, nap)
        nap()
        return "never"

    error = where(lambda: call_within(0.1, outer))
    assert isinstance(error, AttemptTimeout)
    assert "0.1" in str(error)


def test_a_strangers_alarm_rings_in_time_and_is_given_back() -> None:
    rang: list[str] = []
    before = signal.signal(signal.SIGALRM, lambda *_: rang.append("stranger"))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.03)
        call_within(60, lambda: time.sleep(0.06))
        assert rang == ["stranger"]

        signal.setitimer(signal.ITIMER_REAL, 0.08)
        with pytest.raises(AttemptTimeout):
            call_within(0.03, nap)
        assert rang == ["stranger"]
        time.sleep(0.1)
        assert rang == ["stranger", "stranger"]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@both
def test_nothing_strikes_after_the_call_has_returned(where: Callable[..., Any]) -> None:
    """Calls that end just when their time is up: whichever wins, nothing may leak into what follows."""

    def race() -> tuple[int, int]:
        done = stopped = 0
        for number in range(300):
            seconds = 0.0005 + number % 7 * 0.00003
            until = time.monotonic() + 0.0005

            def work(until: float = until) -> bool:
                while time.monotonic() < until:
                    pass
                return True

            try:
                done += call_within(seconds, work)
            except AttemptTimeout:
                stopped += 1
            for _ in range(50):  # an interrupt that was left over would strike here
                number += 1
        return done, stopped

    counts = where(race)
    assert isinstance(counts, tuple), counts
    assert sum(counts) == 300


def test_an_alarm_that_comes_after_the_call_has_returned_finds_nobody() -> None:
    alarm = _Alarm(0.001)
    alarm.start()
    alarm._live = False  # as stop() begins
    time.sleep(0.005)  # it rings here, and must neither raise nor wind itself up again
    alarm.stop()
    assert not alarm.fired


def test_a_keyboard_interrupt_goes_through() -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        call_within(5, interrupted)


def test_many_threads_are_stopped_each_by_its_own_limit() -> None:
    found: list[str] = []

    def body(seconds: float) -> None:
        try:
            call_within(seconds, nap)
        except AttemptTimeout as error:
            found.append(str(error))

    limits = [0.02 * (n + 1) for n in range(6)]
    threads = [threading.Thread(target=body, args=(seconds,)) for seconds in limits]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(found) == sorted(f"stopped after {seconds:g} s" for seconds in limits)
