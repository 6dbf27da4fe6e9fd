from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any

import pytest

from penstock.errors import (
    AttemptTimeout,
    BadInput,
    CircuitOpen,
    Fenced,
    PenstockError,
    RateLimited,
    ServiceUnavailable,
    StoreBusy,
    TerminalError,
    TransientError,
)
from penstock.resilience.guard import LONGEST_WAIT, Attempt, Guard
from penstock.resilience.limits import LocalLimits
from penstock.resilience.policy import CircuitBreakerPolicy, Policy


class FakeTime:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    async def sleep_async(self, seconds: float) -> None:
        self.sleep(seconds)


class Service:
    """Answers what it was told to, in order, then "ok" for ever."""

    def __init__(self, *answers: BaseException | None) -> None:
        self.answers = list(answers)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        answer = self.answers.pop(0) if self.answers else None
        if answer is not None:
            raise answer
        return "ok"

    async def asked(self, seconds: float) -> str:
        return self()


@pytest.fixture
def fake() -> FakeTime:
    return FakeTime()


@pytest.fixture
def guard_for(fake: FakeTime) -> Callable[..., Guard]:
    limits = LocalLimits(clock=fake.clock)

    def build(policy: Policy, name: str = "stage", **more: Any) -> Guard:
        more.setdefault("limits", limits)
        return Guard(policy, name, clock=fake.clock, sleep=fake.sleep, sleep_async=fake.sleep_async, **more)

    return build


Run = Callable[[Guard, Service], Any]


def sync(guard: Guard, service: Service) -> Any:
    return guard.call(service)


def async_(guard: Guard, service: Service) -> Any:
    return asyncio.run(_awaited(guard.call_async(service.asked)))


async def _awaited(work: Awaitable[Any]) -> Any:
    return await work


both = pytest.mark.parametrize("run", [sync, async_], ids=["sync", "async"])

THREE = Policy(max_attempts=3, backoff_initial_seconds=1.0, backoff_max_seconds=10.0)
BREAKER = CircuitBreakerPolicy(failure_threshold=3, reset_timeout_seconds=60.0)


def away(**more: Any) -> ServiceUnavailable:
    return ServiceUnavailable("away", **more)


@both
def test_a_call_without_faults_is_one_attempt(run: Run, guard_for: Callable[..., Guard], fake: FakeTime) -> None:
    assert run(guard_for(THREE), Service()) == ("ok", 1)
    assert fake.slept == []


@both
def test_a_fault_is_retried_with_growing_pauses(run: Run, guard_for: Callable[..., Guard], fake: FakeTime) -> None:
    assert run(guard_for(THREE), Service(away(), away())) == ("ok", 3)
    assert fake.slept == [1.0, 2.0]


@both
def test_after_the_last_attempt_the_last_fault_is_raised_with_the_count(run: Run, guard_for: Any) -> None:
    last = away(status=502)
    service = Service(away(), away(), last)
    with pytest.raises(ServiceUnavailable) as caught:
        run(guard_for(THREE), service)
    assert caught.value is last
    assert caught.value.attempts == service.calls == 3


@both
@pytest.mark.parametrize(
    "error",
    [BadInput("bad"), TerminalError("no"), Fenced("gone"), KeyError("bug"), CircuitOpen("inner", retry_after=5)],
)
def test_nothing_but_a_transient_fault_is_retried(run: Run, guard_for: Any, error: Exception, fake: FakeTime) -> None:
    service = Service(error)
    with pytest.raises(PenstockError) as caught:
        run(guard_for(THREE), service)
    assert service.calls == caught.value.attempts == 1
    assert fake.slept == []
    assert caught.value is error or caught.value.__cause__ is error


@both
def test_a_lower_librarys_fault_is_retried_as_what_it_means(run: Run, guard_for: Any) -> None:
    assert run(guard_for(THREE), Service(ConnectionResetError("reset"), TimeoutError("late"))) == ("ok", 3)


@both
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_is_neither_retried_nor_changed(run: Run, guard_for: Any, kind: type[BaseException]) -> None:
    service = Service(kind())
    with pytest.raises(kind):
        run(guard_for(THREE), service)
    assert service.calls == 1


def test_cancelling_a_task_ends_it_at_once(guard_for: Any) -> None:
    """Retrying everything that is not on a list would run a cancelled call again."""
    calls: list[int] = []

    async def work(seconds: float) -> None:
        calls.append(1)
        await asyncio.sleep(60)

    async def main() -> None:
        task = asyncio.create_task(guard_for(THREE).call_async(work))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert calls == [1]


def test_tasks_that_share_a_guard_each_get_all_their_attempts() -> None:
    """One AsyncRetrying shared by five tasks loses retries; each call here has its own."""
    guard = Guard(Policy(max_attempts=3, backoff_strategy="none"), "stage", limits=LocalLimits())
    services = [Service(away(), away()) for _ in range(5)]

    async def main() -> list[Any]:
        return await asyncio.gather(*(guard.call_async(service.asked) for service in services))

    assert [outcome.attempts for outcome in asyncio.run(main())] == [3] * 5


def test_a_caller_may_forbid_repeating(guard_for: Any) -> None:
    service = Service(away(), away())
    with pytest.raises(ServiceUnavailable):
        asyncio.run(_awaited(guard_for(THREE).call_async(service.asked, may_retry=lambda error: False)))
    assert service.calls == 1


@both
def test_each_attempt_is_reported(run: Run, guard_for: Any) -> None:
    seen: list[Attempt] = []
    fault = away()
    run(guard_for(THREE, on_attempt=seen.append), Service(fault))
    assert [(attempt.guard, attempt.number, attempt.error) for attempt in seen] == [
        ("stage", 1, fault),
        ("stage", 2, None),
    ]


# -- Retry-After


@both
def test_a_service_is_left_alone_as_long_as_it_asked(run: Run, guard_for: Any, fake: FakeTime) -> None:
    assert run(guard_for(THREE), Service(RateLimited("slow down", retry_after=40.0))) == ("ok", 2)
    assert sum(fake.slept) == 40.0


@both
def test_a_pause_holds_for_everyone_who_calls_that_host_and_for_no_other(run: Run, guard_for: Any, fake: Any) -> None:
    once = Policy(max_attempts=1)
    with pytest.raises(RateLimited):
        run(guard_for(once, "first", host="api.example.org"), Service(RateLimited("slow down", retry_after=30.0)))
    run(guard_for(once, "other", host="other.example.org"), Service())
    assert fake.slept == []
    run(guard_for(once, "second", host="api.example.org"), Service())
    assert fake.slept == [30.0]


@both
def test_a_pause_that_comes_while_a_call_waits_for_its_turn_holds_for_it_too(
    run: Run, guard_for: Any, fake: FakeTime
) -> None:
    class Turns(LocalLimits):
        taken = 0

        def acquire(self, key: str, rate: float) -> Future[None]:
            self.taken += 1
            if self.taken == 1:
                self.pause("stage", 30.0)
            turn: Future[None] = Future()
            turn.set_result(None)
            return turn

    limits = Turns(clock=fake.clock)
    policy = Policy(max_attempts=1, rate_limit_per_second=1.0)
    assert run(guard_for(policy, limits=limits), Service()) == ("ok", 1)
    assert fake.slept == [30.0]
    assert limits.taken == 2


@both
def test_a_pause_too_long_to_wait_for_is_told_at_once(run: Run, guard_for: Any, fake: FakeTime) -> None:
    service = Service(RateLimited("tomorrow", retry_after=LONGEST_WAIT * 10))
    guard = guard_for(THREE)
    with pytest.raises(RateLimited) as caught:
        run(guard, service)
    assert caught.value.attempts == 1
    with pytest.raises(RateLimited) as paused:
        run(guard, service)
    assert paused.value.reason == "paused"
    assert paused.value.attempts == 0
    assert paused.value.retry_after == LONGEST_WAIT * 10
    assert service.calls == 1
    assert fake.slept == []


# -- deadline and attempt timeout


@both
def test_no_attempt_is_begun_that_the_deadline_leaves_no_time_for(run: Run, guard_for: Any, fake: FakeTime) -> None:
    policy = Policy(max_attempts=100, backoff_strategy="linear", timeout_seconds=2.0, deadline_seconds=10.0)
    service = Service(*[away() for _ in range(50)])
    with pytest.raises(ServiceUnavailable):
        run(guard_for(policy), service)
    assert fake.slept == [1.0, 2.0, 3.0]
    assert service.calls == 4


def test_an_attempt_that_hangs_is_stopped_and_tried_again() -> None:
    guard = Guard(Policy(max_attempts=2, backoff_strategy="none", timeout_seconds=0.03), "stage", limits=LocalLimits())
    calls: list[int] = []

    def work() -> str:
        calls.append(1)
        if len(calls) == 1:
            time.sleep(60)
        return "ok"

    assert guard.call(work) == ("ok", 2)


def test_an_awaited_attempt_that_hangs_is_cancelled() -> None:
    guard = Guard(Policy(max_attempts=2, backoff_strategy="none", timeout_seconds=0.03), "stage", limits=LocalLimits())
    cancelled: list[int] = []

    async def work(seconds: float) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(1)
            raise

    with pytest.raises(AttemptTimeout) as caught:
        asyncio.run(_awaited(guard.call_async(work)))
    assert caught.value.attempts == len(cancelled) == 2


def test_the_last_attempt_gets_only_what_the_deadline_leaves(guard_for: Any, fake: FakeTime) -> None:
    given: list[float] = []

    async def work(seconds: float) -> None:
        given.append(seconds)
        raise away()

    policy = Policy(max_attempts=3, backoff_strategy="linear", timeout_seconds=8.0, deadline_seconds=10.0)
    with pytest.raises(ServiceUnavailable):
        asyncio.run(_awaited(guard_for(policy).call_async(work)))
    assert given == [8.0, 8.0, 7.0]


# -- breaker


@both
def test_an_open_breaker_is_told_at_once_and_never_waited_for(run: Run, guard_for: Any, fake: FakeTime) -> None:
    guard = guard_for(Policy(max_attempts=1, circuit_breaker=BREAKER))
    service = Service(away(), away(), away())
    for _ in range(3):
        with pytest.raises(ServiceUnavailable):
            run(guard, service)
    fake.now += 20
    with pytest.raises(CircuitOpen) as caught:
        run(guard, service)
    assert caught.value.retry_after == 40.0
    assert caught.value.attempts == 0
    assert service.calls == 3
    assert fake.slept == []


@both
def test_retrying_stops_with_the_fault_that_opens_the_breaker(run: Run, guard_for: Any, fake: FakeTime) -> None:
    guard = guard_for(Policy(max_attempts=10, backoff_strategy="linear", circuit_breaker=BREAKER))
    service = Service(*[away() for _ in range(10)])
    with pytest.raises(ServiceUnavailable) as caught:
        run(guard, service)
    assert caught.value.attempts == service.calls == 3
    assert fake.slept == [1.0, 2.0]


@both
@pytest.mark.parametrize("error", [BadInput("bad item"), KeyError("bug"), StoreBusy("locked")])
def test_bad_items_and_bugs_never_open_the_breaker(run: Run, guard_for: Any, error: Exception) -> None:
    guard = guard_for(Policy(max_attempts=1, circuit_breaker=BREAKER))
    service = Service(*[error] * 20)
    for _ in range(20):
        with pytest.raises(PenstockError):
            run(guard, service)
    assert service.calls == 20
    assert run(guard, service) == ("ok", 1)


@both
def test_after_its_pause_one_trial_decides(run: Run, guard_for: Any, fake: FakeTime) -> None:
    guard = guard_for(Policy(max_attempts=1, circuit_breaker=BREAKER))
    service = Service(away(), away(), away(), away())
    for _ in range(3):
        with pytest.raises(ServiceUnavailable):
            run(guard, service)
    fake.now += 60
    with pytest.raises(ServiceUnavailable):
        run(guard, service)
    with pytest.raises(CircuitOpen) as caught:
        run(guard, service)
    assert caught.value.retry_after == 60.0
    fake.now += 60
    assert run(guard, service) == ("ok", 1)
    assert run(guard, service) == ("ok", 1)


def test_a_trial_that_tells_nothing_leaves_the_next_call_to_try(guard_for: Any, fake: FakeTime) -> None:
    guard = guard_for(Policy(max_attempts=1, circuit_breaker=BREAKER))
    service = Service(away(), away(), away(), KeyboardInterrupt(), BadInput("bad item"))
    for _ in range(3):
        with pytest.raises(ServiceUnavailable):
            guard.call(service)
    fake.now += 60
    with pytest.raises(KeyboardInterrupt):
        guard.call(service)
    with pytest.raises(BadInput):
        guard.call(service)
    assert guard.call(service) == ("ok", 1)


def test_calls_through_one_breaker_run_side_by_side() -> None:
    """A breaker that holds its lock while a call runs would let only one of these reach the barrier."""
    guard = Guard(Policy(max_attempts=1, circuit_breaker=BREAKER), "stage", limits=LocalLimits())
    barrier = threading.Barrier(8, timeout=10)
    errors: list[BaseException] = []

    def body() -> None:
        try:
            guard.call(barrier.wait)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=body) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert errors == []


def test_only_one_trial_runs_at_a_time(guard_for: Any, fake: FakeTime) -> None:
    guard = guard_for(Policy(max_attempts=1, circuit_breaker=BREAKER))
    for _ in range(3):
        with pytest.raises(ServiceUnavailable):
            guard.call(Service(away()))
    fake.now += 60

    def trial() -> str:
        with pytest.raises(CircuitOpen):
            guard.call(Service())
        return "tried"

    assert guard.call(trial).value == "tried"
    assert guard.call(Service()).value == "ok"


def test_a_call_that_comes_back_after_the_breaker_opened_changes_nothing(guard_for: Any, fake: FakeTime) -> None:
    guard = guard_for(Policy(max_attempts=1, circuit_breaker=BREAKER))

    def slow_but_well() -> str:
        for _ in range(3):
            with pytest.raises(ServiceUnavailable):
                guard.call(Service(away()))
        return "late"

    assert guard.call(slow_but_well).value == "late"
    with pytest.raises(CircuitOpen):
        guard.call(Service())


# -- rate limit


@both
def test_calls_keep_within_the_rate_however_many_loops_and_threads_make_them(run: Run) -> None:
    """A limiter shared by several loops raises; a bucket lets a whole second's worth through at once."""
    guard = Guard(Policy(rate_limit_per_second=100.0), "polite", limits=LocalLimits())
    times: list[float] = []
    errors: list[BaseException] = []

    class Clocked(Service):
        def __call__(self) -> str:
            times.append(time.monotonic())
            return "ok"

    def body() -> None:
        try:
            for _ in range(5):
                run(guard, Clocked())
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=body) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert errors == []
    assert len(times) == 20
    assert max(times) - min(times) >= 0.9 * 19 / 100


@both
def test_a_turn_that_the_deadline_does_not_leave_time_for_is_given_up(run: Run) -> None:
    policy = Policy(max_attempts=1, timeout_seconds=0.03, deadline_seconds=0.05, rate_limit_per_second=0.01)
    guard = Guard(policy, "slow", limits=LocalLimits())
    assert run(guard, Service()) == ("ok", 1)
    with pytest.raises(AttemptTimeout) as caught:
        run(guard, Service())
    assert caught.value.reason == "deadline"
    assert caught.value.attempts == 0


def test_waiting_for_a_turn_does_not_count_against_the_attempt() -> None:
    policy = Policy(max_attempts=1, timeout_seconds=0.05, rate_limit_per_second=10.0)
    guard = Guard(policy, "slow", limits=LocalLimits())
    assert guard.call(Service()) == ("ok", 1)
    assert guard.call(Service()) == ("ok", 1)


def test_no_more_than_a_bounded_number_of_hosts_is_remembered(fake: FakeTime, monkeypatch: Any) -> None:
    monkeypatch.setattr("penstock.resilience.limits._MOST_KEYS", 10)
    limits = LocalLimits(clock=fake.clock)
    for number in range(100):
        limits.pause(f"host-{number}", 1.0)
        limits.acquire(f"host-{number}", 10_000.0).result(5)
        fake.now += 0.5
    assert len(limits._until) <= 10
    assert len(limits._limiters) <= 11


def test_a_pause_is_never_shortened(fake: FakeTime) -> None:
    limits = LocalLimits(clock=fake.clock)
    limits.pause("host", 30.0)
    limits.pause("host", 5.0)
    assert limits.paused("host") == 30.0
    assert limits.paused("other") == 0.0


def test_a_transient_error_of_a_stages_own_is_a_fault_like_any() -> None:
    guard = Guard(Policy(max_attempts=1, circuit_breaker=BREAKER), "stage", limits=LocalLimits())
    for _ in range(3):
        with pytest.raises(TransientError):
            guard.call(Service(TransientError("away")))
    with pytest.raises(CircuitOpen):
        guard.call(Service())
