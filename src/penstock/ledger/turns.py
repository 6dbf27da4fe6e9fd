"""What stages and documents hand the ledger, and it them: a document's turn at a stage, and how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, func, select

from penstock.errors import PenstockError
from penstock.ledger.leases import claim_limit
from penstock.ledger.schema import jobs, stage_states

OPEN = ("pending", "waiting", "done")
"""Jobs that a stage may be done for; done ones when a sink's store was replaced."""


@dataclass(frozen=True, slots=True)
class StageKey:
    """A stage as the ledger needs it: its name, the stages that must be done first, and for a sink its store."""

    name: str
    parents: tuple[str, ...]
    definition_id: int
    store: str | None = None
    final: tuple[str, ...] | None = None
    """For a stage that may be the last one to be done (nothing follows it, or it is a sink, which is done again when
    its store was replaced): all stages that must be done for the job to be done."""
    sets: str | None = None


@dataclass(slots=True)
class Claim:
    """One document's turn at one stage. `token` is 0 until claimed, then the fence. `again`: it is done, but the
    store it was done for is no more. `order` rises with each claim of the whole ledger: what a sink compares, since
    stages of other names and jobs of other pipelines write the same document."""

    job_id: int
    document_id: int
    doc_id: str
    source_id: str
    tenant: str
    correlation_id: str
    generation: int
    round: int
    job_status: str
    token: int
    lost: int
    attempts: int
    again: bool = False
    order: int = 0


@dataclass(frozen=True, slots=True)
class Stored:
    """An artifact as the ledger knows it: what it was made from, what it is, and where it rests."""

    id: int
    document_id: int
    key: bytes
    hash: bytes
    kind: str
    size: int


@dataclass(slots=True)
class Done:
    """A stage finished for a document. `body` None: the artifact is there already, or rests in the artifact store."""

    claim: Claim
    stored: Stored
    head: bytes | None = None
    body: bytes | None = None
    is_new: bool = True
    reused: bool = False
    attempts: int = 1
    title: str | None = None
    chunk_rows: Sequence[tuple[str, int, int]] = ()


@dataclass(slots=True)
class Failed:
    claim: Claim
    error: PenstockError
    attempts: int = 1
    input: bytes | None = None
    detail: str | None = None
    terminal: bool = True


@dataclass(slots=True)
class Committed:
    done: int = 0
    failed: int = 0
    fenced: list[Claim] = field(default_factory=list)


def done_with(stages: Sequence[str]) -> ColumnElement[bool]:
    """Jobs that have all of these stages behind them."""
    done = (
        select(func.count())
        .where(
            stage_states.c.job_id == jobs.c.id,
            stage_states.c.status == "done",
            stage_states.c.stage.in_(stages),
        )
        .scalar_subquery()
    )
    return done == len(stages)


def next_group(queue: Sequence[Claim], size: int) -> tuple[list[Claim], Sequence[Claim]]:
    """The documents to claim together next, and the rest: those that have lost leases go in smaller company."""
    limit = claim_limit(queue[0].lost, size)
    end = 1
    while end < min(limit, len(queue)) and claim_limit(queue[end].lost, size) >= limit:
        end += 1
    return list(queue[:end]), queue[end:]
