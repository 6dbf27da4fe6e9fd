"""The PDF worker: takes documents that wait at a gate, has an engine parse them, and lets them through."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Protocol, TypeVar

from penstock.errors import (
    ArtifactLost,
    Crashed,
    EngineUnavailable,
    PenstockError,
    Stopped,
    StoreBusy,
    TerminalError,
)
from penstock.ledger.leases import GATE_CAP
from penstock.ledger.ledger import Ledger
from penstock.ledger.turns import Failed, StageKey
from penstock.ledger.waiting import Waiter
from penstock.runner.identity import digest
from penstock.runner.session import Session
from penstock.stores.artifacts import ArtifactStore
from penstock.workers.children import Bug, Child, ChildDied
from penstock.workers.engine import LOST
from penstock.workers.host import Host
from penstock.workers.parsing import Parsing

FIELD = "pdf_ir_ready"
LOOK_SECONDS = 0.5
"""So often an idle worker looks for documents."""
GRACE_SECONDS = 20.0
"""What is under way when a worker is asked to stop may take so long; then it is given back."""
PATIENCE_SECONDS = 60.0
"""A ledger or artifact store that is away for longer ends the worker."""
SWEEP_SECONDS = 3600.0
_FOLDER = "penstock-pdf-"
_DOWNLOAD_AGAIN = "penstock retry --reason artifact-lost: it is downloaded again"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Parse:
    """How one document went. `error` None: it is through, or (`given_back`) the next to ask for it gets it."""

    source_id: str
    pages: int
    seconds: float
    error: PenstockError | None = None
    given_back: bool = False


class Watcher(Protocol):
    """Told of what a worker does, from any of its threads."""

    def started(self) -> None:
        """The engine is there."""
        ...

    def began(self, source_id: str) -> None: ...

    def page(self, source_id: str, done: int, total: int) -> None: ...

    def ended(self, parse: Parse) -> None: ...


@dataclass(slots=True)
class Tally:
    """What a worker did. `taken_over`: somebody else was faster, after this one had lost its lease."""

    documents: int = 0
    failures: int = 0
    given_back: int = 0
    taken_over: int = 0
    pages: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)


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
        self._parsing = Parsing(ledger, artifacts, FIELD, known_by, host.name, host.version)

    def run(self, stop: Callable[[], None]) -> Tally:
        """Until `stop` raises, or with `once` until nothing waits any more.

        Raises EngineUnavailable when the engine can't work, and whatever `stop` does: what was under way has then been
        finished within a grace period or given back.
        """
        slots = [threading.Thread(target=self._slot, name=f"slot-{n}") for n in range(self._host.slots)]
        try:
            _sweep()
            self._host.start()
            self._watcher.started()
            self._keep_house()
            for slot in slots:
                slot.start()
            due = time.monotonic() + self._lease_seconds / 3
            while any(slot.is_alive() for slot in slots):
                stop()
                time.sleep(0.1)
                if time.monotonic() >= due:
                    with suppress(StoreBusy):  # the slots judge for how long that is bearable
                        self._keep_house()
                    due = time.monotonic() + self._lease_seconds / 3
        finally:
            self._end([slot for slot in slots if slot.ident is not None])
        if self._error is not None:
            raise self._error
        return self.tally

    def _end(self, slots: list[threading.Thread]) -> None:
        """A further signal breaks the grace period off: then, too, nothing stays claimed."""
        self._stopping.set()
        with ExitStack() as last, _further_signals(self._killing.set):
            last.callback(self._host.close)
            last.callback(self._session.close)
            until = time.monotonic() + GRACE_SECONDS
            for slot in slots:
                slot.join(max(0.0, until - time.monotonic()))
            self._killing.set()
            for slot in slots:
                slot.join()

    def _keep_house(self) -> None:
        self._runner()
        self._session.reap()
        self._ledger.gates.expire()

    def _runner(self) -> int:
        """This process's runner row, and beside it the worker's."""
        with self._lock:
            runner = self._session.runner
            if runner != self._registered:
                engine = f"{self._host.name} {self._host.version}"
                self._ledger.workers.register(runner, FIELD, engine, self._host.slots)
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
        except Stopped:
            return
        except BaseException as error:  # noqa: BLE001 — raised by `run`, once all slots have ended
            self._error = self._error or error
            self._stopping.set()
        finally:
            child.close()

    def _patiently(self, work: Callable[[], T]) -> T:
        """A ledger or artifact store that is away for a moment costs nothing that was done."""
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return work()
            except StoreBusy:
                if time.monotonic() >= until:
                    raise
                self._killing.wait(LOOK_SECONDS)
                if self._killing.is_set():
                    until = 0.0

    def _next(self, child: Child, place: Path) -> bool:
        """Work on what has waited longest; False when nothing does."""
        mine, found = self._patiently(lambda: self._claim(self._runner()))
        try:
            while mine and not self._stopping.is_set():
                self._do(child, place, *mine[0])
                mine.pop(0)
        finally:
            for waiter, key in mine:
                self._give_back(waiter, key)
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
        """One claimed document: through, failed or given back. What it raises ends the worker, the claim still held."""
        claim, began = waiter.claim, time.monotonic()
        name, pages, fenced = claim.source_id, 0, False
        error: PenstockError | None = None
        given_back = False
        self._watcher.began(name)
        try:
            done, pages = self._patiently(
                lambda: self._parsing.output(
                    waiter, child, place, lambda n, of: self._watcher.page(name, n, of), self._not_killed
                )
            )
            fenced = bool(self._patiently(lambda: self._ledger.work.commit(key, [done])).fenced)
        except ChildDied as died:
            error, given_back, fenced = self._lost(waiter, key, f"the process that parsed it died: {died}")
        except EngineUnavailable as away:
            child.close()
            if away.reason == LOST:
                error, given_back, fenced = self._lost(waiter, key, away.message)
            else:
                self._give_back(waiter, key)
                error, given_back = away, True
            self._host.recover(away)
        except (TerminalError, ArtifactLost) as known:
            error = known
            fenced = self._failed(waiter, key, error)
        self._host.parsed()
        self._count(Parse(name, pages, time.monotonic() - began, error, given_back), fenced)

    def _give_back(self, waiter: Waiter, key: StageKey, *, lost: bool = False) -> None:
        self._patiently(lambda: self._ledger.work.release(key, [waiter.claim], lost=lost))

    def _lost(self, waiter: Waiter, key: StageKey, how: str) -> tuple[PenstockError, bool, bool]:
        """It took down what parsed it: whether it is given back (else dead), and whether others have it by now."""
        claim = waiter.claim
        if claim.lost + 1 < GATE_CAP:
            self._give_back(waiter, key, lost=True)
            return Crashed(how), True, False
        error = Crashed(f"{GATE_CAP} times what parsed it went down; the last time {how}")
        return error, False, self._failed(waiter, key, error)

    def _not_killed(self) -> None:
        if self._killing.is_set():
            raise Stopped("the worker is stopped; what was under way is given back")

    def _failed(self, waiter: Waiter, key: StageKey, error: PenstockError) -> bool:
        """Commit a failure; True when it is no longer ours to say. What was lost is made due again."""
        lost = isinstance(error, ArtifactLost)
        stored = self._patiently(lambda: self._ledger.waiting.input(waiter, "PDFFile"))
        if lost:
            error = ArtifactLost(error.message, next_step=_DOWNLOAD_AGAIN)
        detail = error.detail if isinstance(error, Bug) else None
        failed = Failed(
            waiter.claim, error, input=stored.key if stored else waiter.content, detail=detail, terminal=not lost
        )
        if self._patiently(lambda: self._ledger.work.commit(key, [], [failed])).fenced:
            return True
        if lost:
            self._patiently(lambda: self._ledger.waiting.ask_again(waiter, "PDFFile"))
        return False

    def _count(self, parse: Parse, fenced: bool) -> None:
        failed = parse.error is not None and not parse.given_back
        with self.tally.lock:
            self.tally.taken_over += fenced
            self.tally.given_back += parse.given_back
            self.tally.failures += failed and not fenced
            self.tally.documents += parse.error is None and not fenced
            self.tally.pages += parse.pages
        self._patiently(
            lambda: self._ledger.workers.did(
                self._registered,
                documents=int(parse.error is None and not fenced),
                failures=int(failed and not fenced),
                pages=parse.pages,
                busy_ms=int(parse.seconds * 1000),
            )
        )
        self._watcher.ended(parse)


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
