"""What must be true of a Penstock's stores once it is quiet, whatever happened to it on the way.

`facts` are the stores' contents in an order of their own, without row ids, times, attempts and tokens: two homes in
which the same was done have the same facts, and `digest` is their hash. `problems` are the broken invariants. Both read
the tables themselves and take no answer of the product's on trust, except the index's and the graph's own digests.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from math import ceil, log2
from pathlib import Path
from typing import Any

from sqlalchemy import Row, Select, Table, func, select

from penstock.errors import ArtifactLost
from penstock.ledger import schema
from penstock.ledger.database import Database
from penstock.ledger.graph import SqlGraph
from penstock.ledger.graph_schema import graph_documents, graph_evidence
from penstock.stores.artifacts import FileArtifacts
from penstock.stores.search_index import SqliteSearchIndex

Rows = list[Row[Any]]
TERMINAL = {"completed": "done", "failed": "failed", "dead": "dead"}
LOST_IN_TIME = ("superseded", "cancelled", "retired")
SINKS = {"IndexStage": "index", "KGStage": "graph"}


@dataclass(slots=True)
class Standing:
    """What a sink holds of a document."""

    generation: int
    token: int
    chunks: set[str] = field(default_factory=set)


class Stores:
    """The ledger's rows, indexed; the index and the graph beside it."""

    def __init__(self, home: Path, database: Database, index: SqliteSearchIndex, graph: SqlGraph) -> None:
        self.artifacts = FileArtifacts(home / "artifacts")
        self.index, self.graph = index, graph
        self._database = database
        self.documents = {row.id: row for row in self.rows(schema.documents)}
        self.jobs = {row.id: row for row in self.rows(schema.jobs)}
        self.states = {(row.job_id, row.stage): row for row in self.rows(schema.stage_states)}
        self.definitions = {row.id: row for row in self.rows(schema.definitions)}
        self.outputs = {(row.document_id, row.key): row for row in self.rows(schema.artifacts)}
        self.chunks: dict[int, list[Row[Any]]] = defaultdict(list)
        for row in self.rows(schema.chunks):
            self.chunks[row.job_id].append(row)

    def rows(self, table: Table) -> Rows:
        with self._database.read() as connection:
            return list(connection.execute(select(table)).all())

    def document(self, number: int) -> str | None:
        row = self.documents.get(number)
        return row.doc_id if row else None

    def job(self, number: int) -> tuple[Any, ...]:
        """A job's name: its document, pipeline and generation; of one that isn't there, Nones."""
        row = self.jobs.get(number)
        return (self.document(row.document_id), row.pipeline, row.generation) if row else (None, None, None)

    def contract(self, state: Row[Any]) -> str:
        row = self.definitions.get(state.definition_id)
        return str(row.contract) if row else ""

    def sink(self, state: Row[Any]) -> str | None:
        return SINKS.get(self.contract(state))

    def store_id(self, sink: str) -> str:
        return self.index.store_id() if sink == "index" else self.graph.store_id()

    def standing(self, sink: str) -> dict[str, Standing]:
        return self._indexed() if sink == "index" else self._in_graph()

    def _indexed(self) -> dict[str, Standing]:
        with self.index.snapshot() as db:
            rows = list(db.execute("SELECT number, doc_id, generation, token FROM documents WHERE live"))
            chunks = list(db.execute("SELECT document, chunk_id FROM chunks"))
        names = {number: doc_id for number, doc_id, _, _ in rows}
        found = {doc_id: Standing(generation, token) for _, doc_id, generation, token in rows}
        for number, chunk_id in chunks:
            found.setdefault(names.get(number, f"orphan {number}"), Standing(0, 0)).chunks.add(chunk_id)
        return found

    def _in_graph(self) -> dict[str, Standing]:
        rows = {row.id: row for row in self.rows(graph_documents)}
        found = {row.doc_id: Standing(row.generation, row.token) for row in rows.values()}
        for row in self.rows(graph_evidence):
            if row.chunk_id is not None:
                name = rows[row.document_id].doc_id if row.document_id in rows else f"orphan {row.document_id}"
                found.setdefault(name, Standing(0, 0)).chunks.add(row.chunk_id)
        return found


@contextmanager
def stores(home: Path) -> Iterator[Stores]:
    database = Database(f"sqlite:///{home / 'ledger.db'}")
    with closing(database), closing(SqliteSearchIndex(home / "index.db")) as index:
        yield Stores(home, database, index, SqlGraph(database))


def rows(home: Path, query: Select[Any]) -> Rows:
    """What the ledger answers."""
    with closing(Database(f"sqlite:///{home / 'ledger.db'}")) as database, database.read() as connection:
        return list(connection.execute(query))


def statuses(home: Path) -> dict[str, int]:
    """How many documents have come to what."""
    query = select(schema.jobs.c.status, func.count()).group_by(schema.jobs.c.status)
    return dict(map(tuple, rows(home, query)))


def digest(home: Path) -> str:
    """I1: the same for all histories that end in the same."""
    return sha256("\n".join(facts(home)).encode()).hexdigest()


def facts(home: Path) -> list[str]:
    with stores(home) as s:
        return sorted(json.dumps(fact, default=_hex) for fact in (*_ledger_facts(s), *_index_facts(s)))


def _ledger_facts(s: Stores) -> Iterator[tuple[Any, ...]]:
    for d in s.documents.values():
        identity = (d.doc_id, d.tenant, d.source, d.source_id, d.kind, d.title, d.pipeline, d.fingerprint)
        yield ("document", *identity, d.generation, d.content)
    for o in s.rows(schema.origins):
        yield "origin", o.tenant, o.source, o.key, s.document(o.document_id), o.content
    for j in s.jobs.values():
        flags = (j.pdf_downloaded, j.pdf_ir_ready, j.waiting_for)
        at = j.current_stage if j.status != "done" else None  # of what is done: the last to end, a matter of history
        yield "job", *s.job(j.id), j.fingerprint, j.status, at, *flags
    for state in s.states.values():
        said = (state.status, state.error_type, state.reason, state.message, state.next_step)
        yield "state", *s.job(state.job_id), state.stage, *said, *_made(s, state)
    for job, rows in s.chunks.items():
        for c in rows:
            yield "chunk", *s.job(job), c.ordinal, c.chunk_id, c.start, c.end
    for letter in s.rows(schema.dead_letters):
        about = (letter.stage, letter.error_type, letter.reason, letter.message, letter.next_step, letter.input)
        yield "dead letter", *s.job(letter.job_id), *about
    terminal = {(e.job_id, e.stage, e.type, e.reason) for e in s.rows(schema.outbox) if e.type in TERMINAL}
    for job, *event in terminal:
        yield "event", *s.job(job), *event


def _made(s: Stores, state: Row[Any]) -> tuple[Any, ...]:
    """By what, and what: an output by the hash of its bytes, a receipt by what it says of this home's store."""
    d = s.definitions.get(state.definition_id)
    by = (d.contract, d.implementation, d.version, d.model, d.options, d.hash) if d else ()
    job = s.jobs.get(state.job_id)
    output = s.outputs.get((job.document_id, state.output)) if job else None
    if output is None:
        return (*by, state.output is not None)
    try:
        body = output.body if output.body is not None else s.artifacts.get(output.hash.hex())
    except ArtifactLost:
        return (*by, "lost or damaged")
    sink = s.sink(state)
    if sink is None:
        return (*by, output.kind, output.hash, output.size, sha256(body).digest() == output.hash)
    receipt = json.loads(body)
    here = s.store_id(sink)
    proof = (receipt.pop("store") == here, state.store == here, receipt.pop("token") == state.token)
    whole = (sha256(body).digest() == output.hash, len(body) == output.size)
    return (*by, output.kind, *proof, *whole, receipt)


def _index_facts(s: Stores) -> Iterator[tuple[Any, ...]]:
    yield "graph", s.graph.digest()
    yield "index", s.index.digest(), s.index.problems()
    with s.index.snapshot() as db:
        chunks = "SELECT d.doc_id, d.live, c.chunk_id, c.ordinal FROM chunks c"
        for row in list(db.execute(f"{chunks} LEFT JOIN documents d ON d.number = c.document")):
            yield "indexed", *row
    for sink in SINKS.values():
        for doc_id, standing in s.standing(sink).items():
            yield "standing", sink, doc_id, standing.generation


def _hex(value: object) -> object:
    return value.hex() if isinstance(value, bytes) else str(value)


def problems(home: Path, *, pending: int = 0, stores_used: int = 1) -> list[str]:
    """Every broken invariant of a home where nobody is at work, each in a line.

    `pending` documents may still be on their way (an outage, a stop); the index may have been made anew
    `stores_used` - 1 times.
    """
    with stores(home) as s:
        return [
            *one_terminal_event(s, stores_used),
            *no_stale_write(s),
            *nothing_lost(s, pending),
            *stores_agree(s),
            *s.index.problems(),
        ]


def one_terminal_event(s: Stores, stores_used: int = 1) -> Iterator[str]:
    """I2: a job's stage ends once a round; what a state says is what its event said."""
    ended: dict[tuple[int, str], list[Row[Any]]] = defaultdict(list)
    for event in s.rows(schema.outbox):
        if event.type in TERMINAL:
            ended[event.job_id, event.stage].append(event)
    for (job, stage), events in ended.items():
        state = s.states.get((job, stage))
        allowed = stores_used if state is not None and s.sink(state) == "index" else 1
        for round_, times in Counter(event.round for event in events).items():
            if times > allowed:
                yield f"I2: {s.job(job)} ended {times} times at {stage} in round {round_}"
    for (job, stage), state in s.states.items():
        events = ended.get((job, stage), [])
        last = (TERMINAL[events[-1].type], events[-1].token) if events else None
        if state.status in TERMINAL.values() and last != (state.status, state.token):
            yield f"I2: {s.job(job)} is {state.status} at {stage} under {state.token}, its last event is not"


def no_stale_write(s: Stores) -> Iterator[str]:
    """I3: what a sink holds was written under the token of the receipt with which the ledger's stage ended."""
    held = {sink: s.standing(sink) for sink in SINKS.values()}
    for (job, stage), state in s.states.items():
        sink = s.sink(state)
        if sink is None or state.status != "done" or state.store != s.store_id(sink):
            continue
        doc_id, _, generation = s.job(job)
        standing = held[sink].get(doc_id)
        if standing is None:
            yield f"I3: {doc_id} is done at {stage}, and the {sink} does not have it"
        elif standing.generation < generation:
            yield f"I3: {doc_id} is done at {stage} in generation {generation}, the {sink} has {standing.generation}"
        elif standing.generation == generation:
            receipt = json.loads(s.outputs[s.jobs[job].document_id, state.output].body)
            if standing.token != receipt["token"]:
                yield f"I3: {doc_id} is done at {stage} under token {receipt['token']}, the {sink} has {standing.token}"


def nothing_lost(s: Stores, pending: int = 0) -> Iterator[str]:
    """I4: each document has one job that counts, none is under way, nobody holds a lease."""
    alive: Counter[int] = Counter()
    for job in s.jobs.values():
        alive[job.document_id] += job.status not in LOST_IN_TIME
        document = s.documents.get(job.document_id)
        if document is None:
            yield f"I4: job {job.id} is of no document"
        elif job.generation < document.generation and job.status not in LOST_IN_TIME:
            yield f"I4: {document.source_id} generation {job.generation} is {job.status}, and there is a newer one"
    for number, row in s.documents.items():
        newest = [j for j in s.jobs.values() if j.document_id == number and j.generation == row.generation]
        if alive[number] > 1 or not newest:
            yield f"I4: {row.source_id} has {alive[number]} jobs that count, {len(newest)} of its generation"
    statuses = Counter(job.status for job in s.jobs.values())
    if statuses["pending"] != pending:
        yield f"I4: {statuses['pending']} jobs are pending, not {pending}"
    for (job, stage), state in s.states.items():
        if state.status == "running" or state.runner_id is not None:
            yield f"I4: {s.job(job)} is {state.status} at {stage}, held by runner {state.runner_id}"
        if job not in s.jobs:
            yield f"I4: {stage} stands for job {job}, which there is not"
        elif s.jobs[job].status == "done" and state.status != "done":
            yield f"I4: {s.job(job)} is done, but {state.status} at {stage}"
    letters = Counter((letter.job_id, letter.round) for letter in s.rows(schema.dead_letters))
    for job in s.jobs.values():
        if (job.status == "dead") != bool(letters[job.id, job.round]) and job.status not in LOST_IN_TIME:
            yield f"I4: {s.job(job.id)} is {job.status} with {letters[job.id, job.round]} dead letters of its round"
    for runner in s.rows(schema.runners):
        if runner.ended_at is None:
            yield f"I4: runner {runner.id} never ended"
    for submission in s.rows(schema.submissions):
        if submission.runner_id is not None:
            yield f"I4: submission {submission.id} is still being listed by runner {submission.runner_id}"
    for member in s.rows(schema.batch_jobs):
        if member.job_id not in s.jobs:
            yield f"I4: batch {member.batch_id} has job {member.job_id}, which there is not"


def stores_agree(s: Stores) -> Iterator[str]:
    """I5: the ledger's chunk ids are the index's, the graph names no other, and neither holds a stranger."""
    chunks = {s.job(job)[::2]: {row.chunk_id for row in rows} for job, rows in s.chunks.items() if job in s.jobs}
    chunked = {s.job(job) for job in s.chunks}
    known = {row.doc_id for row in s.documents.values()}
    for job, rows in s.chunks.items():
        if job not in s.jobs or len({row.chunk_id for row in rows}) != len(rows):
            yield f"I5: job {job} {s.job(job)} has chunks of nobody, or one twice"
    for sink in SINKS.values():
        for doc_id, standing in s.standing(sink).items():
            own = chunks.get((doc_id, standing.generation), set())
            if doc_id not in known:
                yield f"I5: the {sink} holds {doc_id}, which the ledger does not know"
            elif sink == "index" and standing.chunks != own:
                yield f"I5: of {doc_id} the ledger has {len(own)} chunks, the index {len(standing.chunks)} others"
            elif not standing.chunks <= own:
                yield f"I5: the graph's evidence for {doc_id} names chunks that are not its own"
    for job in s.jobs.values():
        done = s.states.get((job.id, "chunk"))
        if job.status == "done" and done is not None and s.job(job.id) not in chunked:
            output = s.outputs.get((job.document_id, done.output))
            if output is None or output.size > len(b"[]"):
                yield f"I5: {s.job(job.id)} is chunked, and the ledger has no chunks of it"


def most_calls(documents: int, poisoned: int) -> int:
    """I6: calls of a batch stage that may be made for so many documents of which some are poison."""
    return 2 * poisoned * ceil(log2(documents)) + 1
