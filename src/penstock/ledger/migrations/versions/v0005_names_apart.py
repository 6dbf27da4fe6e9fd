"""Names that mean another thing in some documents."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, PrimaryKeyConstraint, String

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "graph_apart",
        Column("tenant", String, nullable=False),
        Column("name", String, nullable=False),
        Column("doc_id", String, nullable=False),
        Column("type", String, nullable=False),
        Column("sense", String, nullable=False),
        Column("at", BigInteger, nullable=False),
        PrimaryKeyConstraint("tenant", "name", "doc_id", "type"),
        sqlite_with_rowid=False,
    )
    op.create_index("graph_apart_by_document", "graph_apart", ["tenant", "doc_id"])


def downgrade() -> None:
    op.drop_table("graph_apart")
