"""Runs: which batch each is about, and the topology it pinned."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, select, update

from penstock.ledger.database import Database, clock
from penstock.ledger.schema import batches, runs


@dataclass(frozen=True, slots=True)
class Run:
    run_id: str
    root_run_id: str
    batch_id: int
    pipeline: str
    digest: str
    topology: str
    note: str | None


class Runs:
    def __init__(self, database: Database) -> None:
        self._db = database

    def open(self, run: Run, runner: int | None) -> None:
        """Record which batch a run is about and the digest it pins; the batch is started."""
        with self._db.write() as connection:
            now = clock(connection)
            connection.execute(
                self._db.insert(runs)
                .values(
                    run_id=run.run_id,
                    root_run_id=run.root_run_id,
                    batch_id=run.batch_id,
                    pipeline=run.pipeline,
                    digest=run.digest,
                    topology=run.topology,
                    note=run.note,
                    started_at=now,
                )
                .on_conflict_do_nothing()
            )
            connection.execute(
                update(batches)
                .where(batches.c.id == run.batch_id)
                .values(status="started", started_at=now, finished_at=None, run_id=run.run_id, runner_id=runner)
            )

    def taken_by(self, batch: int, runner: int) -> None:
        """Say which runner is at a started batch now: each stage of a run may be a process of its own."""
        with self._db.write() as connection:
            here = and_(batches.c.id == batch, batches.c.status == "started")
            connection.execute(update(batches).where(here).values(runner_id=runner))

    def get(self, run_id: str) -> Run | None:
        return self._run(runs.c.run_id == run_id)

    def newest(self, root_run_id: str) -> Run | None:
        """The newest run of a chain of re-executions."""
        return self._run(runs.c.root_run_id == root_run_id)

    def _run(self, condition: ColumnElement[bool]) -> Run | None:
        query = (
            select(
                runs.c.run_id,
                runs.c.root_run_id,
                runs.c.batch_id,
                runs.c.pipeline,
                runs.c.digest,
                runs.c.topology,
                runs.c.note,
            )
            .where(condition)
            .order_by(runs.c.started_at.desc())
            .limit(1)
        )
        with self._db.read() as connection:
            row = connection.execute(query).first()
        return None if row is None else Run(*row)
