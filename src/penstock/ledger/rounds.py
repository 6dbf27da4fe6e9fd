"""Trying again: a round is a job's next try at what failed, asked for by a person, a re-execution or a plain run."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, and_, update

from penstock.ledger.locks import lock_jobs
from penstock.ledger.schema import jobs, stage_states


def new_round(
    connection: Connection, now: int, ids: Sequence[int], statuses: Sequence[str] = ("failed", "dead")
) -> list[int]:
    """Let jobs of these statuses be tried again from the stage that failed, as a new round with a clean count.

    Answers those that were: a second process that asks for the same finds them under way.
    """
    begun: list[int] = []
    for first in range(0, len(ids), 512):
        some = and_(jobs.c.id.in_(ids[first : first + 512]), jobs.c.status.in_(statuses))
        lock_jobs(connection, some)
        set_going = update(jobs).where(some).values(status="pending", round=jobs.c.round + 1, updated_at=now)
        these = sorted(connection.execute(set_going.returning(jobs.c.id)).scalars())
        connection.execute(
            update(stage_states)
            .where(stage_states.c.job_id.in_(these), stage_states.c.status.in_(("failed", "dead")))
            .values(status="pending", attempts=0, lost=0)
        )
        begun += these
    return begun
