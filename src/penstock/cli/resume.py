"""Going on with documents that are through their gate: once, or for as long as any wait."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import typer

from penstock.cli.progress import LINE_SECONDS
from penstock.cli.screen import complain, counted, say, stderr
from penstock.errors import Stopped, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.bootstrap import App
    from penstock.ledger.gate_read import GateReader
    from penstock.pipelines.topology import Topology
    from penstock.runner import Failure, RunReport

LOOK_SECONDS = 0.5
ALL = 1 << 62


@dataclass(frozen=True)
class Resuming:
    """The documents of one pipeline that stand at its gates. Raises UsageError for a pipeline that has none."""

    app: App
    topology: Topology
    tenant: str

    def __post_init__(self) -> None:
        if not self.topology.gates:
            raise UsageError(
                f"pipeline {self.topology.name!r} has no gate: nothing of it waits",
                next_step=f"penstock run {self.topology.name} PATH…",
            )

    @cached_property
    def _reader(self) -> GateReader:
        from penstock.ledger.gate_read import GateReader

        return GateReader(self.app.ledger.database)

    @cached_property
    def _fields(self) -> list[str]:
        return list(dict.fromkeys(gate.gate.ledger_field for gate in self.topology.gates if gate.gate))

    def once(self) -> Iterator[RunReport]:
        """A run for what is ready now, and for what runs that broke off left behind the gate."""
        while self.app.ledger.gates.expire():
            pass
        for field in self._fields:
            yield from self._run(field)

    def follow(self) -> Iterator[RunReport]:
        """Runs for what is ready, as it becomes so, until none of the pipeline's documents wait any more."""
        yield from self.once()
        with self._looking() as look:
            while self._reader.any_waiting(self.tenant, self.topology.name):
                self.app.ledger.gates.expire()
                for field in self._fields:
                    if self._reader.any_ready(field, self.tenant, self.topology.name):
                        yield from self._run(field)
                look()

    def lost_since(self, then: int) -> tuple[int, list[Failure]]:
        """How many documents workers, gates and runs have given up on from then on (see `now`), and the first of
        them."""
        from penstock.cli.report import failures_told

        lost = self._reader.lost_since(then, self.tenant, self.topology.name)
        rows = self.app.ledger.reports.failures(tenant=self.tenant, pipeline=self.topology.name, since=then)
        return lost, failures_told(rows)

    def now(self) -> int:
        return self._reader.now()

    @property
    def queues(self) -> dict[str, dict[str, int]]:
        """Ledger field → how many wait for it, and how many have it and wait for a run."""
        found = self._reader.queues(self.tenant, self.topology.name)
        return {queue.field: {"waiting": queue.waiting, "ready": queue.ready} for queue in found}

    @property
    def standing(self) -> str:
        """How many wait for what, and what helps, in one line."""
        name, told = self.topology.name, []
        for field, queue in self.queues.items():
            if waiting := queue["waiting"]:
                wait = f"{counted(waiting, 'document')} of {name} {'waits' if waiting == 1 else 'wait'} for {field}"
                told.append(f"{wait}: {self._help(field)}")
            if ready := queue["ready"]:
                told.append(f"{ready:,} {'is' if ready == 1 else 'are'} ready: penstock run {name} --resume")
        return "; ".join(told) or f"no document of {name} waits"

    @property
    def next_step(self) -> str:
        """What to start, and what to say then; nothing where no document waits."""
        queues, again = self.queues, f"penstock run {self.topology.name} --resume"
        start = [self._worker(field) for field, queue in queues.items() if queue["waiting"]]
        then = f"next: {', '.join(start)}; then {again}" if start else f"next: {again}"
        return f"{then} (--follow: stays until nothing waits)" if queues else ""

    def _worker(self, field: str) -> str:
        """The command that starts one."""
        gates = (gate.gate for gate in self.topology.gates)
        return next(gate.field.worker for gate in gates if gate and gate.ledger_field == field)

    def _help(self, field: str) -> str:
        there = self.app.ledger.workers.waiting_on(field)
        if there:
            return f"{counted(there, 'worker')} {'is' if there == 1 else 'are'} there (penstock worker status)"
        return f"no worker is there, start one with: {self._worker(field)}"

    def _run(self, field: str) -> Iterator[RunReport]:
        from penstock.cli.run import run_here
        from penstock.runner import RunRequest

        batch, count = self.app.ledger.resumes.take(field, self.topology.name, self.tenant, ALL)
        if count:
            yield run_here(self.app, self.topology, RunRequest(tenant=self.tenant, batch=batch.id))

    @contextmanager
    def _looking(self) -> Iterator[Callable[[], None]]:
        """What to call between two looks: it waits a little, and says now and then how many wait, if others do
        than it last said."""
        from penstock.runner.interrupts import held_interrupts

        console, told, line = stderr(), 0.0, ""

        def look() -> None:
            nonlocal told, line
            if time.monotonic() - told >= LINE_SECONDS:
                told, before, line = time.monotonic(), line, self.standing
                if line != before:
                    say(console, line, "dim")
            time.sleep(LOOK_SECONDS)
            stop()

        with held_interrupts() as stop:
            try:
                yield look
            except Stopped:
                complain(Stopped("no longer followed", next_step=f"penstock run {self.topology.name} --follow"))
                raise typer.Exit(128 + (stop.received or signal.SIGINT)) from None
