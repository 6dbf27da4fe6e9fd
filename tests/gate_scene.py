"""Documents at a gate `wait` that hangs on `ingest`, and a worker that lets them through."""

from __future__ import annotations

from ledger_scene import Scene, made
from penstock.ledger.ledger import Ledger
from penstock.ledger.schema import jobs
from penstock.ledger.turns import StageKey
from penstock.ledger.waiting import Waiter

GATE, FIELD = "wait", "pdf_ir_ready"
AFTER = StageKey("chunk", (GATE,), 1, final=("ingest", GATE, "chunk"))


def at_gate(scene: Scene, count: int, timeout_seconds: float | None = None, **route: str) -> int:
    """A batch of so many new documents that wait; its number."""
    batch = scene.documents(count, **route)
    scene.ledger.gates.sort(batch, GATE, ["ingest"], FIELD, True, timeout_seconds)
    return batch


def claim(ledger: Ledger, runner: int, limit: int = 1) -> list[tuple[Waiter, StageKey]]:
    """What a worker gets of the oldest, one at a time."""
    found = []
    for waiter in ledger.waiting.documents(FIELD, limit):
        key = waiter.key(FIELD, 1)
        if ledger.work.claim(runner, key, [waiter.claim]):
            found.append((waiter, key))
    return found


def give(ledger: Ledger, runner: int, limit: int = 1) -> list[int]:
    """Let so many through; their jobs."""
    claimed = claim(ledger, runner, limit)
    for waiter, key in claimed:
        assert ledger.work.commit(key, [made(key, waiter.claim)]).done == 1
    return [waiter.claim.job_id for waiter, _ in claimed]


def age(scene: Scene, seconds: float, column: str = "updated_at") -> None:
    """As if what waits had done so for so much longer."""
    with scene.ledger.database.write() as connection:
        earlier = {column: jobs.c[column] - int(seconds * 1000)}
        connection.execute(jobs.update().where(jobs.c.status == "waiting").values(earlier))
