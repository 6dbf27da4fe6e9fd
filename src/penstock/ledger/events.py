"""What happened to documents, written with what it happened to."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, literal, select

from penstock.ledger.schema import jobs, outbox, stage_states
from penstock.ledger.turns import OPEN

COUNTED = {"preserve_rowcount": True}
"""An INSERT's count of rows is forgotten on PostgreSQL unless one asks for it."""


def record(
    connection: Connection, now: int, kind: str, stage: str, about: Sequence[int], reason: str | None = None
) -> int:
    """One row for each of the jobs `about`, copied by the database out of the states as they stand; how many.

    Nothing starts for a job that is over.
    """
    if not about:
        return 0
    said = (
        select(
            literal(now),
            literal(kind),
            stage_states.c.job_id,
            stage_states.c.stage,
            jobs.c.round,
            stage_states.c.token,
            literal(reason, outbox.c.reason.type),
        )
        .join(jobs, jobs.c.id == stage_states.c.job_id)
        .where(stage_states.c.job_id.in_(about), stage_states.c.stage == stage)
        .order_by(stage_states.c.job_id)
    )
    if kind == "started":
        said = said.where(jobs.c.status.in_(OPEN))
    columns = ["at", "type", "job_id", "stage", "round", "token", "reason"]
    return connection.execute(outbox.insert().from_select(columns, said), execution_options=COUNTED).rowcount
