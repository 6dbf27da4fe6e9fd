"""Find the poison in a batch, and tell it from an outage.

A batch that fails is split; the halves are tried, and the failing ones split again, until single items are left.
Calls for n items of which k are poison: at most 2k·⌈log₂ n⌉ + 1.

An item that fails by the service's fault is poison only if others get through around it. So if both halves of the first
split fail that way, one item from each end is tried alone, and two that fail alone one after the other are answered by
trying one again that got through before: when that fails, the service is away, and nobody's document is to blame.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from penstock.errors import CircuitOpen, PenstockError, TransientError
from penstock.resilience.classify import classify

Item = TypeVar("Item")
Output = TypeVar("Output")


class ServiceAway(Exception):
    """Nothing gets through (any more), by the service's fault. `error` is what it said."""

    def __init__(self, error: TransientError) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(slots=True)
class Poisoned:
    """An item that fails alone while others pass."""

    error: PenstockError
    cause: BaseException


class Bisection(Generic[Item, Output]):
    """Runs `call` over items. For one batch only.

    `outcomes` has an output, or Poisoned, in each item's place; None where nothing is certain yet, which after a
    ServiceAway is all that neither got through before it nor was poison without doubt.
    `fatal` errors (a full disk, a user's mistake, a request to stop) are nobody's poison and pass through.
    """

    def __init__(
        self,
        items: Sequence[Item],
        call: Callable[[Sequence[Item]], Sequence[Output]],
        fatal: tuple[type[BaseException], ...],
    ) -> None:
        self._items, self._call, self._fatal = items, call, fatal
        self.outcomes: list[Output | Poisoned | None] = [None] * len(items)
        self._good: int | None = None
        self._suspects: list[int] = []
        self._fault: TransientError | None = None

    def run(self) -> list[Output | Poisoned]:
        """The outcomes, all of them. Raises ServiceAway."""
        if self._items:
            self._settle(0, len(self._items), self._attempt(0, len(self._items)))
        if self._suspects and self._good is None:
            raise self._away()
        return [outcome for outcome in self.outcomes if outcome is not None]

    def _settle(self, first: int, end: int, failure: PenstockError | None) -> None:
        if failure is None or end - first == 1:
            return
        middle = (first + end) // 2
        parts = ((first, middle), (middle, end))
        failures = [self._attempt(*part) for part in parts]
        if self._good is None and all(isinstance(f, TransientError) for f in failures):
            self._probe(first, end - 1)
        for part, part_failure in zip(parts, failures, strict=True):
            self._settle(*part, part_failure)

    def _probe(self, *ends: int) -> None:
        """Nothing has passed yet: is anybody there at all?"""
        if all(self._attempt(at, at + 1) for at in ends):
            raise self._away()

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
                self.outcomes[first] = Poisoned(error, cause)
                self._suspect(first, error)
            return error
        self.outcomes[first:end] = outputs
        self._passed(first)
        return None

    def _suspect(self, at: int, error: PenstockError) -> None:
        if not isinstance(error, TransientError):
            return
        self._suspects.append(at)
        if len(self._suspects) > 1 and self._good is not None:
            try:
                self._call([self._items[self._good]])
            except self._fatal:
                raise
            except Exception as cause:
                self._told(cause)
                raise self._away() from cause
            self._passed(self._good)

    def _passed(self, at: int) -> None:
        self._good = at
        self._suspects.clear()

    def _told(self, cause: Exception) -> PenstockError:
        error = classify(cause)
        if isinstance(error, CircuitOpen):
            raise self._away(error) from cause
        if isinstance(error, TransientError):
            self._fault = error
        return error

    def _away(self, otherwise: TransientError | None = None) -> ServiceAway:
        """In the words of the last real fault: that a breaker is open says nothing about why."""
        for at in self._suspects:
            self.outcomes[at] = None
        error = self._fault or otherwise
        assert error is not None, "only a service's fault makes it away"
        return ServiceAway(error)
