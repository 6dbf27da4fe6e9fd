"""Halving finds the poison in few calls, and takes an outage for what it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, log2

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from penstock.errors import BadInput, CircuitOpen, RateLimited, ServiceUnavailable, StorageFull, TransientError
from penstock.runner.bisect import Bisection, Poisoned, ServiceAway

SIZES = st.integers(1, 70)


class Service:
    """Gives each item back doubled, unless `fault` says otherwise; counts its calls."""

    def __init__(self, fault: Callable[[int, Sequence[int]], None]) -> None:
        self.fault = fault
        self.calls = 0

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.calls += 1
        self.fault(self.calls, items)
        return [2 * item for item in items]


def meeting(poison: set[int], error: Exception) -> Callable[[int, Sequence[int]], None]:
    def fault(call: int, items: Sequence[int]) -> None:
        if poison & set(items):
            raise error

    return fault


def bisection(size: int, service: Service) -> Bisection[int, int]:
    return Bisection(range(size), service, (StorageFull,))


@given(SIZES, st.data())
def test_poison_is_found_in_at_most_2k_log_n_calls_and_the_rest_passes(size: int, data: st.DataObject) -> None:
    poison = data.draw(st.sets(st.integers(0, size - 1)))
    service = Service(meeting(poison, ValueError("a bug")))
    outcomes = bisection(size, service).run()
    assert {at for at, outcome in enumerate(outcomes) if isinstance(outcome, Poisoned)} == poison
    assert all(outcome == 2 * at for at, outcome in enumerate(outcomes) if at not in poison)
    assert service.calls <= 2 * len(poison) * ceil(log2(size) if size > 1 else 0) + 1


@given(st.integers(2, 70), st.data())
def test_poison_that_looks_like_a_service_fault_is_found_in_as_few(size: int, data: st.DataObject) -> None:
    poison = data.draw(st.sets(st.integers(0, size - 1)))
    assume(not {0, size - 1} <= poison)
    service = Service(meeting(poison, ServiceUnavailable("503")))
    outcomes = bisection(size, service).run()
    assert {at for at, outcome in enumerate(outcomes) if isinstance(outcome, Poisoned)} == poison
    assert service.calls <= 2 * len(poison) * ceil(log2(size)) + 1


@pytest.mark.parametrize("size", [1, 2, 3, 64, 128])
def test_a_service_that_is_away_is_told_from_poison_in_six_calls(size: int) -> None:
    service = Service(meeting(set(range(size)), ServiceUnavailable("503")))
    search = bisection(size, service)
    with pytest.raises(ServiceAway) as away:
        search.run()
    assert service.calls <= 6
    assert isinstance(away.value.error, ServiceUnavailable)
    assert search.outcomes == [None] * size


@given(st.integers(4, 70), st.data())
def test_poison_at_both_ends_is_found_when_the_middle_gets_through(size: int, data: st.DataObject) -> None:
    poison = {0, size - 1} | data.draw(st.sets(st.integers(0, size - 1)))
    assume(size // 2 not in poison)
    outcomes = bisection(size, Service(meeting(poison, ServiceUnavailable("503")))).run()
    assert {at for at, outcome in enumerate(outcomes) if isinstance(outcome, Poisoned)} == poison


@pytest.mark.parametrize("size", [1, 2, 3, 64])
def test_one_that_got_through_an_earlier_batch_tells_a_batch_of_poison_from_an_outage(size: int) -> None:
    service = Service(meeting(set(range(size)), ServiceUnavailable("503")))
    outcomes = Bisection(range(size), service, (StorageFull,), good=-1).run()
    assert all(isinstance(outcome, Poisoned) for outcome in outcomes)
    gone = Service(meeting({-1, *range(size)}, ServiceUnavailable("503")))
    with pytest.raises(ServiceAway):
        Bisection(range(size), gone, (StorageFull,), good=-1).run()
    assert gone.calls <= 4


@given(SIZES, st.data())
def test_one_by_one_makes_poison_of_nobody_but_poison(size: int, data: st.DataObject) -> None:
    poison = data.draw(st.sets(st.integers(0, size - 1)))
    search = Bisection(range(size), Service(meeting(poison, ServiceUnavailable("503"))), (StorageFull,), good=-1)
    assert list(search.one_by_one()) == list(range(size))
    assert {at for at, outcome in enumerate(search.outcomes) if isinstance(outcome, Poisoned)} == poison


@given(st.integers(1, 70), st.integers(1, 70))
def test_one_by_one_a_service_that_goes_away_makes_poison_of_nobody(size: int, lost_at: int) -> None:
    def fault(call: int, items: Sequence[int]) -> None:
        if call >= lost_at:
            raise ServiceUnavailable("503")

    service = Service(fault)
    search = Bisection(range(size), service, (StorageFull,))
    if lost_at > size:
        assert len(list(search.one_by_one())) == size
    else:
        with pytest.raises(ServiceAway):
            list(search.one_by_one())
    assert search.outcomes == [2 * at if at < lost_at - 1 else None for at in range(size)]
    assert service.calls <= min(lost_at - 1 + 3, size + 1)


@pytest.mark.parametrize("error", [RateLimited("paused", reason="paused"), CircuitOpen("open")])
def test_a_service_that_wants_to_be_left_alone_is_taken_at_its_word(error: TransientError) -> None:
    """However others fare."""
    search = Bisection(range(8), Service(meeting({5}, error)), (StorageFull,), good=-1)
    with pytest.raises(ServiceAway) as away:
        search.run()
    assert away.value.error is error
    assert not any(isinstance(outcome, Poisoned) for outcome in search.outcomes)


def asking(items: int, says: Callable[[int, int], Exception | str]) -> Bisection[int, int]:
    """One by one. `says(call, item)`: what the item fails with, or who gives it what it wants: "ours" or "another"."""
    given: dict[int, str] = {}
    calls = 0

    def call(asked: Sequence[int]) -> list[int]:
        nonlocal calls
        calls += 1
        said = says(calls, asked[0])
        if isinstance(said, Exception):
            raise said
        given[asked[0]] = said
        return [0]

    return Bisection(
        range(items),
        call,
        (StorageFull,),
        elsewhere=lambda error: "another" in error.message,
        vouches=lambda item: given[item] == "ours",
    )


@pytest.mark.parametrize("error", [ServiceUnavailable, RateLimited, CircuitOpen])
def test_the_faults_of_another_service_are_no_outage_and_poison_is_found_beside_them(error: type[Exception]) -> None:
    def says(call: int, item: int) -> Exception | str:
        return "ours" if item == 9 else ServiceUnavailable("503") if item == 7 else error("of another")

    search = asking(10, says)
    assert list(search.one_by_one()) == list(range(10))
    told = [outcome.elsewhere if isinstance(outcome, Poisoned) else outcome for outcome in search.outcomes]
    assert told == [True] * 7 + [False, True, 0]


def test_who_got_through_by_another_service_clears_nobody() -> None:
    search = asking(4, lambda call, item: "another" if item % 2 else ServiceUnavailable("503"))
    with pytest.raises(ServiceAway):
        list(search.one_by_one())
    assert search.outcomes == [None, 0, None, 0]


@pytest.mark.parametrize("then", ["another", ServiceUnavailable("of another")])
def test_one_that_got_through_and_turns_elsewhere_is_no_witness_any_more(then: Exception | str) -> None:
    def says(call: int, item: int) -> Exception | str:
        return ServiceUnavailable("503") if item else "ours" if call == 1 else then

    search = asking(3, says)
    with pytest.raises(ServiceAway):
        list(search.one_by_one())
    assert search.outcomes == [0, None, None]


@given(st.integers(8, 64), st.integers(2, 30))
def test_a_service_that_goes_away_in_mid_search_makes_poison_of_nobody(size: int, lost_at: int) -> None:
    def fault(call: int, items: Sequence[int]) -> None:
        if call >= lost_at:
            raise ServiceUnavailable("503")
        if 3 in items:
            raise ValueError("a bug")

    search = bisection(size, Service(fault))
    try:
        search.run()
    except ServiceAway:
        assert len([o for o in search.outcomes if o is None]) > 0
    poisoned = [at for at, outcome in enumerate(search.outcomes) if isinstance(outcome, Poisoned)]
    assert {at for at in poisoned if at != 3 and isinstance(search.outcomes[at], Poisoned)} <= {2, 4}
    assert len(poisoned) <= 2


def test_what_got_through_before_the_service_went_away_is_kept() -> None:
    def fault(call: int, items: Sequence[int]) -> None:
        if call > 3 or call == 1:
            raise ServiceUnavailable("503")
        if call == 3:
            raise ServiceUnavailable("503")

    search = bisection(8, Service(fault))
    with pytest.raises(ServiceAway):
        search.run()
    assert search.outcomes == [0, 2, 4, 6, None, None, None, None]


def test_an_open_circuit_ends_the_search_in_the_words_of_the_fault_that_opened_it() -> None:
    def fault(call: int, items: Sequence[int]) -> None:
        if call == 3:
            raise CircuitOpen("not tried")
        raise ServiceUnavailable("503, said the service")

    search = bisection(8, Service(fault))
    with pytest.raises(ServiceAway, match="503, said the service"):
        search.run()
    assert search.outcomes == [None] * 8


def test_a_circuit_that_was_open_before_is_told_as_such() -> None:
    search = bisection(8, Service(meeting(set(range(8)), CircuitOpen("not tried"))))
    with pytest.raises(ServiceAway) as away:
        search.run()
    assert isinstance(away.value.error, CircuitOpen)


def test_one_item_that_a_service_refuses_is_not_called_poison() -> None:
    with pytest.raises(ServiceAway):
        bisection(1, Service(meeting({0}, TransientError("busy")))).run()


def test_one_item_that_is_bad_is_poison() -> None:
    (outcome,) = bisection(1, Service(meeting({0}, BadInput("torn")))).run()
    assert isinstance(outcome, Poisoned)
    assert outcome.error.reason == "malformed"


def test_a_full_disk_is_nobodys_poison() -> None:
    with pytest.raises(StorageFull):
        bisection(8, Service(meeting({3}, StorageFull("no room")))).run()


def test_nothing_is_called_for_nothing() -> None:
    service = Service(meeting(set(), ValueError()))
    assert bisection(0, service).run() == []
    assert service.calls == 0
