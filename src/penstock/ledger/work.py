"""Claim, commit, fail, give back: the life of stage states. Every write here is one short transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, and_, bindparam, func, or_, select, update

from penstock.ledger.columns import copy_out
from penstock.ledger.database import Database, clock
from penstock.ledger.events import COUNTED, record
from penstock.ledger.leases import kept
from penstock.ledger.locks import lock_jobs
from penstock.ledger.schema import (
    PASSING,
    RUNNING,
    artifacts,
    batch_jobs,
    dead_letters,
    documents,
    jobs,
    outbox,
    stage_states,
)
from penstock.ledger.turns import OPEN, Claim, Committed, Done, Failed, StageKey, Stored, done_with, next_group

__all__ = ["Claim", "Committed", "Done", "Failed", "StageKey", "Stored", "Work", "next_group"]

PAGE = 1024
"""Candidates looked up at a time, so that memory does not grow with a batch."""


class Work:
    def __init__(self, database: Database) -> None:
        self._db = database

    def candidates(self, batch: int, stage: StageKey, after: int = 0, limit: int = PAGE) -> list[Claim]:
        """Documents of a batch whose turn at `stage` it is, by job id: inputs done, itself not, nobody at it."""
        state = stage_states.alias()
        undone = or_(state.c.status.is_(None), state.c.status == "pending")
        if stage.store is not None:
            undone = or_(undone, and_(state.c.status == "done", func.coalesce(state.c.store, "") != stage.store))
        columns = (
            jobs.c.id,
            jobs.c.document_id,
            documents.c.doc_id,
            documents.c.source_id,
            documents.c.tenant,
            jobs.c.correlation_id,
            jobs.c.generation,
            jobs.c.round,
            jobs.c.status,
            func.coalesce(state.c.token, 0),
            func.coalesce(state.c.lost, 0),
            func.coalesce(state.c.attempts, 0),
            func.coalesce(state.c.status == "done", False),
        )
        query: Select[Any] = (
            select(*columns)
            .select_from(batch_jobs)
            .join(jobs, jobs.c.id == batch_jobs.c.job_id)
            .join(documents, documents.c.id == jobs.c.document_id)
            .outerjoin(state, and_(state.c.job_id == jobs.c.id, state.c.stage == stage.name))
            .where(
                batch_jobs.c.batch_id == batch,
                batch_jobs.c.job_id > after,
                jobs.c.status.in_(OPEN),
                undone,
            )
            .order_by(batch_jobs.c.job_id)
            .limit(limit)
        )
        for parent in stage.parents:
            upper = stage_states.alias()
            query = query.join(
                upper, and_(upper.c.job_id == jobs.c.id, upper.c.stage == parent, upper.c.status == "done")
            )
        with self._db.read() as connection:
            return [Claim(*row) for row in connection.execute(query)]

    def claim(self, runner: int, stage: StageKey, wanted: Sequence[Claim]) -> list[Claim]:
        """Lease these; answered are those that are really ours now, with their new tokens.

        Left out are those that somebody else took, or that were cancelled or superseded since they were looked up.
        """
        while True:
            try:
                return self._claim(runner, stage, wanted)
            except _Fence:
                wanted = self._open(wanted)

    def _claim(self, runner: int, stage: StageKey, wanted: Sequence[Claim]) -> list[Claim]:
        together = list(wanted)
        if not together:
            return []
        rows = [{"job_id": c.job_id, "token": c.token + 1} for c in together]
        insert = self._db.insert(stage_states)
        with self._db.write(durable=stage.store is not None) as connection:
            lock_jobs(connection, jobs.c.id.in_([c.job_id for c in together]))
            now = clock(connection)
            fresh = {
                "status": "running",
                "runner_id": runner,
                "started_at": now,
                "finished_at": None,
                "definition_id": stage.definition_id,
                "reused": False,
                "output": None,
                "store": None,
                "error_type": None,
                "reason": None,
                "message": None,
                "next_step": None,
            }
            statement = insert.values(stage=stage.name, **fresh).on_conflict_do_update(
                index_elements=["job_id", "stage"],
                set_={"token": insert.excluded.token, **fresh},
                where=and_(stage_states.c.token == insert.excluded.token - 1, stage_states.c.status != "running"),
            )
            changed = connection.execute(statement, rows, execution_options=COUNTED).rowcount
            if changed != len(together):
                together = self._ours(connection, runner, stage.name, together)
            rounds = self._reopen(connection, [c for c in together if c.again or c.job_status == "done"])
            if record(connection, now, "started", stage.name, [c.job_id for c in together]) != len(together):
                raise _Fence
            order = int(connection.execute(select(func.coalesce(func.max(outbox.c.id), 0))).scalar_one())
        for c in together:
            c.token += 1
            c.order = order
            c.round, c.again = rounds.get(c.job_id, c.round), False
        return together

    def _open(self, claims: Sequence[Claim]) -> list[Claim]:
        query = select(jobs.c.id).where(jobs.c.id.in_([c.job_id for c in claims]), jobs.c.status.in_(OPEN))
        with self._db.read() as connection:
            alive = set(connection.execute(query).scalars())
        return [c for c in claims if c.job_id in alive]

    def _reopen(self, connection: Connection, claims: Sequence[Claim]) -> dict[int, int]:
        """Jobs that were done have something to do. A sink that was done is a round of its own: a round has one end.

        Answered are the new rounds.
        """
        if not claims:
            return {}
        mine = update(jobs).where(jobs.c.id.in_([c.job_id for c in claims]))
        connection.execute(mine.where(jobs.c.status == "done").values(status="pending"))
        again = [c.job_id for c in claims if c.again]
        one_more = update(jobs).where(jobs.c.id.in_(again), jobs.c.status.in_(OPEN)).values(round=jobs.c.round + 1)
        return {row.id: row.round for row in connection.execute(one_more.returning(jobs.c.id, jobs.c.round))}

    def commit(self, stage: StageKey, done: Sequence[Done], failed: Sequence[Failed] = ()) -> Committed:
        """Outputs, states and events of a group, all or nothing; what was fenced off is left out and named."""
        fenced: list[Claim] = []
        while True:
            try:
                self._commit(stage, done, failed)
                return Committed(len(done), len(failed), fenced)
            except _Fence:
                claims = [*(d.claim for d in done), *(f.claim for f in failed)]
                held = self.still_held(stage.name, claims)
                fenced += [c for c in claims if c.job_id not in held]
                done = [d for d in done if d.claim.job_id in held]
                failed = [f for f in failed if f.claim.job_id in held]

    def release(self, stage: StageKey, claims: Sequence[Claim], *, lost: bool = False) -> None:
        """Give claimed documents back untouched. `lost`: as if their lease had been: the attempt came to a bad end."""
        if not claims:
            return
        statement = (
            update(stage_states)
            .where(
                stage_states.c.job_id == bindparam("b_job"),
                stage_states.c.stage == stage.name,
                stage_states.c.token == bindparam("b_token"),
                stage_states.c.status == "running",
            )
            .values(status="pending", runner_id=None, lost=stage_states.c.lost + int(lost))
        )
        with self._db.write() as connection:
            lock_jobs(connection, jobs.c.id.in_([c.job_id for c in claims]))
            connection.execute(statement, [{"b_job": c.job_id, "b_token": c.token} for c in claims])

    def settle(self, batch: int, stages: Sequence[str]) -> None:
        """Jobs of a batch that have all of these stages behind them are done, also when no stage was left to say so.

        Older generations, which were only written again into a new store, are of the past again.
        """
        mine = jobs.c.id.in_(select(batch_jobs.c.job_id).where(batch_jobs.c.batch_id == batch))
        ready = and_(mine, jobs.c.status == "pending", done_with(stages))
        newer = select(documents.c.id).where(
            documents.c.id == jobs.c.document_id, documents.c.generation > jobs.c.generation
        )
        past = and_(mine, jobs.c.status == "done", newer.exists())
        for which, status in ((ready, "done"), (past, "superseded")):
            with self._db.read() as connection:
                if connection.execute(select(jobs.c.id).where(which).limit(1)).first() is None:
                    continue
            with self._db.write() as connection:
                lock_jobs(connection, which)
                connection.execute(update(jobs).where(which).values(status=status, updated_at=clock(connection)))

    def busy(self, batch: int, stages: Sequence[str]) -> int:
        """How many documents of a batch somebody is at right now, at one of these stages; not those that have left it
        for a gate, where a worker may be at them."""
        query = (
            select(func.count())
            .select_from(batch_jobs)
            .join(stage_states, stage_states.c.job_id == batch_jobs.c.job_id)
            .join(jobs, jobs.c.id == batch_jobs.c.job_id)
            .where(
                batch_jobs.c.batch_id == batch,
                stage_states.c.stage.in_(stages),
                RUNNING,
                jobs.c.status == "pending",
            )
        )
        with self._db.read() as connection:
            return int(connection.execute(query).scalar_one())

    def _commit(self, stage: StageKey, done: Sequence[Done], failed: Sequence[Failed]) -> None:
        if not done and not failed:
            return
        claims = [*(d.claim for d in done), *(f.claim for f in failed)]
        with self._db.write() as connection:
            lock_jobs(connection, jobs.c.id.in_([c.job_id for c in claims]))
            now = clock(connection)
            if done:
                self._store(connection, done)
                self._finish(connection, now, stage, done)
                record(connection, now, "completed", stage.name, [d.claim.job_id for d in done])
            if failed:
                self._fail(connection, now, stage, failed)

    def _store(self, connection: Connection, done: Sequence[Done]) -> None:
        rows = [
            {
                "document_id": d.stored.document_id,
                "key": d.stored.key,
                "hash": d.stored.hash,
                "kind": d.stored.kind,
                "size": d.stored.size,
                "head": d.head,
                "body": d.body,
            }
            for d in done
            if d.is_new
        ]
        if rows:
            connection.execute(self._db.insert(artifacts).on_conflict_do_nothing(), rows)

    def _finish(self, connection: Connection, now: int, stage: StageKey, done: Sequence[Done]) -> None:
        statement = (
            update(stage_states)
            .where(
                stage_states.c.job_id == bindparam("b_job"),
                stage_states.c.stage == stage.name,
                stage_states.c.token == bindparam("b_token"),
                stage_states.c.status == "running",
            )
            .values(
                status="done",
                finished_at=now,
                runner_id=None,
                lost=0,
                store=stage.store,
                output=bindparam("b_output"),
                reused=bindparam("b_reused"),
                attempts=bindparam("b_attempts"),
            )
        )
        rows = [
            {
                "b_job": d.claim.job_id,
                "b_token": d.claim.token,
                "b_output": d.stored.key,
                "b_reused": d.reused,
                "b_attempts": d.claim.attempts + d.attempts,
            }
            for d in done
        ]
        if connection.execute(statement, rows).rowcount != len(rows):
            raise _Fence
        ids = [d.claim.job_id for d in done]
        values: dict[str, Any] = {"current_stage": stage.name, "updated_at": now}
        if stage.sets:
            values[stage.sets] = True
        alive = jobs.c.status.in_(("pending", "waiting"))
        connection.execute(update(jobs).where(jobs.c.id.in_(ids), alive).values(values))
        if stage.final is not None:
            finished = update(jobs).where(jobs.c.id.in_(ids), alive, done_with(stage.final))
            connection.execute(finished.values(**PASSING, status="done"))
        copy_out(connection, done)

    def _fail(self, connection: Connection, now: int, stage: StageKey, failed: Sequence[Failed]) -> None:
        for f in failed:
            status = "dead" if f.terminal else "failed"
            fields = kept(f.error)
            held = connection.execute(
                update(stage_states)
                .where(
                    stage_states.c.job_id == f.claim.job_id,
                    stage_states.c.stage == stage.name,
                    stage_states.c.token == f.claim.token,
                    stage_states.c.status == "running",
                )
                .values(
                    status=status,
                    finished_at=now,
                    runner_id=None,
                    attempts=f.claim.attempts + f.attempts,
                    **fields,
                )
            )
            if held.rowcount != 1:
                raise _Fence
            connection.execute(
                update(jobs)
                .where(jobs.c.id == f.claim.job_id, jobs.c.status.in_(("pending", "waiting")))
                .values(**PASSING, status=status, current_stage=stage.name, updated_at=now)
            )
            if f.terminal:
                connection.execute(
                    dead_letters.insert().values(
                        job_id=f.claim.job_id,
                        stage=stage.name,
                        round=f.claim.round,
                        detail=f.detail,
                        input=f.input,
                        created_at=now,
                        **fields,
                    )
                )
            record(connection, now, status, stage.name, [f.claim.job_id], f.error.reason)

    def _ours(self, connection: Connection, runner: int, stage: str, claims: Sequence[Claim]) -> list[Claim]:
        query = select(stage_states.c.job_id, stage_states.c.token).where(
            stage_states.c.job_id.in_([c.job_id for c in claims]),
            stage_states.c.stage == stage,
            stage_states.c.runner_id == runner,
            stage_states.c.status == "running",
        )
        held = {row.job_id: row.token for row in connection.execute(query)}
        return [c for c in claims if held.get(c.job_id) == c.token + 1]

    def give_way(self, stage: str, claim: Claim) -> bool:
        """Let a claim of an older generation go that a newer one has overtaken. False when it is today's."""
        newer = select(documents.c.id).where(
            documents.c.id == claim.document_id, documents.c.generation > claim.generation
        )
        with self._db.write() as connection:
            lock_jobs(connection, jobs.c.id == claim.job_id)
            past = update(jobs).where(jobs.c.id == claim.job_id, newer.exists()).values(status="superseded")
            if not connection.execute(past).rowcount:
                return False
            mine = and_(stage_states.c.job_id == claim.job_id, stage_states.c.stage == stage, RUNNING)
            connection.execute(update(stage_states).where(mine).values(status="pending", runner_id=None))
            return True

    def still_held(self, stage: str, claims: Sequence[Claim]) -> set[int]:
        query = select(stage_states.c.job_id, stage_states.c.token).where(
            stage_states.c.job_id.in_([c.job_id for c in claims]),
            stage_states.c.stage == stage,
            stage_states.c.status == "running",
        )
        with self._db.read() as connection:
            held = {row.job_id: row.token for row in connection.execute(query)}
        return {c.job_id for c in claims if held.get(c.job_id) == c.token}


class _Fence(Exception):
    """Inside a claim or commit: something has changed hands meanwhile, roll back."""
