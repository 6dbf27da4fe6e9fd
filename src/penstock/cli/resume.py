"""Going on with documents that are through their gate: once, or for as long as any wait."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from threading import Event
from typing import TYPE_CHECKING

import typer

from penstock.cli.progress import LINE_SECONDS
from penstock.cli.request import missing_ledger
from penstock.cli.screen import complain, counted, say, stderr
from penstock.errors import Stopped, StoreBusy, UsageError
from penstock.workers.patience import Patience

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from penstock.bootstrap import App
    from penstock.ledger.batches import Batch
    from penstock.ledger.gate_read import GateReader
    from penstock.ledger.told import Telling
    from penstock.pipelines.topology import Topology
    from penstock.runner import Failure, RunReport

LOOK_SECONDS = 0.5
ALL = 1 << 62
SHOWN = 200
"""Failures told of one by one."""


@dataclass(frozen=True, slots=True)
class Lost:
    """Documents that were given up on: each one's status and reason by its id, and the first failures whole."""

    reasons: Mapping[str, tuple[str, str]]
    failures: Sequence[Failure]

    @property
    def count(self) -> int:
        return len(self.reasons)


def run_command(app: App, pipeline: str, tenant: str) -> str:
    """`penstock run PIPELINE`, for a tenant that is not the default too."""
    return f"penstock run {pipeline}{'' if tenant == app.settings.tenant else f' --tenant {tenant}'}"


@dataclass(frozen=True)
class Resuming:
    """The documents of one pipeline that stand at its gates, or at one that it had. Raises UsageError where there are
    none and can be none."""

    app: App
    topology: Topology
    tenant: str

    def __post_init__(self) -> None:
        if not self.topology.gates and (missing_ledger(self.app.settings) or not self._any_wait()):
            raise UsageError(
                f"pipeline {self.topology.name!r} has no gate: nothing of it waits",
                next_step=f"{self._command} PATH…",
            )

    @cached_property
    def _reader(self) -> GateReader:
        from penstock.ledger.gate_read import GateReader

        return GateReader(self.app.ledger.database)

    @cached_property
    def _fields(self) -> list[str]:
        return list(dict.fromkeys(gate.gate.ledger_field for gate in self.topology.gates if gate.gate))

    def begin(self) -> int:
        """Before any runs: what waits does so by the gates' timeouts of today. The time, see `lost`."""
        ledger = self.app.ledger
        ledger.gates.retime(self.topology.name, self.topology.timeouts)
        ledger.tellings.begin(self.tenant, self.topology.name)
        return ledger.database.now()

    def once(self) -> Iterator[RunReport]:
        """Runs for what is ready now, for what runs that broke off left behind the gate, and for what waits at a gate
        that was removed or renamed."""
        hurried = Event()
        hurried.set()
        yield from self._once(Patience(hurried))

    def follow(self) -> Iterator[RunReport]:
        """Runs for what is ready, as it becomes so, until none of the pipeline's documents wait any more. A ledger that
        is away for a while is waited for."""
        with self._looking() as (look, patiently):
            yield from self._once(patiently)
            while patiently(self._any_wait):
                patiently(self._keep_house)
                if not self._fields:
                    yield from self._run(patiently, self._stranded)
                for field in self._fields:
                    if patiently(partial(self._reader.any_ready, field, self.tenant, self.topology.name)):
                        yield from self._run(patiently, partial(self._ready, field))
                look()
            yield from self._once(patiently)

    @contextmanager
    def telling(self, since: int) -> Iterator[Lost]:
        """What workers and gates have given up on that no run by hand has told of, and what other runs have since a
        time (see `begin`): to be told within, and not again; though again where that fails."""
        tellings = self.app.ledger.tellings
        lost, telling = self._lost(since)
        while telling and not tellings.remember(telling):
            lost, telling = self._lost(since)
        try:
            yield lost
            sys.stdout.flush()
        except BaseException:
            if telling:
                tellings.forget(telling)
            raise

    def _lost(self, since: int) -> tuple[Lost, Telling | None]:
        """What is at the gates first: it is told now or never."""
        from penstock.cli.report import failures_told
        from penstock.runner import Failure

        name, gates = self.topology.name, list(self.topology.timeouts)
        reasons: dict[str, tuple[str, str]] = {}
        failures: list[Failure] = []
        telling = None
        for some, telling in self.app.ledger.tellings.untold(self.tenant, name, gates):  # noqa: B007 — the last is kept
            reasons.update((f.doc_id, (f.status, f.reason)) for f in some)
            failures += [
                Failure(f.source_id, f.doc_id, f.gate, f.status, f.reason, f.message, f.next_step)
                for f in some[: max(0, SHOWN - len(failures))]
            ]
        reports = self.app.ledger.reports
        rows = reports.failures(tenant=self.tenant, pipeline=name, since=since, besides=gates, limit=ALL)
        reasons.update((row.doc_id, (row.status, row.reason)) for row in rows)
        failures += failures_told(rows[: max(0, SHOWN - len(failures))])
        return Lost(reasons, failures), telling

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
                told.append(f"{ready:,} {'is' if ready == 1 else 'are'} ready: {self._command} --resume")
        return "; ".join(told) or f"no document of {name} waits"

    @property
    def next_step(self) -> str:
        """What to start, and what to say then; nothing where no document waits."""
        queues, again = self.queues, f"{self._command} --resume"
        start = [self._worker(field) for field, queue in queues.items() if queue["waiting"]]
        then = f"next: {', '.join(start)}; then {again}" if start else f"next: {again}"
        return f"{then} (--follow: stays until nothing waits)" if queues else ""

    @property
    def _command(self) -> str:
        return run_command(self.app, self.topology.name, self.tenant)

    def _worker(self, field: str) -> str:
        """The command that starts one."""
        return self.app.catalogue.ledger_fields[field].worker

    def _help(self, field: str) -> str:
        there = self.app.ledger.workers.waiting_on(field)
        if there:
            return f"{counted(there, 'worker')} {'is' if there == 1 else 'are'} there (penstock worker status)"
        return f"no worker is there, start one with: {self._worker(field)}"

    def _any_wait(self) -> bool:
        return self._reader.any_waiting(self.tenant, self.topology.name)

    def _keep_house(self) -> int:
        """What dead runs and workers held is free again, and nothing waits for longer than it may."""
        self.app.ledger.leases.reap()
        return self.app.ledger.gates.expire()

    def _once(self, patiently: Patience) -> Iterator[RunReport]:
        while patiently(self._keep_house):
            pass
        yield from self._run(patiently, self._stranded)
        for field in self._fields:
            yield from self._run(patiently, partial(self._ready, field))

    def _stranded(self) -> Batch | None:
        return self.app.ledger.resumes.stranded(self.topology.name, self.tenant, list(self.topology.timeouts))

    def _ready(self, field: str) -> Batch | None:
        batch, count = self.app.ledger.resumes.take(field, self.topology.name, self.tenant, ALL)
        return batch if count else None

    def _run(self, patiently: Patience, take: Callable[[], Batch | None]) -> Iterator[RunReport]:
        from penstock.cli.run import run_here
        from penstock.runner import RunRequest

        if (batch := patiently(take)) is None:
            return
        request = RunRequest(tenant=self.tenant, batch=batch.id)

        def run() -> RunReport:
            try:
                return run_here(self.app, self.topology, request)
            except StoreBusy:
                patiently(self.app.runner.close)  # what it holds it would wait for, when it begins again
                raise

        yield patiently(run)

    @contextmanager
    def _looking(self) -> Iterator[tuple[Callable[[], None], Patience]]:
        """What to call between two looks, which waits a little, and says now and then how many wait, if others do than
        it last said; and the patience with which to ask the ledger."""
        from penstock.runner.interrupts import held_interrupts

        console, told, line, again = stderr(), 0.0, "", f"{self._command} --follow"

        def look() -> None:
            nonlocal told, line
            if time.monotonic() - told >= LINE_SECONDS:
                told, before, line = time.monotonic(), line, patiently(lambda: self.standing)
                if line != before:
                    say(console, line, "dim")
            time.sleep(LOOK_SECONDS)
            stop()

        with held_interrupts() as stop:
            patiently = Patience(_Breakable(stop))
            try:
                yield look, patiently
            except StoreBusy as error:
                raise StoreBusy(error.message, next_step=again) from error
            except Stopped:
                complain(Stopped("no longer followed", next_step=again))
                raise typer.Exit(128 + (stop.received or signal.SIGINT)) from None


class _Breakable(Event):
    """Whoever waits for it hears of a signal."""

    def __init__(self, stop: Callable[[], None]) -> None:
        super().__init__()
        self._stop = stop

    def wait(self, timeout: float | None = None) -> bool:
        self._stop()
        came = super().wait(timeout)
        self._stop()
        return came
