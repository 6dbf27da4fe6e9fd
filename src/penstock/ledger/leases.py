"""Who is at work, and what becomes of the work of those who died.

A runner is a process with a row of its own. What it claims points at that row, so one UPDATE keeps all its leases
alive, and a lease is free again when the row has expired or its process is known to be gone.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Event, Thread

from sqlalchemy import ColumnElement, Connection, and_, or_, select, update

from penstock.errors import Crashed, PenstockError
from penstock.ledger.database import Database, clock
from penstock.ledger.locks import lock_jobs
from penstock.ledger.outbox import age_out
from penstock.ledger.schema import (
    PASSING,
    RUNNING,
    batches,
    dead_letters,
    documents,
    jobs,
    outbox,
    runners,
    stage_states,
    submissions,
)

LOST_CAP = 5
"""Leases a document may lose. The first two losses only make it claimed in smaller company (see claim_limit)."""
GATE_CAP = 3
"""The same for a document at a gate, which its worker claims alone."""


def claim_limit(lost: int, group: int) -> int:
    """How many documents may be claimed together with one that has lost so many leases: a group, eight, then alone."""
    return group if lost == 0 else min(8, group) if lost == 1 else 1


@dataclass(frozen=True, slots=True)
class Reaped:
    freed: int = 0
    dead: int = 0


class Leases:
    def __init__(self, database: Database) -> None:
        self._db = database

    def register(self, lease_seconds: float) -> int:
        """A runner row for this process; its id."""
        with self._db.write() as connection:
            now = clock(connection)
            lease = int(lease_seconds * 1000)
            (runner,) = self._db.allocate(connection, runners.c.id, 1)
            connection.execute(
                runners.insert().values(
                    id=runner, owner=owner(), lease_ms=lease, started_at=now, expires_at=now + lease
                )
            )
        return runner

    def renew(self, runner: int) -> bool:
        """Push the expiry on. False when someone has declared this runner dead: its leases are no longer its own."""
        with self._db.write(durable=False) as connection:
            now = clock(connection)
            renewed = connection.execute(
                update(runners)
                .where(runners.c.id == runner, runners.c.ended_at.is_(None))
                .values(expires_at=now + runners.c.lease_ms)
            )
            return bool(renewed.rowcount)

    def end(self, runner: int) -> None:
        """Leave in order: what is still leased is given back and counts as no loss."""
        with self._db.write() as connection:
            now = clock(connection)
            connection.execute(update(runners).where(runners.c.id == runner).values(ended_at=now))
            mine = and_(stage_states.c.runner_id == runner, RUNNING)
            lock_jobs(connection, jobs.c.id.in_(select(stage_states.c.job_id).where(mine)))
            connection.execute(update(stage_states).where(mine).values(status="pending", runner_id=None))
            connection.execute(update(submissions).where(submissions.c.runner_id == runner).values(runner_id=None))
            connection.execute(update(batches).where(batches.c.runner_id == runner).values(runner_id=None))

    def is_dead(self, runner: int | None) -> bool:
        """Whether a runner has ended without a word, or its lease is over."""
        if runner is None:
            return False
        with self._db.read() as connection:
            row = connection.execute(select(runners.c.ended_at).where(runners.c.id == runner)).first()
        return row is None or row.ended_at is not None

    def is_gone(self, runner: int) -> bool:
        """`is_dead`, unless this machine sees its process at work: it was held up past its lease, and goes on."""
        with self._db.read() as connection:
            owner = connection.execute(select(runners.c.owner).where(runners.c.id == runner)).scalar()
        return self.is_dead(runner) and not (owner is not None and known_alive(owner))

    def elsewhere(self, latest: int = 50) -> dict[str, bool]:
        """The other machines that the latest runners were on, by host name, and whether one is at work there now."""
        query = select(runners.c.owner, runners.c.expires_at, runners.c.ended_at).order_by(runners.c.id.desc())
        host, boot, _ = _process_identity()
        found: dict[str, bool] = {}
        with self._db.read() as connection:
            now = clock(connection)
            for row in connection.execute(query.limit(latest)):
                its_host, its_boot, *_ = row.owner.split("|")
                if its_host != host and its_boot != boot:
                    alive = row.ended_at is None and row.expires_at >= now
                    found[its_host] = found.get(its_host, False) or alive
        return found

    def reap(self) -> Reaped:
        """Free the leases of runners that have expired or whose process is gone; dead-letter what died too often.

        Events that nobody will publish any more go too.
        """
        age_out(self._db)
        # A runner that was declared dead while it slept may have claimed once more before it noticed.
        late = select(stage_states.c.runner_id).join(runners, runners.c.id == stage_states.c.runner_id)
        with self._db.read() as connection:
            now = clock(connection)
            open_rows = connection.execute(
                select(runners.c.id, runners.c.owner, runners.c.expires_at).where(runners.c.ended_at.is_(None))
            ).all()
            ended = set(connection.execute(late.where(RUNNING, runners.c.ended_at.is_not(None))).scalars())
        dead = [row.id for row in open_rows if known_dead(row.owner)]
        expired = [row.id for row in open_rows if row.expires_at < now]
        if not (dead or expired or ended):
            return Reaped()
        with self._db.write() as connection:
            now = clock(connection)
            over = or_(runners.c.id.in_(dead), and_(runners.c.id.in_(expired), runners.c.expires_at < now))
            end = update(runners).where(over, runners.c.ended_at.is_(None)).values(ended_at=now)
            gone = ended | set(connection.execute(end.returning(runners.c.id)).scalars())
            connection.execute(update(submissions).where(submissions.c.runner_id.in_(gone)).values(runner_id=None))
            return self._free(connection, now, and_(stage_states.c.runner_id.in_(gone), RUNNING))

    def _free(self, connection: Connection, now: int, leased: ColumnElement[bool]) -> Reaped:
        lock_jobs(connection, jobs.c.id.in_(select(stage_states.c.job_id).where(leased)))
        lost = connection.execute(
            select(
                stage_states.c.job_id,
                stage_states.c.stage,
                stage_states.c.token,
                stage_states.c.lost,
                jobs.c.round,
                documents.c.content,
                jobs.c.waiting_for,
            )
            .join(jobs, jobs.c.id == stage_states.c.job_id)
            .join(documents, documents.c.id == jobs.c.document_id)
            .where(leased)
        ).all()
        connection.execute(
            update(stage_states).where(leased).values(status="pending", runner_id=None, lost=stage_states.c.lost + 1)
        )
        dead = [row for row in lost if row.lost + 1 >= (GATE_CAP if row.waiting_for else LOST_CAP)]
        for row in dead:
            error = Crashed(f"its worker died {row.lost + 1} times at {row.stage}, the last times with nothing else")
            bury(connection, row.job_id, row.stage, row.round, row.token, error, now, row.content)
        return Reaped(freed=len(lost) - len(dead), dead=len(dead))


def bury(
    connection: Connection, job: int, stage: str, round_: int, token: int, error: PenstockError, now: int, input: bytes
) -> None:
    """Dead-letter one job whose stage state is no longer leased. `input`: the key of the payload, which stays."""
    at = and_(stage_states.c.job_id == job, stage_states.c.stage == stage)
    fields = kept(error)
    connection.execute(update(stage_states).where(at).values(status="dead", finished_at=now, **fields))
    connection.execute(
        update(jobs).where(jobs.c.id == job).values(**PASSING, status="dead", current_stage=stage, updated_at=now)
    )
    connection.execute(
        dead_letters.insert().values(job_id=job, stage=stage, round=round_, created_at=now, input=input, **fields)
    )
    connection.execute(
        outbox.insert().values(
            at=now, type="dead", job_id=job, stage=stage, round=round_, token=token, reason=error.reason
        )
    )


def kept(error: PenstockError) -> dict[str, str]:
    """An error as stage states and dead letters keep it."""
    return {
        "error_type": type(error).__name__,
        "reason": error.reason,
        "message": error.message,
        "next_step": error.next_step,
    }


class Heartbeat:
    """Renews a runner's row at a third of its lease, on a thread and connection of its own."""

    def __init__(self, leases: Leases, runner: int, lease_seconds: float) -> None:
        self._leases, self._runner, self._every = leases, runner, lease_seconds / 3
        self._stop = Event()
        self.lost = False
        """True once the runner was declared dead, or nobody beats any more: its leases may be someone else's."""
        self._thread = Thread(target=self._beat, name="penstock-heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _beat(self) -> None:
        try:
            while not self._stop.wait(self._every):
                try:
                    if not self._leases.renew(self._runner):
                        return
                except PenstockError:
                    # The database is away or locked: the next beat tries again, and if none gets through in time the
                    # lease expires, which is the truth.
                    continue
        finally:
            self.lost = not self._stop.is_set()


@cache
def _process_identity() -> tuple[str, str, str]:
    boot = Path("/proc/sys/kernel/random/boot_id")
    try:
        return socket.gethostname(), boot.read_text().strip(), str(os.readlink("/proc/self/ns/pid"))
    except OSError:
        return socket.gethostname(), "", ""


def _started(pid: int) -> str:
    """The kernel's start time of a process (field 22 of /proc/PID/stat), or "" when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def owner() -> str:
    """host|boot|pid namespace|pid|start time: enough to know, on the same machine, whether a process still lives."""
    pid = os.getpid()
    return "|".join((*_process_identity(), str(pid), _started(pid)))


def known_dead(name: str) -> bool:
    """True only when this machine can tell that the process is gone; a process elsewhere is given its whole lease."""
    return _lives(name) is False


def at_work(name: str | None, expires_at: int | None, ended_at: int | None, now: int) -> bool:
    """Whether a runner is there, as far as its row (None: there is none) and this machine tell."""
    return (
        name is not None and expires_at is not None and expires_at >= now and ended_at is None and not known_dead(name)
    )


def known_alive(name: str) -> bool:
    """True only when this machine sees the process."""
    return _lives(name) is True


def _lives(name: str) -> bool | None:
    """None when this machine can't tell."""
    host, boot, namespace, pid, started = name.split("|")
    if not boot or not started or (host, boot, namespace) != _process_identity():
        return None
    return _started(int(pid)) == started and not _is_zombie(int(pid))


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):
        return True
