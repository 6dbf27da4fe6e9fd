"""Find the poison in a batch, and tell it from an outage.

A batch that fails is split; the halves are tried, and the failing ones split again, until single items are left. If
both halves of the first split fail in the same way by the service's fault, one item from each end is tried alone: when
neither gets through, the service is away and nobody's document is to blame.
Calls for n items of which k are poison: at most 2k·⌈log₂ n⌉ + 1.
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
    """Not one item got through, by the service's fault. `error` is what it said."""

    def __init__(self, error: TransientError) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(slots=True)
class Poisoned:
    """An item that fails alone while others pass."""

    error: PenstockError
    cause: BaseException


class Bisection(Generic[Item, Output]):
    """Runs `call` over items: a list of outputs, or Poisoned in an item's place. Raises ServiceAway.

    `fatal` errors (a full disk, a user's mistake, a request to stop) are nobody's poison and pass through.
    """

    def __init__(
        self, call: Callable[[Sequence[Item]], Sequence[Output]], fatal: tuple[type[BaseException], ...]
    ) -> None:
        self._call = call
        self._fatal = fatal
        self._passed = False
        self._fault: TransientError | None = None

    def run(self, items: Sequence[Item]) -> list[Output | Poisoned]:
        if not items:
            return []
        whole = self._attempt(items)
        if not isinstance(whole, Poisoned):
            return whole
        if isinstance(whole.error, CircuitOpen) or (len(items) == 1 and isinstance(whole.error, TransientError)):
            raise self._away(whole.error)
        return self._split(items, whole)

    def _split(self, items: Sequence[Item], failure: Poisoned) -> list[Output | Poisoned]:
        if len(items) == 1:
            return [failure]
        middle = len(items) // 2
        parts = (items[:middle], items[middle:])
        tried = [self._attempt(part) for part in parts]
        if not self._passed and all(isinstance(t, Poisoned) and isinstance(t.error, TransientError) for t in tried):
            self._probe(items)
        results: list[Output | Poisoned] = []
        for part, outcome in zip(parts, tried, strict=True):
            results += self._split(part, outcome) if isinstance(outcome, Poisoned) else outcome
        return results

    def _probe(self, items: Sequence[Item]) -> None:
        """Nothing has passed yet: is anybody there at all?"""
        for item in (items[0], items[-1]):
            alone = self._attempt([item])
            if not isinstance(alone, Poisoned):
                return
            last = alone
        raise self._away(last.error)

    def _attempt(self, items: Sequence[Item]) -> list[Output | Poisoned] | Poisoned:
        try:
            outputs: list[Output | Poisoned] = list(self._call(items))
        except self._fatal:
            raise
        except Exception as cause:  # noqa: BLE001 — whatever a stage raises is classified
            error = classify(cause)
            if isinstance(error, TransientError) and not isinstance(error, CircuitOpen):
                self._fault = error
            return Poisoned(error, cause)
        self._passed = True
        return outputs

    def _away(self, error: PenstockError) -> ServiceAway:
        """In the words of the last real fault: that a breaker is open says nothing about why."""
        if self._fault is not None:
            return ServiceAway(self._fault)
        return ServiceAway(error if isinstance(error, TransientError) else TransientError(error.message))
