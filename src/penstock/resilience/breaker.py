"""A circuit breaker: after too many service faults in a row nothing is tried for a while, then one trial decides.

pybreaker keeps the state. It would hold its lock while a call runs and time the pause by the wall clock, so calls run
outside it and only their outcome is fed in, and the pause is measured here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from penstock.errors import CircuitOpen, StoreBusy, TransientError
from penstock.resilience.classify import classify
from penstock.resilience.policy import CircuitBreakerPolicy


def is_service_fault(error: BaseException) -> bool:
    """Refused, reset, timed out, 429, 5xx. Not: a bad item, a bug, a locked database, a call that was not made."""
    return isinstance(error, TransientError) and not isinstance(error, (CircuitOpen, StoreBusy))


class Breaker:
    """In pairs: `trial = admit()` before a call, then exactly one `record(outcome, trial)`. For threads and tasks."""

    def __init__(self, name: str, policy: CircuitBreakerPolicy, *, clock: Callable[[], float] = time.monotonic) -> None:
        from pybreaker import STATE_CLOSED, CircuitBreaker

        self.name = name
        self._pause = policy.reset_timeout_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._closed = STATE_CLOSED
        self._state = CircuitBreaker(fail_max=policy.failure_threshold, reset_timeout=self._pause)
        self._opened_at = 0.0
        self._trial = False

    @property
    def retry_after(self) -> float | None:
        """Seconds until a trial is let through; None while it is closed."""
        with self._lock:
            return None if self._state.current_state == self._closed else self._left()

    def admit(self) -> bool:
        """Let a call through: True when it is the trial. Raises CircuitOpen with the seconds to wait; while a trial
        runs nothing else passes."""
        with self._lock:
            if self._state.current_state == self._closed:
                return False
            left = self._left()
            if left > 0 or self._trial:
                raise CircuitOpen(f"{self.name}: not tried, too many faults in a row", retry_after=left)
            self._state.half_open()
            self._trial = True
            return True

    def record(self, outcome: BaseException | None, trial: bool) -> None:
        """What became of an admitted call. Only a service fault counts against the service, only a success for it."""
        from pybreaker import CircuitBreakerError

        with self._lock:
            if trial:
                self._trial = False
            elif self._state.current_state != self._closed:
                return  # let through before the breaker opened: too late to tell anything
            if outcome is None:
                if trial or self._state.fail_counter:
                    self._state.call(_succeed)
            elif is_service_fault(outcome):
                with suppress(CircuitBreakerError, TransientError):  # thrown back, or told of the trip
                    self._state.call(_fail, outcome)
                if self._state.current_state != self._closed:
                    self._opened_at = self._clock()

    def passed(self) -> None:
        """Something got through that was not admitted here: whatever was counted, the service is there."""
        with self._lock:
            if self._state.current_state != self._closed:
                self._state.close()
            elif self._state.fail_counter:
                self._state.call(_succeed)

    def forget(self, trial: bool) -> None:
        """An admitted call that was not made after all, or was broken off from outside: it tells nothing."""
        with self._lock:
            self._trial = self._trial and not trial

    def _left(self) -> float:
        return max(self._opened_at + self._pause - self._clock(), 0.0)


@contextmanager
def hearing(breaker: Breaker | None, first: bool) -> Iterator[None]:
    """A call that a breaker, if there is one, lets through and hears of; of one that is not the first only good."""
    if breaker is None:
        yield
        return
    trial = breaker.admit() if first else False
    try:
        yield
    except Exception as error:
        if first:
            breaker.record(classify(error), trial)
        raise
    except BaseException:
        breaker.forget(trial)
        raise
    if first:
        breaker.record(None, trial)
    else:
        breaker.passed()


def _succeed() -> None:
    """An outcome for pybreaker to count."""


def _fail(fault: BaseException) -> None:
    raise fault
