"""The first tables: the ledger's own, then the graph's."""

from __future__ import annotations

from alembic import op
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Text,
    UniqueConstraint,
    text,
)

revision = "0001"
down_revision = None

Id = BigInteger().with_variant(Integer, "sqlite")

TABLES = (
    "ledger_meta",
    "submissions",
    "batches",
    "runs",
    "documents",
    "origins",
    "jobs",
    "batch_jobs",
    "definitions",
    "stage_states",
    "artifacts",
    "chunks",
    "dead_letters",
    "runners",
    "outbox",
    "graph_meta",
    "graph_documents",
    "graph_entities",
    "graph_mentions",
    "graph_identifiers",
    "graph_claims",
    "graph_evidence",
)


def upgrade() -> None:
    _requests()
    _documents()
    _work()
    _runners()
    _graph()


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)


def _id() -> Column[int]:
    return Column("id", Id, primary_key=True, autoincrement=True)


def _requests() -> None:
    op.create_table("ledger_meta", Column("name", String, primary_key=True), Column("value", Text, nullable=False))
    op.create_table(
        "submissions",
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
    op.create_table(
        "batches",
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
    )
    op.create_index("batches_by_status", "batches", ["status"])
    op.create_index("batches_by_submission", "batches", ["submission_id"])
    op.create_table(
        "runs",
        Column("run_id", String, primary_key=True),
        Column("root_run_id", String, nullable=False),
        Column("batch_id", Id, nullable=False),
        Column("pipeline", String, nullable=False),
        Column("digest", String, nullable=False),
        Column("topology", Text, nullable=False),
        Column("note", Text),
        Column("started_at", BigInteger, nullable=False),
    )
    op.create_index("runs_by_root", "runs", ["root_run_id"])
    op.create_index("runs_by_batch", "runs", ["batch_id"])


def _documents() -> None:
    op.create_table(
        "documents",
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
    op.create_table(
        "origins",
        Column("tenant", String, nullable=False),
        Column("source", String, nullable=False),
        Column("key", Text, nullable=False),
        Column("document_id", Id, nullable=False),
        Column("content", LargeBinary, nullable=False),
        Column("uri", Text, nullable=False),
        Column("version", Text, nullable=False),
        Column("seen_at", BigInteger, nullable=False),
        PrimaryKeyConstraint("tenant", "source", "key"),
        sqlite_with_rowid=False,
    )
    op.create_index("origins_by_document", "origins", ["document_id"])


def _work() -> None:
    op.create_table(
        "jobs",
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
        Column("created_at", BigInteger, nullable=False),
        Column("updated_at", BigInteger, nullable=False),
        UniqueConstraint("document_id", "pipeline", "generation"),
    )
    op.create_index("jobs_by_status", "jobs", ["status"])
    op.create_table(
        "batch_jobs",
        Column("batch_id", Id, nullable=False),
        Column("job_id", Id, nullable=False),
        PrimaryKeyConstraint("batch_id", "job_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("batch_jobs_by_job", "batch_jobs", ["job_id"])
    op.create_table(
        "definitions",
        _id(),
        Column("hash", String, nullable=False, unique=True),
        Column("contract", String, nullable=False),
        Column("implementation", String, nullable=False),
        Column("version", String, nullable=False),
        Column("model", String, nullable=False),
        Column("options", Text, nullable=False),
    )
    op.create_table(
        "stage_states",
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
        sqlite_with_rowid=False,
    )
    running = text("status = 'running'")
    op.create_index(
        "stage_states_running", "stage_states", ["runner_id"], sqlite_where=running, postgresql_where=running
    )
    op.create_table(
        "artifacts",
        _id(),
        Column("document_id", Id, nullable=False),
        Column("key", LargeBinary, nullable=False),
        Column("hash", LargeBinary, nullable=False),
        Column("kind", String, nullable=False),
        Column("size", Integer, nullable=False),
        Column("head", LargeBinary),
        Column("body", LargeBinary),
    )
    op.create_index("artifacts_by_key", "artifacts", ["document_id", "key"], unique=True)
    if op.get_bind().dialect.name == "postgresql":
        # Vectors and packed bodies hardly shrink: trying to compress each of them was the dearest part of a write.
        op.execute("ALTER TABLE artifacts ALTER head SET STORAGE EXTERNAL, ALTER body SET STORAGE EXTERNAL")
    op.create_table(
        "chunks",
        Column("job_id", Id, nullable=False),
        Column("ordinal", Integer, nullable=False),
        Column("chunk_id", String, nullable=False),
        Column("start", Integer, nullable=False),
        Column("end", Integer, nullable=False),
        PrimaryKeyConstraint("job_id", "ordinal"),
        sqlite_with_rowid=False,
    )


def _runners() -> None:
    op.create_table(
        "dead_letters",
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
    )
    op.create_index("dead_letters_by_job", "dead_letters", ["job_id"])
    op.create_table(
        "runners",
        _id(),
        Column("owner", String, nullable=False),
        Column("lease_ms", BigInteger, nullable=False),
        Column("started_at", BigInteger, nullable=False),
        Column("expires_at", BigInteger, nullable=False),
        Column("ended_at", BigInteger),
    )
    alive = text("ended_at IS NULL")
    op.create_index("runners_alive", "runners", ["id"], sqlite_where=alive, postgresql_where=alive)
    op.create_table(
        "outbox",
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


def _graph() -> None:
    op.create_table("graph_meta", Column("name", String, primary_key=True), Column("value", String, nullable=False))
    op.create_table(
        "graph_documents",
        _id(),
        Column("tenant", String, nullable=False),
        Column("doc_id", String, nullable=False),
        Column("generation", Integer, nullable=False),
        Column("token", BigInteger, nullable=False),
        Column("extractor", String, nullable=False),
        Column("version", String, nullable=False),
        Column("entities", Integer, nullable=False),
        Column("claims", Integer, nullable=False),
        UniqueConstraint("tenant", "doc_id"),
    )
    op.create_table(
        "graph_entities",
        _id(),
        Column("tenant", String, nullable=False),
        Column("key", String, nullable=False),
        Column("type", String, nullable=False),
        Column("identity", Text, nullable=False),
        UniqueConstraint("tenant", "key"),
    )
    op.create_table(
        "graph_mentions",
        Column("document_id", Id, nullable=False),
        Column("entity_id", Id, nullable=False),
        Column("name", Text, nullable=False),
        Column("folded", String, nullable=False),
        Column("evidence", Text, nullable=False),
        PrimaryKeyConstraint("document_id", "entity_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("graph_mentions_by_entity", "graph_mentions", ["entity_id"])
    op.create_index("graph_mentions_by_name", "graph_mentions", ["folded"])
    op.create_table(
        "graph_identifiers",
        Column("document_id", Id, nullable=False),
        Column("entity_id", Id, nullable=False),
        Column("scheme", String, nullable=False),
        Column("value", String, nullable=False),
        PrimaryKeyConstraint("document_id", "entity_id", "scheme", "value"),
        sqlite_with_rowid=False,
    )
    op.create_index("graph_identifiers_by_value", "graph_identifiers", ["value", "scheme"])
    op.create_index("graph_identifiers_by_entity", "graph_identifiers", ["entity_id"])
    op.create_table(
        "graph_claims",
        _id(),
        Column("tenant", String, nullable=False),
        Column("key", String, nullable=False),
        Column("subject_id", Id, nullable=False),
        Column("predicate", String, nullable=False),
        Column("object_id", Id),
        Column("value", Text),
        UniqueConstraint("tenant", "key"),
    )
    op.create_index("graph_claims_by_subject", "graph_claims", ["subject_id"])
    op.create_index("graph_claims_by_object", "graph_claims", ["object_id"])
    op.create_table(
        "graph_evidence",
        Column("document_id", Id, nullable=False),
        Column("claim_id", Id, nullable=False),
        Column("ordinal", Integer, nullable=False),
        Column("chunk_id", String),
        Column("field", String),
        Column("start", Integer),
        Column("end", Integer),
        Column("quote", Text, nullable=False),
        Column("locator", Text, nullable=False),
        Column("attributes", Text),
        PrimaryKeyConstraint("document_id", "claim_id", "ordinal"),
        sqlite_with_rowid=False,
    )
    op.create_index("graph_evidence_by_claim", "graph_evidence", ["claim_id"])
