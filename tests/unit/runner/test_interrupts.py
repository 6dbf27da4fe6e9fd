"""A signal is held until a document is done; a second one gets through."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from penstock.errors import Stopped
from penstock.runner.interrupts import held_interrupts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_answered_when_asked(number: signal.Signals) -> None:
    with held_interrupts() as stop:
        stop()
        os.kill(os.getpid(), number)
        with pytest.raises(Stopped, match=number.name):
            stop()
        assert stop.received is number


def test_a_second_interrupt_gets_through() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a script's background jobs ignore it
    try:
        with held_interrupts() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            assert stop.received is signal.SIGINT
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_afterwards_signals_are_as_they_were() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with held_interrupts():
        assert signal.getsignal(signal.SIGTERM) is not before[signal.SIGTERM]
    assert {number: signal.getsignal(number) for number in before} == before


def test_a_thread_other_than_the_main_one_holds_nothing() -> None:
    handlers = []

    def work() -> None:
        with held_interrupts() as stop:
            handlers.append(signal.getsignal(signal.SIGTERM))
            stop()

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert handlers == [before]
