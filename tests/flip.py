"""What a worker does for a document at a gate, parsing aside."""

from __future__ import annotations

from penstock.bootstrap import App
from penstock.errors import PenstockError
from penstock.ir import Document, Origin, RawPayload, StageContext
from penstock.ledger.turns import Failed, StageKey
from penstock.ledger.waiting import Waiter
from penstock.runner.gate import gate_key
from penstock.runner.outputs import at_rest
from penstock.stages.parse import AutoParser

FIELD = "pdf_ir_ready"


class GateWorker:
    """Works on what waits in an application's ledger, the oldest first."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._runner = app.ledger.leases.register(600)

    def claim(self) -> tuple[Waiter, StageKey]:
        [waiter, *_] = self._app.ledger.waiting.documents(FIELD, 1)
        key = waiter.key(FIELD, 1)
        assert self._app.ledger.work.claim(self._runner, key, [waiter.claim])
        return waiter, key

    def commit(self, waiter: Waiter, key: StageKey) -> int:
        """Let a claimed document through; its job."""
        text = f"# {waiter.claim.source_id}\n\nMetformin lowers glucose.\n".encode()
        context = StageContext(waiter.claim.tenant, waiter.claim.doc_id, "flip")
        payload = RawPayload(
            source=waiter.source,
            source_id=waiter.claim.source_id,
            kind="markdown",
            origin=Origin(uri="file:///given", key="given"),
            content=text,
        )
        needed = self._app.ledger.waiting.input(waiter, "PDFFile")
        assert needed is not None
        output = gate_key(waiter.claim, FIELD, waiter.content, needed.hash)
        document = AutoParser().execute(context, payload)
        done = at_rest(waiter.claim, output, Document, document, self._app.artifacts)
        assert self._app.ledger.work.commit(key, [done]).done == 1
        return waiter.claim.job_id

    def flip(self, count: int = 1) -> list[int]:
        """Let so many documents through; their jobs."""
        return [self.commit(*self.claim()) for _ in range(count)]

    def fail(self, error: PenstockError, *, terminal: bool = True) -> int:
        """Give up on a document; its job."""
        waiter, key = self.claim()
        assert self._app.ledger.work.commit(key, [], [Failed(waiter.claim, error, terminal=terminal)]).failed == 1
        return waiter.claim.job_id
