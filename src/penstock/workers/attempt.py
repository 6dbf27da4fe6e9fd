"""One claimed document, worked on by a PDF worker: it gets through its gate, fails, or is given back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from penstock.errors import ArtifactLost, Crashed, EngineUnavailable, PenstockError, Stopped, StoreBusy, TerminalError
from penstock.ir import PDFFile
from penstock.ledger.leases import GATE_CAP
from penstock.ledger.ledger import Ledger
from penstock.ledger.turns import Failed, StageKey
from penstock.ledger.waiting import Waiter
from penstock.workers.children import Bug, Child, ChildDied
from penstock.workers.engine import LOST
from penstock.workers.parsing import Parsing
from penstock.workers.patience import Patience

ASK_SECONDS = 5.0
"""So often it is asked whether a document that is being parsed is still wanted."""
_DOWNLOAD_AGAIN = "penstock retry --reason artifact-lost: it is downloaded again"


@dataclass(frozen=True, slots=True)
class Parse:
    """How one document went. `error` None: it is through. `given_back`: the next to ask for it gets it. `taken_over`:
    it was cancelled or replaced meanwhile, or the lease was lost. `away`: the engine could not work. `missing`: the
    pages of which no text was had."""

    source_id: str
    pages: int = 0
    missing: tuple[int, ...] = ()
    seconds: float = 0.0
    error: PenstockError | None = None
    given_back: bool = False
    taken_over: bool = False
    away: EngineUnavailable | None = None

    @property
    def through(self) -> bool:
        return self.error is None and not self.taken_over

    @property
    def failed(self) -> bool:
        return self.error is not None and not self.given_back and not self.taken_over


class Watcher(Protocol):
    """Told of what a worker does, from any of its threads."""

    def started(self) -> None:
        """The engine is there."""
        ...

    def began(self, source_id: str) -> None: ...

    def page(self, source_id: str, done: int, total: int) -> None: ...

    def ended(self, parse: Parse) -> None: ...

    def expired(self, count: int) -> None:
        """So many had waited for longer than their gate allows."""
        ...


class Attempts:
    """`killing`: what is under way ends now."""

    def __init__(
        self, ledger: Ledger, parsing: Parsing, watcher: Watcher, patiently: Patience, killing: threading.Event
    ) -> None:
        self._ledger, self._parsing, self._watcher = ledger, parsing, watcher
        self._patiently, self._killing = patiently, killing

    def make(self, child: Child, place: Path, waiter: Waiter, key: StageKey) -> Parse:
        """Nothing stays claimed, unless the ledger is away for too long or `killing` is set: both raise."""
        name, began = waiter.claim.source_id, time.monotonic()
        self._watcher.began(name)

        def page(done: int, total: int) -> None:
            self._watcher.page(name, done, total)

        try:
            done, document = self._parsing.output(waiter, child, place, page, self._go_on(waiter, key))
            fenced = self._patiently(lambda: self._ledger.work.commit(key, [done])).fenced
            how = Parse(name, document.page_count or 0, document.missing_pages, taken_over=bool(fenced))
        except _Unwanted:
            how = Parse(name, taken_over=True)
        except ChildDied as died:
            how = self._lost(waiter, key, f"the process that parsed it died: {died}")
        except EngineUnavailable as away:
            child.close()
            if away.reason == LOST:
                how = self._lost(waiter, key, away.message)
            else:
                self.give_back(waiter, key)
                how = Parse(name, error=away, given_back=True)
            how = replace(how, away=away)
        except (TerminalError, ArtifactLost) as known:
            how = self._fail(waiter, key, known)
        return replace(how, seconds=time.monotonic() - began)

    def give_back(self, waiter: Waiter, key: StageKey, *, lost: bool = False) -> None:
        self._patiently(lambda: self._ledger.work.release(key, [waiter.claim], lost=lost))

    def _lost(self, waiter: Waiter, key: StageKey, how: str) -> Parse:
        """It took down what parsed it: given back, or dead when it has done so too often."""
        if waiter.claim.lost + 1 < GATE_CAP:
            self.give_back(waiter, key, lost=True)
            return Parse(waiter.claim.source_id, error=Crashed(how), given_back=True)
        return self._fail(waiter, key, Crashed(f"{GATE_CAP} times what parsed it went down; the last time {how}"))

    def _fail(self, waiter: Waiter, key: StageKey, error: PenstockError) -> Parse:
        """What was lost is no failure of the document's for good: it is made due again."""
        lost = isinstance(error, ArtifactLost)
        if lost:
            error = ArtifactLost(error.message, next_step=_DOWNLOAD_AGAIN)
        stored = self._patiently(lambda: self._ledger.waiting.input(waiter, PDFFile.__name__))
        given = stored.key if stored else waiter.content
        detail = error.detail if isinstance(error, Bug) else None
        failed = Failed(waiter.claim, error, input=given, detail=detail, terminal=not lost)
        fenced = self._patiently(lambda: self._ledger.work.commit(key, [], [failed])).fenced
        if lost and not fenced:
            self._patiently(lambda: self._ledger.waiting.ask_again(waiter, PDFFile.__name__))
        return Parse(waiter.claim.source_id, error=error, taken_over=bool(fenced))

    def _go_on(self, waiter: Waiter, key: StageKey) -> Callable[[], None]:
        """What is called while a document is parsed: raises when nobody wants that any more."""
        due = time.monotonic() + ASK_SECONDS

        def check() -> None:
            nonlocal due
            if self._killing.is_set():
                raise Stopped("the worker is stopped; what was under way is given back")
            if time.monotonic() >= due:
                due = time.monotonic() + ASK_SECONDS
                with suppress(StoreBusy):
                    if not self._ledger.work.still_held(key.name, [waiter.claim]):
                        raise _Unwanted

        return check


class _Unwanted(Exception):
    """The document was cancelled or replaced, or another worker has it."""
