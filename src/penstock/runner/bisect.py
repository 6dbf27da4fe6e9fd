"""Find the poison among items, and tell it from an outage.

A batch that fails is split; the halves are tried, and the failing ones split again, until single items are left.
Calls for n items of which k are poison: at most 2k·⌈log₂ n⌉ + 1. Items that can't be called together are tried one by
one.

An item that fails alone by the service's fault is a suspect: it is poison only if others get through around it. Two
suspects one after the other are answered by trying one item again that got through before, be it in an earlier batch:
when that fails, the service is away, and nobody's document is to blame. As long as nobody has got through, three
suspects mean that it is away; of a batch whose halves both fail they are looked for at its ends and in its middle.
A service that wants to be left alone for a while is taken at its word; an item that it answers with 429 while others
get through is a suspect like any other, but never poison: it is tried again some other time.

Where items may turn to another service (a host redirects, a second URL has to do), what that one does tells nothing
about this one: it makes nobody poison and nothing an outage, nor does who gets through by it clear anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from penstock.errors import CircuitOpen, PenstockError, RateLimited, TransientError
from penstock.resilience.classify import classify

Item = TypeVar("Item")
Output = TypeVar("Output")

ENOUGH_SUSPECTS = 3
"""So many that fail by the service's fault, while nobody gets through, are an outage."""


class ServiceAway(Exception):
    """Nothing gets through (any more), by the service's fault. `error` is what it said."""

    def __init__(self, error: TransientError) -> None:
        super().__init__(str(error))
        self.error = error

    @property
    def untried(self) -> bool:
        """It says that nobody was asked."""
        return isinstance(self.error, CircuitOpen) or (
            isinstance(self.error, RateLimited) and self.error.reason == "paused"
        )


@dataclass(slots=True)
class Poisoned:
    """An item that fails alone while others pass, or by the fault of a service `elsewhere`, which is no poison."""

    error: PenstockError
    cause: BaseException
    elsewhere: bool = False


class Bisection(Generic[Item, Output]):
    """Runs `call` over items. For one batch only.

    `outcomes` has an output, or Poisoned, in each item's place; None where nothing is certain yet, which after a
    ServiceAway is all that neither got through before it nor was poison without doubt.
    `fatal` errors (a full disk, a user's mistake, a request to stop) are nobody's poison and pass through.
    `good` is an item known to get through: at first one of an earlier batch, if any did, then the last of this one.
    `elsewhere` tells the faults of another service than the one that is asked, `vouches` items that got through by
    the one that is.
    """

    def __init__(
        self,
        items: Sequence[Item],
        call: Callable[[Sequence[Item]], Sequence[Output]],
        fatal: tuple[type[BaseException], ...],
        good: Item | None = None,
        *,
        elsewhere: Callable[[PenstockError], bool] = lambda error: False,
        vouches: Callable[[Item], bool] = lambda item: True,
    ) -> None:
        self._items, self._call, self._fatal = items, call, fatal
        self._elsewhere, self._vouches = elsewhere, vouches
        self.good = good
        self.outcomes: list[Output | Poisoned | None] = [None] * len(items)
        self.suspects: list[int] = []
        self._passes = 0
        self._fault: TransientError | None = None

    def run(self) -> list[Output | Poisoned]:
        """The outcomes, all of them, of items that are called together. Raises ServiceAway."""
        if self._items:
            self._settle(0, len(self._items), self._attempt(0, len(self._items)))
        if not self._passes:
            self._clear_up()  # else what its neighbours passed without is poison
        return [outcome for outcome in self.outcomes if outcome is not None]

    def one_by_one(self) -> Iterator[int]:
        """Each item alone, its place told when it was tried. Those before it are certain unless there are `suspects`.
        Raises ServiceAway."""
        for at in range(len(self._items)):
            self._attempt(at, at + 1)
            while self.suspects and at == len(self._items) - 1:
                self._clear_up()
            yield at

    def _settle(self, first: int, end: int, failure: PenstockError | None) -> None:
        if failure is None or end - first == 1:
            return
        middle = (first + end) // 2
        parts = ((first, middle), (middle, end))
        failures = [self._attempt(*part) for part in parts]
        if not self._passes and all(isinstance(f, TransientError) for f in failures):
            self._probe(first, end - 1, middle)
        for part, part_failure in zip(parts, failures, strict=True):
            self._settle(*part, part_failure)

    def _probe(self, *places: int) -> None:
        """Nothing of this batch has passed yet: is anybody there at all?"""
        if self.good is not None:
            self._ask(self.good)
        elif all(self._attempt(at, at + 1) for at in places):
            self._clear_up()

    def _attempt(self, first: int, end: int) -> PenstockError | None:
        """What these fail with together; None: they got through. A single item is not tried twice."""
        alone = end - first == 1
        known = self.outcomes[first] if alone else None
        if known is not None:
            return known.error if isinstance(known, Poisoned) else None
        try:
            outputs = self._call(self._items[first:end])
        except self._fatal:
            raise
        except Exception as cause:  # noqa: BLE001 — whatever a stage raises is classified
            error = self._told(cause)
            if alone:
                self.outcomes[first] = Poisoned(error, cause, self._elsewhere(error))
                self._suspect(first, error)
            return error
        self.outcomes[first:end] = outputs
        if witnesses := [item for item in self._items[first:end] if self._vouches(item)]:
            self.good = witnesses[0]
            self._passed()
        return None

    def _passed(self) -> None:
        self._passes += 1
        self._fault = None
        self.suspects.clear()

    def _suspect(self, at: int, error: PenstockError) -> None:
        if not isinstance(error, TransientError) or self._elsewhere(error):
            return
        self.suspects.append(at)
        if len(self.suspects) >= (ENOUGH_SUSPECTS if self.good is None else 2):
            self._clear_up()

    def _clear_up(self) -> None:
        """Suspects are poison if one that got through before does so again. If that one turns elsewhere this time,
        they remain suspects."""
        if not self.suspects:
            return
        if self.good is None:
            raise self._away()
        self._ask(self.good)

    def _ask(self, good: Item) -> None:
        try:
            self._call([good])
            vouched = self._vouches(good)
        except self._fatal:
            raise
        except Exception as cause:
            error = self._told(cause)
            vouched = not self._elsewhere(error)
            if vouched and isinstance(error, TransientError):
                raise self._away() from cause
        if vouched:
            self._passed()
        else:
            self.good = None

    def _told(self, cause: Exception) -> PenstockError:
        error = classify(cause)
        if self._elsewhere(error):
            return error
        if isinstance(error, CircuitOpen):  # in the words of the last real fault: this says nothing about why
            raise self._away(self._fault or error) from cause
        if isinstance(error, TransientError):
            self._fault = error
        if isinstance(error, RateLimited) and error.reason == "paused":
            raise self._away(error) from cause
        return error

    def _away(self, error: TransientError | None = None) -> ServiceAway:
        for at in self.suspects:
            self.outcomes[at] = None
        error = error or self._fault
        assert error is not None, "only a service's fault makes it away"
        return ServiceAway(error)
