"""The PDF worker: takes documents that wait at a gate, has an engine parse them, and lets them through."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

from penstock.errors import Stopped, StoreBusy
from penstock.ledger.ledger import Ledger
from penstock.ledger.turns import StageKey
from penstock.ledger.waiting import Waiter
from penstock.runner.identity import digest
from penstock.runner.session import Session
from penstock.stores.artifacts import ArtifactStore
from penstock.workers.attempt import Attempts, Parse, Watcher
from penstock.workers.children import Child
from penstock.workers.host import Host
from penstock.workers.parsing import Parsing
from penstock.workers.patience import Patience

FIELD = "pdf_ir_ready"
LOOK_SECONDS = 0.5
"""So often an idle worker looks for documents."""
GRACE_SECONDS = 20.0
"""What is under way when a worker is asked to stop may take so long; then it is given back."""
LAST_SECONDS = 10.0
"""Giving back may take so long. A ledger that hangs is left alone: leases run out by themselves."""
SWEEP_SECONDS = 3600.0
"""A killed worker's folder is removed when it has lain untouched for so long: its process id may be another machine's,
where several share a folder for temporary files."""
_FOLDER = "penstock-pdf-"


@dataclass(slots=True)
class Tally:
    """What a worker did. `taken_over`: somebody else was faster, after this one had lost its lease. `expired`: these
    had waited for longer than their gate allows, and failed. `missing`: of so many of the pages no text was had."""

    documents: int = 0
    failures: int = 0
    given_back: int = 0
    taken_over: int = 0
    expired: int = 0
    pages: int = 0
    missing: int = 0

    @property
    def lost(self) -> int:
        """Documents that failed."""
        return self.failures + self.expired

    def add(self, parse: Parse) -> None:
        self.documents += parse.through
        self.failures += parse.failed
        self.given_back += parse.given_back
        self.taken_over += parse.taken_over
        self.pages += parse.pages
        self.missing += len(parse.missing)


class PdfWorker:
    """One process's worker: `host.slots` threads, each with a child process of its own. `batch`: documents that each
    claims at a time. `once`: it ends when nothing waits any more."""

    def __init__(
        self,
        ledger: Ledger,
        artifacts: ArtifactStore,
        host: Host,
        *,
        lease_seconds: float,
        watcher: Watcher,
        batch: int = 1,
        once: bool = False,
    ) -> None:
        self._ledger, self._host = ledger, host
        self._watcher, self._batch, self._once = watcher, batch, once
        self._session, self._lease_seconds = Session(ledger.leases, ledger.runs, lease_seconds), lease_seconds
        self._registered = 0
        self._lock = threading.Lock()
        self._stopping, self._killing = threading.Event(), threading.Event()
        self._error: BaseException | None = None
        self.tally = Tally()
        engine = {
            "contract": "Gate",
            "implementation": host.name,
            "version": host.version,
            "model": "",
            "options": dict(host.options),
        }
        known_by = digest(engine)
        self._definition = ledger.definitions.register({known_by: engine})[known_by]
        self._patiently = Patience(self._killing)
        parsing = Parsing(ledger, artifacts, self._patiently, FIELD, known_by, host.name, host.version)
        self._attempts = Attempts(ledger, parsing, watcher, self._patiently, self._killing)

    def run(self, stop: Callable[[], None]) -> Tally:
        """Until `stop` raises, or with `once` until nothing waits any more.

        Raises EngineUnavailable when the engine can't work, and whatever `stop` does: what was under way has then been
        finished within a grace period or given back.
        """
        slots = [self._thread(self._slot, f"slot-{number}") for number in range(self._host.slots)]
        house = self._thread(self._keep_house, "house")
        try:
            _sweep()
            self._host.start(stop)
            self._watcher.started()
            self._look_after()
            for thread in (*slots, house):
                thread.start()
            while any(slot.is_alive() for slot in slots):
                stop()
                time.sleep(0.1)
        finally:
            self._end([thread for thread in (*slots, house) if thread.ident is not None])
        if self._error is not None:
            raise self._error
        return self.tally

    def _thread(self, work: Callable[[], None], name: str) -> threading.Thread:
        def run() -> None:
            try:
                work()
            except Stopped:
                return
            except BaseException as error:  # noqa: BLE001 — raised by `run`, once all threads have ended
                self._error = self._error or error
                self._stopping.set()

        return threading.Thread(target=run, name=name, daemon=True)

    def _end(self, threads: list[threading.Thread]) -> None:
        """A further signal breaks the grace period off: then, too, nothing stays claimed, unless the ledger is away."""
        self._stopping.set()
        with ExitStack() as last, _further_signals(self._killing.set):
            last.callback(self._host.close)
            _all_ended(threads, GRACE_SECONDS, self._killing)
            self._killing.set()
            if _all_ended(threads, LAST_SECONDS):
                with suppress(StoreBusy):
                    self._session.close()

    def _keep_house(self) -> None:
        while not self._stopping.wait(self._lease_seconds / 3):
            with suppress(StoreBusy):  # the slots judge for how long that is bearable
                self._look_after()

    def _look_after(self) -> None:
        self._runner()
        self._session.reap()
        if expired := self._ledger.gates.expire():
            with self._lock:
                self.tally.expired += expired
            self._watcher.expired(expired)

    def _runner(self) -> int:
        """This process's runner row, and beside it the worker's."""
        with self._lock:
            runner = self._session.runner
            if runner != self._registered:
                engine = f"{self._host.name} {self._host.version}"
                self._ledger.workers.register(runner, FIELD, engine, self._host.slots, before=self._registered or None)
                self._registered = runner
            return runner

    def _slot(self) -> None:
        child = Child(self._host)
        try:
            with TemporaryDirectory(prefix=f"{_FOLDER}{os.getpid()}-") as folder:
                while not self._stopping.is_set():
                    if self._next(child, Path(folder, "document.pdf")):
                        continue
                    if self._once:
                        return
                    self._stopping.wait(LOOK_SECONDS)
        finally:
            child.close()

    def _next(self, child: Child, place: Path) -> bool:
        """Work on what has waited longest; False when nothing does."""
        mine, found = self._patiently(lambda: self._claim(self._runner()))
        try:
            while mine and not self._stopping.is_set():
                self._do(child, place, *mine[0])
                mine.pop(0)
        finally:
            for waiter, key in mine:
                self._attempts.give_back(waiter, key)
        return found

    def _claim(self, runner: int) -> tuple[list[tuple[Waiter, StageKey]], bool]:
        """What is ours now, and whether anything waits. Under the lock: two threads of one runner look alike to the
        ledger."""
        mine: list[tuple[Waiter, StageKey]] = []
        with self._lock:
            waiters = self._ledger.waiting.documents(FIELD, self._batch + 4 * self._host.slots)
            for waiter in waiters:
                key = waiter.key(FIELD, self._definition)
                if self._ledger.work.claim(runner, key, [waiter.claim]):
                    mine.append((waiter, key))
                if len(mine) == self._batch or (mine and waiter.claim.lost):
                    break
        return mine, bool(waiters)

    def _do(self, child: Child, place: Path, waiter: Waiter, key: StageKey) -> None:
        """One claimed document. What it raises ends the worker."""
        parse = self._attempts.make(child, place, waiter, key)
        self._count(parse)
        if parse.away is not None:
            self._host.recover(parse.away)
        self._host.parsed()

    def _count(self, parse: Parse) -> None:
        with self._lock:
            self.tally.add(parse)
        self._patiently(
            lambda: self._ledger.workers.did(
                self._runner(),
                documents=int(parse.through),
                failures=int(parse.failed),
                pages=parse.pages,
                busy_ms=int(parse.seconds * 1000),
            )
        )
        self._watcher.ended(parse)


def _all_ended(threads: list[threading.Thread], seconds: float, hurry: threading.Event | None = None) -> bool:
    """Whether they have within that time; with `hurry` set nobody waits any longer."""
    until = time.monotonic() + seconds
    while (left := any(thread.is_alive() for thread in threads)) and time.monotonic() < until:
        if hurry is not None and hurry.is_set():
            break
        time.sleep(0.05)
    return not left


@contextmanager
def _further_signals(act: Callable[[], None]) -> Iterator[None]:
    """SIGINT and SIGTERM call `act` within the block. Main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: act()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _sweep() -> None:
    """Remove what workers that were killed have left in the folder for temporary files."""
    for folder in Path(gettempdir()).glob(f"{_FOLDER}*"):
        pid = folder.name.removeprefix(_FOLDER).partition("-")[0]
        with suppress(OSError):
            if (
                pid.isdecimal()
                and not Path(f"/proc/{pid}").exists()
                and time.time() - folder.stat().st_mtime > SWEEP_SECONDS
            ):
                shutil.rmtree(folder)
