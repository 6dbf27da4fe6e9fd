"""What can be told of a document, a chunk or an edge. Times are epoch milliseconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from penstock.explain.resolve import Slice
from penstock.explain.standing import Standing
from penstock.ir import Locator
from penstock.ir.places import PagePlace
from penstock.ledger.explain_read import BatchOfJob, DeadLetterRow, JobState

Now = Literal["same", "changed", "gone", "unreadable", "unknown"]
"""unreadable: it, or the folder it lies in, can't be read now; unknown: it is no file, or nothing can be told of it."""


@dataclass(frozen=True, slots=True)
class Origination:
    """Where bytes came from. `offset` is their first byte in the file at `uri`; None: they are all of it.

    `fetched_at` (epoch milliseconds) is when these very bytes were read, `seen_at` when the place was last listed; it
    is None when the place has since given others. `now`: whether the file has the same bytes there at this moment.
    """

    uri: str
    key: str
    member: str | None
    offset: int | None
    fetched_at: int
    seen_at: int | None
    sha256: str
    size: int
    kind: str
    media_type: str
    note: str
    now: Now = "unknown"


@dataclass(frozen=True, slots=True)
class StageStory:
    """`seconds` None: it has not finished. `status` "not begun": the pipeline has it, this job never came to it."""

    stage: str
    status: str
    contract: str | None = None
    implementation: str | None = None
    version: str | None = None
    model: str | None = None
    options: dict[str, Any] | None = None
    attempts: int = 0
    lost: int = 0
    started_at: int | None = None
    finished_at: int | None = None
    seconds: float | None = None
    reused: bool = False
    error_type: str | None = None
    reason: str | None = None
    message: str | None = None
    next_step: str | None = None


@dataclass(frozen=True, slots=True)
class JobStory:
    """One generation's way through a pipeline."""

    job: JobState
    stages: tuple[StageStory, ...]
    dead_letters: tuple[DeadLetterRow, ...]
    batches: tuple[BatchOfJob, ...]


@dataclass(frozen=True, slots=True)
class DocumentStory:
    """`pages`: how many it has, None where it has none or is not parsed yet; of the `missing_pages` no text was had."""

    doc_id: str
    tenant: str
    source: str
    source_id: str
    kind: str
    title: str | None
    generation: int
    pipeline: str
    created_at: int
    updated_at: int
    origin: Origination
    other_places: tuple[str, ...]
    jobs: tuple[JobStory, ...]
    standing: Standing
    pages: int | None
    missing_pages: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Passage:
    """A stretch of a document's text with the way back.

    `found` is what stands there in the payload; None where it can't be followed, which `problem` then says, and for a
    place on a page, which is for the eye (`penstock picture`). `exact`: that is the text, character for character;
    otherwise it is what the text was made from.
    """

    text: str
    locator: Locator
    exact: bool
    found: Slice | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ChunkStory:
    chunk_id: str
    ordinal: int
    generation: int
    start: int
    end: int
    heading: tuple[str, ...]
    text: str
    passages: tuple[Passage, ...]
    pages: tuple[PagePlace, ...]
    document: DocumentStory


@dataclass(frozen=True, slots=True)
class EvidenceStory:
    """One evidence of an edge, down to the bytes."""

    doc_id: str
    source: str | None
    source_id: str | None
    title: str | None
    generation: int
    extractor: str
    version: str
    chunk_id: str | None
    field: str | None
    start: int | None
    end: int | None
    attributes: dict[str, str]
    passage: Passage
    origin: Origination | None


@dataclass(frozen=True, slots=True)
class EdgeStory:
    """subject —predicate→ object (a node's name, or a literal)."""

    id: str
    subject: str
    predicate: str
    object: str
    documents: int
    evidence: tuple[EvidenceStory, ...]
