"""A ledger with a small pipeline: ingest → parse → index (a sink) → tag. What the ledger's tests set up and look at."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

from sqlalchemy import ColumnElement, Table, select

from penstock.errors import PenstockError
from penstock.ledger.batches import Batch
from penstock.ledger.database import Database
from penstock.ledger.ledger import Ledger
from penstock.ledger.listing import Listing, Record, Route, Taken
from penstock.ledger.schema import batch_jobs, jobs, outbox
from penstock.ledger.submissions import Submission
from penstock.ledger.work import Claim, Committed, Done, Failed, StageKey, Stored

STAGES = ("ingest", "parse", "index", "tag")
PARSE = StageKey("parse", ("ingest",), 1)
INDEX = StageKey("index", ("parse",), 1, store="store-1", final=STAGES)
TAG = StageKey("tag", ("index",), 1, final=STAGES)
TERMINAL = ("completed", "failed", "dead")


def digest(text: str) -> bytes:
    return sha256(text.encode()).digest()


def record(name: str, content: str = "", *, place: str = "", **changes: Any) -> Record:
    """A payload `content` that calls itself `name` and was found at `place`."""
    body = (content or name).encode(errors="replace")
    made = Record(
        doc_id=digest(f"doc {name!r}").hex()[:20],
        source_id=name,
        kind="text",
        origin=place or name,
        uri=f"file:///{place or name}",
        version="1",
        content=sha256(body).digest(),
        size=len(body),
        head=b"{}",
        body=body,
    )
    return replace(made, **changes)


class Scene:
    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.work = ledger.work
        self.runner = ledger.leases.register(60)

    def submit(self, **changes: Any) -> tuple[Submission, Batch, bool]:
        asked = {"tenant": "default", "pipeline": "p", "source": "files", "request": "{}", **changes}
        return self.ledger.submissions.submit(**asked)

    def batch(self) -> int:
        return self.submit()[1].id

    def take(
        self, *records: Record, batch: int | None = None, listing: Listing | None = None, cursor: str = "", **route: Any
    ) -> Taken:
        """List these, by default in a batch of their own."""
        base = {"tenant": "default", "source": "files", "pipeline": "p", "fingerprint": "f1", "stage": "ingest"}
        way = Route(**{**base, "definition_id": 1, "correlation_id": "c", **route})
        return self.ledger.intake.take(way, batch or self.batch(), records, listing=listing, cursor=cursor)

    def documents(self, count: int, **route: Any) -> int:
        """A batch of so many new documents."""
        batch = self.batch()
        for first in range(0, count, 256):
            self.take(*(record(f"d{n:05}") for n in range(first, min(count, first + 256))), batch=batch, **route)
        return batch

    def claim(self, stage: StageKey, batch: int, limit: int = 1000, runner: int | None = None) -> list[Claim]:
        candidates = self.work.candidates(batch, stage, limit=limit)
        return self.work.claim(self.runner if runner is None else runner, stage, candidates)

    def commit(self, stage: StageKey, claims: Sequence[Claim], **done: Any) -> Committed:
        return self.work.commit(stage, [made(stage, c, **done) for c in claims])

    def fail(self, stage: StageKey, claims: Sequence[Claim], error: PenstockError, **failed: Any) -> Committed:
        return self.work.commit(stage, [], [Failed(c, error, **failed) for c in claims])

    def finish(self, batch: int, *stages: StageKey) -> None:
        for stage in stages or (PARSE, INDEX, TAG):
            self.commit(stage, self.claim(stage, batch))

    def rows(self, table: Table, *where: ColumnElement[bool]) -> list[Any]:
        with self.ledger.database.read() as connection:
            return list(connection.execute(select(table).where(*where).order_by(*table.primary_key.columns)))

    def statuses(self, batch: int | None = None) -> dict[str, int]:
        """Job status → how many, of one batch or of all jobs."""
        among = () if batch is None else (batch_jobs.c.batch_id == batch,)
        query = select(jobs.c.status).join(batch_jobs, batch_jobs.c.job_id == jobs.c.id).where(*among).distinct()
        query = query.add_columns(jobs.c.id)
        with self.ledger.database.read() as connection:
            return dict(Counter(row.status for row in connection.execute(query)))

    def ends(self) -> Counter[tuple[int, str, int]]:
        """(job, stage, round) → terminal events."""
        return Counter((e.job_id, e.stage, e.round) for e in self.rows(outbox, outbox.c.type.in_(TERMINAL)))


def made(stage: StageKey, claim: Claim, **changes: Any) -> Done:
    """An output of a stage: its own for each document, stage, generation and token."""
    body = f"{stage.name} {claim.doc_id} {claim.generation}".encode()
    key = digest(f"{body!r} {claim.token}")
    stored = Stored(0, claim.document_id, key, sha256(body).digest(), "Document", len(body))
    return Done(claim, stored, head=b"{}", body=body, **changes)


def at_once(database: Database, action: Callable[[Ledger, int], Any], processes: int = 4) -> list[Any]:
    """What `action(ledger, n)` answers in so many processes that start together, in order of n."""
    fork = multiprocessing.get_context("fork")
    barrier, answers = fork.Barrier(processes), fork.Queue()
    url = database.url.render_as_string(hide_password=False)

    def work(number: int) -> None:
        ledger = Ledger(Database(url))
        barrier.wait(30)
        try:
            answers.put((number, action(ledger, number)))
        except Exception as error:  # handed to the parent, which raises it
            answers.put((number, error))

    children = [fork.Process(target=work, args=(n,)) for n in range(processes)]
    for child in children:
        child.start()
    found = dict(answers.get(timeout=60) for _ in children)
    for child in children:
        child.join()
    for answer in found.values():
        if isinstance(answer, Exception):
            raise answer
    return [found[n] for n in range(processes)]
