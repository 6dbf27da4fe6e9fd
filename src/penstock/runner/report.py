"""What a stage and a run have to say for themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

FAILURES_KEPT = 200
"""Failures listed in a report; the ledger has all."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One document that did not get through: `status` is dead (terminal) or failed (retryable)."""

    source_id: str
    doc_id: str
    stage: str
    status: str
    reason: str
    message: str
    next_step: str


@dataclass(slots=True)
class StageReport:
    """`done` were worked on now, `reused` found by key (or, at ingest, unchanged), `before` were done earlier, or by
    another run meanwhile."""

    stage: str
    done: int = 0
    reused: int = 0
    before: int = 0
    dead: int = 0
    failed: int = 0
    waiting: int = 0
    fenced: int = 0
    seconds: float = 0.0
    failures: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add_failure(self, failure: Failure) -> None:
        if len(self.failures) < FAILURES_KEPT:
            self.failures.append(failure)

    def made_again(self, earlier: StageReport) -> None:
        """Take in what became of an earlier stage that was run within this one, since outputs of its were lost."""
        self.dead += earlier.dead
        self.failed += earlier.failed
        for failure in earlier.failures:
            self.add_failure(failure)
        again = earlier.done + earlier.reused
        if again:
            what = "1 document's output" if again == 1 else f"{again} documents' outputs"
            self.note(f"{earlier.stage}: {what} made again: the artifact store had lost what was kept")
        for note in earlier.notes:
            self.note(note)

    def note(self, text: str) -> None:
        if text and text not in self.notes:
            self.notes.append(text)

    @property
    def through(self) -> int:
        return self.done + self.reused + self.before


@dataclass(frozen=True, slots=True)
class RunReport:
    """`outcome`: complete, partial (some documents are dead or failed) or failed (a stage gave up)."""

    outcome: str
    documents: int
    statuses: dict[str, int]
    stages: Sequence[StageReport]
    notes: Sequence[str] = ()
    error: str = ""
    next_step: str = ""
    """What helps against `error`."""

    @property
    def nothing_to_do(self) -> bool:
        return self.outcome == "complete" and not any(s.done for s in self.stages)


class Observer(Protocol):
    """Told of progress; `total` is None while it is not known."""

    def advanced(self, stage: str, done: int, total: int | None) -> None: ...


class Silent:
    def advanced(self, stage: str, done: int, total: int | None) -> None:
        return None
