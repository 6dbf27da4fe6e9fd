"""Which stores a pipeline's sinks have written to, and which listings have held a document."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, PrimaryKeyConstraint, String, Text, UniqueConstraint

revision = "0002"
down_revision = "0001"

Id = BigInteger().with_variant(Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "stores",
        Column("tenant", String, nullable=False),
        Column("pipeline", String, nullable=False),
        Column("stage", String, nullable=False),
        Column("uuid", String, nullable=False),
        PrimaryKeyConstraint("tenant", "pipeline", "stage", "uuid"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "scopes",
        Column("id", Id, primary_key=True, autoincrement=True),
        Column("tenant", String, nullable=False),
        Column("source", String, nullable=False),
        Column("digest", String, nullable=False),
        Column("request", Text, nullable=False),
        UniqueConstraint("tenant", "source", "digest"),
    )
    op.create_table(
        "scope_documents",
        Column("scope_id", Id, nullable=False),
        Column("document_id", Id, nullable=False),
        Column("seen", Id, nullable=False),
        PrimaryKeyConstraint("scope_id", "document_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("scope_documents_by_document", "scope_documents", ["document_id"])


def downgrade() -> None:
    for table in ("scope_documents", "scopes", "stores"):
        op.drop_table(table)
