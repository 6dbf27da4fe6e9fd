"""A gate: documents whose ledger field says so go through, the others leave the run and wait, holding nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from hashlib import sha256

import orjson

from penstock.ledger.batches import Batch
from penstock.ledger.ledger import Ledger
from penstock.ledger.turns import Claim, Done, Stored
from penstock.pipelines.catalogue import type_name
from penstock.runner.ingest import Scope
from penstock.runner.plan import Plan, PlannedStage
from penstock.runner.report import Observer, StageReport
from penstock.runner.session import Session

QUIET_SECONDS = 3.0
"""A resumed run that finds documents coming one after the other waits so long for the next."""
LOOK_SECONDS = 0.25


def gate_key(claim: Claim, field: str, content: bytes, needed: bytes) -> bytes:
    """What a gate's output is found again by: the document's payload, and the hash of what the worker is given."""
    return sha256(orjson.dumps([claim.tenant, claim.doc_id, field, content.hex(), needed.hex()])).digest()


class GateKeeper:
    """One gate of one run. `gather_seconds`: how long a resumed run takes along what becomes ready, at most."""

    def __init__(
        self, ledger: Ledger, plan: Plan, planned: PlannedStage, scope: Scope, session: Session, gather_seconds: float
    ) -> None:
        assert planned.stage.gate is not None
        self._ledger, self._plan, self._planned, self._scope = ledger, plan, planned, scope
        self._session, self._gather_seconds = session, gather_seconds
        self._gate, self._key = planned.stage.gate, plan.key(planned.name)
        self._field = self._gate.ledger_field
        ahead = {planned.name, *(stage.name for stage in plan.topology.descendants(planned.name))}
        self._behind = [name for name in plan.stages if name not in ahead]

    def run(self, report: StageReport, observer: Observer, stop: Callable[[], None]) -> None:
        """Let ready documents through and mark the others as waiting. The gate is open if any document is ready."""
        self._ledger.gates.expire()
        self._gather(observer, stop)
        report.reused = self._find_again(stop)
        outcome = self._ledger.gates.sort(
            self._scope.batch,
            self._planned.name,
            self._planned.stage.depends_on,
            self._field,
            self._gate.equals,
            self._gate.timeout_seconds,
        )
        report.before, report.waiting = outcome.ready - report.reused, outcome.waiting
        if outcome.waiting:
            wait = "document waits" if outcome.waiting == 1 else "documents wait"
            report.note(f"{outcome.waiting} {wait} for {self._field}, set by: {self._gate.field.worker}")
        observer.advanced(self._planned.name, outcome.ready, outcome.ready + outcome.waiting)

    def _gather(self, observer: Observer, stop: Callable[[], None]) -> None:
        """A run that was launched to resume takes along what became ready while it came up; when that is something,
        they come in a stream, and it stays for more of them: a run can take a thousand as well as one."""
        resumes, batch = self._ledger.resumes, self._ledger.batches.batch(self._scope.batch)
        quiet = 0.0
        while (gathering := resumes.gathering_for(batch.id)) is not None:
            stop()
            joined = self._join(batch)
            if joined:
                quiet = time.monotonic() + QUIET_SECONDS
            if joined is None or gathering >= self._gather_seconds * 1000 or time.monotonic() >= quiet:
                resumes.gathered(batch.id)
                return
            time.sleep(LOOK_SECONDS)

    def _join(self, batch: Batch) -> int | None:
        """How many came along; None when the batch is full."""
        room = self._plan.topology.batch_size - self._ledger.batches.size(batch.id)
        if room <= 0:
            return None
        return self._ledger.resumes.join(batch, self._field, room, self._plan.fingerprint, self._behind)

    def _find_again(self, stop: Callable[[], None]) -> int:
        """Let documents through whose payload and file are those that a worker was given before; how many."""
        makers, kind = sorted(set(self._planned.stage.inputs.values())), type_name(self._gate.field.gives)
        found, after = 0, 0
        while page := self._ledger.work.candidates(self._scope.batch, self._key, after):
            stop()
            after = page[-1].job_id
            needed = {job: stored for (job, _), stored in self._ledger.outputs.inputs(makers, page).items()}
            contents = self._ledger.outputs.contents(page)
            keys = {
                c.job_id: (c.document_id, gate_key(c, self._field, contents[c.document_id], needed[c.job_id].hash))
                for c in page
                if c.job_id in needed
            }
            known = self._ledger.outputs.existing(kind, keys.values())
            again = {job: known[at] for job, at in keys.items() if at in known}
            found += self._let_through([c for c in page if c.job_id in again], again)
        return found

    def _let_through(self, wanted: list[Claim], outputs: dict[int, Stored]) -> int:
        claims = self._ledger.work.claim(self._session.runner, self._key, wanted) if wanted else []
        done = [Done(c, outputs[c.job_id], is_new=False, reused=True) for c in claims]
        return self._ledger.work.commit(self._key, done).done if done else 0
