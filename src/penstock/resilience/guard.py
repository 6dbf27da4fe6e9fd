"""A guard: a policy made ready to wrap calls.

From the outside in: deadline → retry → breaker → rate limit → attempt timeout → call. One layer of retries only, and
only for TransientErrors; an open breaker is never waited for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Self, TypeVar, cast

from penstock.errors import AttemptTimeout, CircuitOpen, PenstockError, RateLimited, TransientError
from penstock.resilience.backoff import backoff
from penstock.resilience.breaker import Breaker
from penstock.resilience.classify import classify
from penstock.resilience.limits import Limits, process_limits
from penstock.resilience.retry_after import until
from penstock.resilience.timeout import call_within

if TYPE_CHECKING:
    from tenacity import RetryCallState

    from penstock.resilience.policy import Policy

T = TypeVar("T")

LONGEST_WAIT = 120.0
"""Seconds a call waits before its next attempt at most. A service that asks for more gets a failed job that comes back
later, rather than a worker that sleeps."""


class Outcome(NamedTuple, Generic[T]):
    value: T
    attempts: int


class Attempt(NamedTuple):
    """One attempt that was made: its number from 1, how long it took, and what it failed with, if it did."""

    guard: str
    number: int
    seconds: float
    error: PenstockError | None


class Guard:
    """Wraps calls of one service under one policy; safe to share between threads and tasks.

    `name` keys breaker and rate limit. `host` is whom a Retry-After pauses, for everyone who calls it, under whatever
    policy; where it is given, TransientErrors name it as theirs. A guard raises PenstockErrors only, with the number of
    `attempts` made (0: not tried), and lets through what is no Exception: cancellation, KeyboardInterrupt, an interrupt
    of an outer guard.
    """

    def __init__(
        self,
        policy: Policy,
        name: str,
        *,
        host: str | None = None,
        limits: Limits | None = None,
        on_attempt: Callable[[Attempt], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        sleep_async: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.policy = policy
        self.name = name
        self.host = host or name
        self.blamed = host or ""
        self.breaker = Breaker(name, policy.circuit_breaker, clock=clock) if policy.circuit_breaker else None
        self.limits = limits or process_limits()
        self.on_attempt = on_attempt
        self.clock = clock
        self._sleep = sleep
        self._sleep_async = sleep_async

    def call(self, fn: Callable[[], T]) -> Outcome[T]:
        """`fn()` in this thread, each attempt stopped when its time is up (timeout.py says what can be stopped)."""
        call = _Call(self)
        try:
            return Outcome(self._attempt(fn, call), 1)
        except TransientError as error:
            if not self._may_retry(error):
                raise
            first = [error]

        def again() -> Outcome[T]:
            if first:  # made above, since most calls need no second attempt and tenacity takes a while to set up
                raise first.pop()
            return Outcome(self._attempt(fn, call), call.attempts)

        from tenacity import Retrying

        return Retrying(sleep=self._sleep, **self._tactics(call, self._may_retry))(again)

    async def call_async(
        self,
        fn: Callable[[float], Awaitable[T]],
        what: str = "",
        *,
        may_retry: Callable[[TransientError], bool] = lambda _: True,
        deadline: float | None = None,
    ) -> Outcome[T]:
        """`await fn(seconds)`, each attempt cancelled when its seconds are up. `may_retry` can forbid repeating.

        `what` is how errors name the call, else it is the guard's name. `deadline`: seconds for all attempts, where
        fewer are left than the policy gives.
        """
        from tenacity import AsyncRetrying

        call = _Call(self, what, deadline)

        async def attempt() -> Outcome[T]:
            return Outcome(await self._attempt_async(fn, call), call.attempts)

        tactics = self._tactics(call, lambda error: self._may_retry(error) and may_retry(error))
        return cast(Outcome[T], await AsyncRetrying(sleep=self._sleep_async, **tactics)(attempt))

    def without_breaker(self) -> Guard:
        """The same for whoever asks the breaker himself. Itself where there is none."""
        if self.breaker is None:
            return self
        policy = self.policy.model_copy(update={"circuit_breaker": None})
        return Guard(policy, self.name, host=self.host, limits=self.limits, on_attempt=self.on_attempt)

    def _attempt(self, fn: Callable[[], T], call: _Call) -> T:
        with call:
            call.admit()
            while pause := self._pause(call):
                self._sleep(pause)
            while self.policy.rate_limit_per_second:
                turn = self.limits.acquire(self.name, self.policy.rate_limit_per_second)
                try:
                    turn.result(call.seconds_left)
                except TimeoutError as error:
                    raise call.too_late() from error
                finally:
                    turn.cancel()  # gives the place up when the deadline or an interrupt came first
                if not (pause := self._pause(call)):
                    break
                self._sleep(pause)  # one that others met with while this call waited for its turn
            return call_within(call.start(), fn)

    async def _attempt_async(self, fn: Callable[[float], Awaitable[T]], call: _Call) -> T:
        with call:
            call.admit()
            while pause := self._pause(call):
                await self._sleep_async(pause)
            while self.policy.rate_limit_per_second:
                turn = self.limits.acquire(self.name, self.policy.rate_limit_per_second)
                try:
                    await asyncio.wait_for(asyncio.wrap_future(turn), call.seconds_left)
                except TimeoutError as error:
                    raise call.too_late() from error
                if not (pause := self._pause(call)):
                    break
                await self._sleep_async(pause)
            seconds = call.start()
            try:
                async with asyncio.timeout(seconds) as limit:
                    return await fn(seconds)
            except TimeoutError as error:
                if not limit.expired():
                    raise
                raise AttemptTimeout(f"{call.what}: stopped after {seconds:g} s") from error

    def _pause(self, call: _Call) -> float:
        """How long the host is still to be left alone. Raises RateLimited when the call can't wait that long."""
        left = self.limits.paused(self.host)
        if left > min(LONGEST_WAIT, LONGEST_WAIT if call.seconds_left is None else call.seconds_left):
            raise RateLimited(f"{self.host} asked for a pause, {until(left)}", reason="paused", retry_after=left)
        return left

    def _may_retry(self, error: BaseException) -> bool:
        """What to retry is listed: everything else, cancellation above all, goes through as it is."""
        return isinstance(error, TransientError) and not isinstance(error, CircuitOpen) and self.policy.max_attempts > 1

    def _tactics(self, call: _Call, may_retry: Callable[[Any], bool]) -> dict[str, Any]:
        """Tenacity's arguments, for one call only: its objects keep state."""
        from tenacity import retry_if_exception

        grows = backoff(self.policy)

        def wait(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            asked = error.retry_after if isinstance(error, TransientError) else None
            return max(grows(state), asked or 0.0)

        def stop(state: RetryCallState) -> bool:
            pause, left = state.upcoming_sleep, call.seconds_left
            out_of_time = pause > LONGEST_WAIT or (left is not None and pause >= left)
            given_up = self.breaker is not None and self.breaker.retry_after is not None
            return state.attempt_number >= self.policy.max_attempts or out_of_time or given_up

        return {"retry": retry_if_exception(may_retry), "wait": wait, "stop": stop, "reraise": True}


class _Call:
    """One call through a guard: its deadline and its attempts. Entered once an attempt; on leaving, it tells breaker,
    host and hook what became of it."""

    __slots__ = ("_admitted", "_due", "_failure", "_guard", "_started", "_trial", "attempts", "what")

    def __init__(self, guard: Guard, what: str = "", deadline: float | None = None) -> None:
        deadline = min((d for d in (deadline, guard.policy.deadline_seconds) if d is not None), default=None)
        self.what = what or guard.name
        self.attempts = 0
        self._failure: PenstockError | None = None
        self._guard = guard
        self._due = guard.clock() + deadline if deadline is not None else None
        self._started: float | None = None
        self._admitted = self._trial = False

    @property
    def seconds_left(self) -> float | None:
        """Until the deadline, never below 0; None where there is none."""
        return None if self._due is None else max(self._due - self._guard.clock(), 0.0)

    def __enter__(self) -> Self:
        self._started = None
        self._admitted = self._trial = False
        return self

    def admit(self) -> None:
        if self._guard.breaker:
            self._trial = self._guard.breaker.admit()
            self._admitted = True

    def start(self) -> float:
        """The seconds that the attempt may take, from now. Raises AttemptTimeout when the deadline has passed."""
        left = self.seconds_left
        if left == 0:
            raise self.too_late()
        self.attempts += 1
        self._started = self._guard.clock()
        timeout = self._guard.policy.timeout_seconds
        return timeout if left is None else min(timeout, left)

    def too_late(self) -> PenstockError:
        """What the last attempt failed with, if there was one: that, not the clock, is why it is late."""
        never = AttemptTimeout(f"{self.what}: the deadline passed before it was its turn", reason="deadline")
        return self._failure or never

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        guard = self._guard
        failure = classify(error) if isinstance(error, Exception) else None
        told = self._started is not None and (error is None or failure is not None)
        if guard.breaker and self._admitted:
            if told:
                guard.breaker.record(failure, self._trial)
            else:
                guard.breaker.forget(self._trial)
        if told and isinstance(failure, TransientError) and failure.retry_after:
            guard.limits.pause(guard.host, failure.retry_after)
        if told and guard.on_attempt and self._started is not None:
            guard.on_attempt(Attempt(guard.name, self.attempts, guard.clock() - self._started, failure))
        if failure is not None:
            self._failure = failure
            failure.attempts = self.attempts
            if isinstance(failure, TransientError):
                failure.host = failure.host or guard.blamed
            if failure is not error:
                raise failure from failure.__cause__
