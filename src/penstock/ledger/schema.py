"""The ledger's tables. Hot tables have small integer keys; hashes are plain columns (see docs/architecture.md)."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    TypeDecorator,
    UniqueConstraint,
    literal_column,
    text,
)
from sqlalchemy import Text as AnyText

from penstock.ir.model import clean_text

metadata = MetaData()


class Text(TypeDecorator[str]):
    """Text from outside: names, messages, places. What no database can hold is replaced on the way in."""

    impl = AnyText
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: object) -> str | None:
        return value if value is None else clean_text(value)


ledger_meta = Table(
    "ledger_meta", metadata, Column("name", String, primary_key=True), Column("value", Text, nullable=False)
)
"""`uuid`: the ledger's own name, for sinks that outlive it. `told <tenant> <pipeline>`: see `ledger.told`."""

Id = BigInteger().with_variant(Integer, "sqlite")


def _id() -> Column[int]:
    return Column("id", Id, primary_key=True, autoincrement=True)


def partial_index(name: str, *columns: str, where: str) -> Index:
    return Index(name, *columns, sqlite_where=text(where), postgresql_where=text(where))


submissions = Table(
    "submissions",
    metadata,
    _id(),
    Column("tenant", String, nullable=False),
    Column("pipeline", String, nullable=False),
    Column("source", String, nullable=False),
    Column("request", Text, nullable=False),
    Column("correlation_id", String, nullable=False),
    Column("idempotency_key", Text),
    Column("batch_size", Integer, nullable=False, server_default="0"),
    Column("status", String, nullable=False),
    Column("cursor", Text),
    Column("records", Integer, nullable=False, server_default="0"),
    Column("runner_id", Id),
    Column("token", Integer, nullable=False, server_default="0"),
    Column("created_at", BigInteger, nullable=False),
    Column("listed_at", BigInteger),
    UniqueConstraint("tenant", "idempotency_key"),
)
"""What a user asked for. `status`: new, listing, listed, cancelled. `batch_size` 0: one batch takes all.
`runner_id` and `token` are the lease of whoever lists it."""

batches = Table(
    "batches",
    metadata,
    _id(),
    Column("tenant", String, nullable=False),
    Column("pipeline", String, nullable=False),
    Column("submission_id", Id),
    Column("kind", String, nullable=False),
    Column("status", String, nullable=False),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("run_id", String),
    Column("runner_id", Id),
    Column("note", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("claimed_at", BigInteger),
    Column("started_at", BigInteger),
    Column("finished_at", BigInteger),
    Column("gathered_at", BigInteger),
    Index("batches_by_status", "status"),
    Index("batches_by_submission", "submission_id"),
)
"""The documents one run takes. `kind`: whole, slice, resume, retry. `status`: held (a person runs it), filling (being
cut), queued (the sensor may launch it), claimed (a run was asked for), started, complete, partial, failed,
cancelled. `gathered_at`: since when a resume takes no more of what becomes ready."""

runs = Table(
    "runs",
    metadata,
    Column("run_id", String, primary_key=True),
    Column("root_run_id", String, nullable=False),
    Column("batch_id", Id, nullable=False),
    Column("pipeline", String, nullable=False),
    Column("digest", String, nullable=False),
    Column("topology", Text, nullable=False),
    Column("note", Text),
    Column("started_at", BigInteger, nullable=False),
    Index("runs_by_root", "root_run_id"),
    Index("runs_by_batch", "batch_id"),
)
"""One row a run, written by its first op: the batch it is about and the topology's digest it pins."""

documents = Table(
    "documents",
    metadata,
    _id(),
    Column("doc_id", Text, nullable=False, unique=True),
    Column("tenant", String, nullable=False),
    Column("source", String, nullable=False),
    Column("source_id", Text, nullable=False),
    Column("kind", String, nullable=False),
    Column("title", Text),
    Column("content", LargeBinary, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("fingerprint", String, nullable=False),
    Column("pipeline", String, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    UniqueConstraint("tenant", "source", "source_id"),
)
"""`content` is the sha256 of the raw payload that `generation` is about."""

origins = Table(
    "origins",
    metadata,
    Column("tenant", String, nullable=False),
    Column("source", String, nullable=False),
    Column("key", Text, nullable=False),
    Column("document_id", Id, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("uri", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "source", "key"),
    Index("origins_by_document", "document_id"),
    sqlite_with_rowid=False,
)
"""What each place gave when it was last listed."""

jobs = Table(
    "jobs",
    metadata,
    _id(),
    Column("document_id", Id, nullable=False),
    Column("pipeline", String, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("fingerprint", String, nullable=False),
    Column("correlation_id", String, nullable=False),
    Column("status", String, nullable=False),
    Column("current_stage", String),
    Column("round", Integer, nullable=False, server_default="1"),
    Column("pdf_downloaded", Boolean, nullable=False, server_default=text("false")),
    Column("pdf_ir_ready", Boolean, nullable=False, server_default=text("false")),
    Column("waiting_for", String),
    Column("waiting_since", BigInteger),
    Column("waiting_until", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    UniqueConstraint("document_id", "pipeline", "generation"),
    Index("jobs_by_status", "status"),
    partial_index("jobs_unparsed", "status", "id", where="status = 'waiting' AND NOT pdf_ir_ready"),
    partial_index("jobs_parsed", "pipeline", "updated_at", where="status = 'waiting' AND pdf_ir_ready"),
    partial_index("jobs_overdue", "status", "waiting_until", where="status = 'waiting' AND waiting_until IS NOT NULL"),
    partial_index("jobs_lost", "status", "updated_at", where="status IN ('failed', 'dead')"),
)
"""A document's way through a pipeline. `status`: pending, waiting (at a gate), done, failed (retryable), dead,
cancelled, superseded, retiring (its stores have yet to let go of it), retired. A waiting one whose ledger field is set
has been ready since `updated_at`, and waits for a run."""

PASSING = {"waiting_for": None, "waiting_since": None, "waiting_until": None}
"""What a job says of a gate that it no longer waits at."""

batch_jobs = Table(
    "batch_jobs",
    metadata,
    Column("batch_id", Id, nullable=False),
    Column("job_id", Id, nullable=False),
    PrimaryKeyConstraint("batch_id", "job_id"),
    Index("batch_jobs_by_job", "job_id"),
    sqlite_with_rowid=False,
)

scopes = Table(
    "scopes",
    metadata,
    _id(),
    Column("tenant", String, nullable=False),
    Column("source", String, nullable=False),
    Column("digest", String, nullable=False),
    Column("request", Text, nullable=False),
    UniqueConstraint("tenant", "source", "digest"),
)
"""What was ever asked of a source: `digest` is the sha256 (hex) of the canonical request."""

scope_documents = Table(
    "scope_documents",
    metadata,
    Column("scope_id", Id, nullable=False),
    Column("document_id", Id, nullable=False),
    Column("seen", Id, nullable=False),
    PrimaryKeyConstraint("scope_id", "document_id"),
    Index("scope_documents_by_document", "document_id"),
    sqlite_with_rowid=False,
)
"""The documents a scope's listings gave. `seen`: the newest submission there was, of any kind, when it was last given;
a submission that is newer was made after that, and a listing that is under way beside it takes nothing away."""

stores = Table(
    "stores",
    metadata,
    Column("tenant", String, nullable=False),
    Column("pipeline", String, nullable=False),
    Column("stage", String, nullable=False),
    Column("uuid", String, nullable=False),
    PrimaryKeyConstraint("tenant", "pipeline", "stage", "uuid"),
    sqlite_with_rowid=False,
)
"""The stores that a pipeline's sink has written to; more than one until nothing is left that only an older one has."""

definitions = Table(
    "definitions",
    metadata,
    _id(),
    Column("hash", String, nullable=False, unique=True),
    Column("contract", String, nullable=False),
    Column("implementation", String, nullable=False),
    Column("version", String, nullable=False),
    Column("model", String, nullable=False),
    Column("options", Text, nullable=False),
)
"""What a stage was when it ran: a row for each distinct (contract, implementation, version, model, options)."""

stage_states = Table(
    "stage_states",
    metadata,
    Column("job_id", Id, nullable=False),
    Column("stage", String, nullable=False),
    Column("status", String, nullable=False),
    Column("token", Integer, nullable=False),
    Column("runner_id", Id),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("lost", Integer, nullable=False, server_default="0"),
    Column("available_at", BigInteger),
    Column("started_at", BigInteger, nullable=False),
    Column("finished_at", BigInteger),
    Column("definition_id", Id),
    Column("output", LargeBinary),
    Column("reused", Boolean, nullable=False, server_default=text("false")),
    Column("store", String),
    Column("error_type", String),
    Column("reason", Text),
    Column("message", Text),
    Column("next_step", Text),
    PrimaryKeyConstraint("job_id", "stage"),
    partial_index("stage_states_running", "runner_id", where="status = 'running'"),
    sqlite_with_rowid=False,
)
"""`status`: pending (given back), running, done, failed, dead. `token` rises with each claim and is the fence;
`output` is the key of the artifact; `store` the uuid of the store a sink wrote to."""

RUNNING = stage_states.c.status == literal_column("'running'")
"""Leased by somebody. A literal: a plan that must hold for every bound value can't use the partial index."""

artifacts = Table(
    "artifacts",
    metadata,
    _id(),
    Column("document_id", Id, nullable=False),
    Column("key", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("kind", String, nullable=False),
    Column("size", Integer, nullable=False),
    Column("head", LargeBinary),
    Column("body", LargeBinary),
    Index("artifacts_by_key", "document_id", "key", unique=True),
)
"""Stage outputs. `key` says what they were made from, `hash` is the sha256 of the body, `size` its bytes, `head` what
the codec keeps beside it. A body above the inline limit is NULL here and rests in the artifact store under its hash."""

chunks = Table(
    "chunks",
    metadata,
    Column("job_id", Id, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("chunk_id", String, nullable=False),
    Column("start", Integer, nullable=False),
    Column("end", Integer, nullable=False),
    PrimaryKeyConstraint("job_id", "ordinal"),
    sqlite_with_rowid=False,
)

dead_letters = Table(
    "dead_letters",
    metadata,
    _id(),
    Column("job_id", Id, nullable=False),
    Column("stage", String, nullable=False),
    Column("round", Integer, nullable=False),
    Column("error_type", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("next_step", Text, nullable=False),
    Column("detail", Text),
    Column("input", LargeBinary),
    Column("created_at", BigInteger, nullable=False),
    Index("dead_letters_by_job", "job_id"),
)
"""`input` is the key of the artifact that could not be processed: the bytes stay. `detail` a traceback, for bugs."""

runners = Table(
    "runners",
    metadata,
    _id(),
    Column("owner", String, nullable=False),
    Column("lease_ms", BigInteger, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    partial_index("runners_alive", "id", where="ended_at IS NULL"),
)
"""A process that claims work. Its leases live as long as `expires_at`, which its heartbeat pushes on."""

workers = Table(
    "workers",
    metadata,
    Column("runner_id", Id, primary_key=True, autoincrement=False),
    Column("field", String, nullable=False),
    Column("engine", Text, nullable=False),
    Column("slots", Integer, nullable=False),
    Column("documents", Integer, nullable=False, server_default="0"),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("pages", BigInteger, nullable=False, server_default="0"),
    Column("busy_ms", BigInteger, nullable=False, server_default="0"),
)
"""Runners that work on documents waiting for `field`: with which engine, how many at a time (`slots`), and what they
have done so far, in so much time of all slots together."""

rates = Table(
    "rates",
    metadata,
    Column("key", String, primary_key=True),
    Column("next_us", BigInteger, nullable=False),
    Column("paused_until", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""When a service may be called next (epoch microseconds), and until when it is to be left alone (milliseconds)."""

watermarks = Table(
    "watermarks",
    metadata,
    Column("submission_id", Id, primary_key=True, autoincrement=False),
    Column("since", BigInteger, nullable=False),
    Column("fingerprint", String, nullable=False),
)
"""What a submission's listing begins with, 0 for everything, and the pipeline's fingerprint ("" until it begins)."""

outbox = Table(
    "outbox",
    metadata,
    _id(),
    Column("at", BigInteger, nullable=False),
    Column("type", String, nullable=False),
    Column("job_id", Id, nullable=False),
    Column("stage", String, nullable=False),
    Column("round", Integer, nullable=False),
    Column("token", Integer, nullable=False),
    Column("reason", Text),
    Column("published_at", BigInteger),
)
"""What happened, written with what it happened to. `type`: started, completed, failed, dead."""
