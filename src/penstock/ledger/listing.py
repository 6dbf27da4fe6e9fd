"""What a listing hands the ledger, and what the ledger knows of it already."""

from __future__ import annotations

from dataclasses import dataclass, field

from penstock.ir.model import clean_text


@dataclass(frozen=True, slots=True)
class Record:
    """One listed payload as the ledger takes it in. `body` None: it rests in the artifact store under `content`."""

    doc_id: str
    source_id: str
    kind: str
    origin: str
    uri: str
    version: str
    content: bytes
    size: int
    head: bytes
    body: bytes | None

    def __post_init__(self) -> None:
        # Cleaned here too, not only in the columns: what is read back is compared with these.
        for name in ("source_id", "origin", "uri", "version"):
            object.__setattr__(self, name, clean_text(getattr(self, name)))


@dataclass(frozen=True, slots=True)
class Route:
    """What the documents of a listing are taken for."""

    tenant: str
    source: str
    pipeline: str
    fingerprint: str
    stage: str
    definition_id: int
    correlation_id: str
    final: bool = False


@dataclass(slots=True)
class Taken:
    """What became of a group: jobs to be worked on, jobs `kept` as they were, and how many there were of each sort."""

    jobs: list[int] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)
    new: int = 0
    changed: int = 0
    risen: int = 0
    """Neither new nor changed, and redone where the pipeline changed."""
    retried: int = 0
    unchanged: int = 0
    still_dead: int = 0
    cancelled: int = 0
    """Of those unchanged: they stay cancelled."""
    rivals: int = 0
    """Of those changed: this very listing has other bytes under the same name at another place."""


@dataclass(slots=True)
class KnownDocument:
    """A document's row. Changed in place as its generation rises."""

    id: int
    content: bytes
    generation: int
    fingerprint: str
    pipeline: str
    kind: str


@dataclass(frozen=True, slots=True)
class KnownJob:
    """A job of a document's generation of today."""

    id: int
    status: str
    pipeline: str


@dataclass(frozen=True, slots=True)
class Listing:
    """The lease under which a submission is being listed. `since`: epoch milliseconds of its beginning; `scope`: what
    is asked of the source, by number."""

    submission: int
    token: int
    since: int
    scope: int
