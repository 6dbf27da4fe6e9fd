"""How fast services may be called, and from when on a listing asks for changes."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, String

revision = "0003"
down_revision = "0002"

Id = BigInteger().with_variant(Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "rates",
        Column("key", String, primary_key=True),
        Column("next_us", BigInteger, nullable=False),
        Column("paused_until", BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "watermarks",
        Column("submission_id", Id, primary_key=True, autoincrement=False),
        Column("since", BigInteger, nullable=False),
        Column("fingerprint", String, nullable=False),
    )


def downgrade() -> None:
    for table in ("watermarks", "rates"):
        op.drop_table(table)
