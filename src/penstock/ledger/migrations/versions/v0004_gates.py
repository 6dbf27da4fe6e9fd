"""Documents at gates: until when they wait, who works on them, and which batches still gather what becomes ready."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, String, Text, text

revision = "0004"
down_revision = "0003"

Id = BigInteger().with_variant(Integer, "sqlite")
INDEXES = {
    "jobs_unparsed": (["status", "id"], "status = 'waiting' AND NOT pdf_ir_ready"),
    "jobs_parsed": (["pipeline", "updated_at"], "status = 'waiting' AND pdf_ir_ready"),
    "jobs_overdue": (["status", "waiting_until"], "status = 'waiting' AND waiting_until IS NOT NULL"),
    "jobs_lost": (["status", "updated_at"], "status IN ('failed', 'dead')"),
}


def upgrade() -> None:
    op.add_column("batches", Column("gathered_at", BigInteger))
    op.add_column("jobs", Column("waiting_until", BigInteger))
    for name, (columns, where) in INDEXES.items():
        op.create_index(name, "jobs", columns, sqlite_where=text(where), postgresql_where=text(where))
    op.create_table(
        "workers",
        Column("runner_id", Id, primary_key=True, autoincrement=False),
        Column("field", String, nullable=False),
        Column("engine", Text, nullable=False),
        Column("slots", Integer, nullable=False),
        Column("documents", Integer, nullable=False, server_default="0"),
        Column("failures", Integer, nullable=False, server_default="0"),
        Column("pages", BigInteger, nullable=False, server_default="0"),
        Column("busy_ms", BigInteger, nullable=False, server_default="0"),
    )


def downgrade() -> None:
    op.drop_table("workers")
    for name in INDEXES:
        op.drop_index(name, "jobs")
    op.drop_column("jobs", "waiting_until")
    op.drop_column("batches", "gathered_at")
