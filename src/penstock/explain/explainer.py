"""Stories put together out of the ledger, the index, the graph and the payloads."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from penstock.errors import NotFound, PenstockError
from penstock.explain.pages import Pages
from penstock.explain.resolve import resolve
from penstock.explain.standing import Sinks, standing
from penstock.explain.stories import (
    ChunkStory,
    DocumentStory,
    EdgeStory,
    EvidenceStory,
    JobStory,
    Now,
    Origination,
    Passage,
    StageStory,
)
from penstock.ir import Chunk, Document, Locator, Origin, RawPayload
from penstock.ir.codec import decode
from penstock.ir.places import page_places
from penstock.ledger.explain_read import DocumentRow, ExplainReader, JobState, StageRow
from penstock.ledger.gate_read import AtGate, GateReader
from penstock.ledger.graph_read import GraphReader
from penstock.ledger.jobs_read import JobsReader
from penstock.ledger.ledger import Ledger
from penstock.pipelines.catalogue import type_name
from penstock.pipelines.topology import Topology
from penstock.sources.files import Files
from penstock.stores.artifacts import ArtifactStore
from penstock.stores.search_index import SqliteSearchIndex


class Explainer:
    """Reads one tenant's ledger, index and graph. `topology_of` gives a pipeline by name, None where it isn't there;
    `refetch` reads a place among files as it is now, None where there is nothing any more."""

    def __init__(
        self,
        tenant: str,
        ledger: Ledger,
        artifacts: ArtifactStore,
        index: SqliteSearchIndex,
        topology_of: Callable[[str], Topology | None],
        refetch: Callable[[Origin], RawPayload | None] | None = None,
    ) -> None:
        self._tenant = tenant
        self._reader = ExplainReader(ledger.database)
        self._names = JobsReader(ledger.database)
        self._graph = GraphReader(ledger.database)
        self._pages = Pages(tenant, ledger, artifacts)
        self._gates, self._workers = GateReader(ledger.database), ledger.workers
        self._artifacts, self._index = artifacts, index
        self._topology_of, self._refetch = topology_of, refetch

    def document(self, name: str, *aliases: str) -> DocumentStory:
        """By document id, source id, or the place it came from. Raises NotFound with the nearest names."""
        return self._story(self._document(name, *aliases))

    def chunk(self, name: str, *aliases: str) -> ChunkStory:
        """By chunk id, or DOC:NUMBER with any name of its document; `aliases` are more of these.

        As it is indexed, else as the newest generation has it. Raises NotFound.
        """
        chunk_id, made = name, self._reader.chunk_jobs(self._tenant, name)
        if not made:
            document, _, number = name.rpartition(":")
            rows = self._reader.documents(self._tenant, [document, *aliases])
            chunk_id = f"{rows[0].doc_id}:{number}" if len(rows) == 1 else name
            made = self._reader.chunk_jobs(self._tenant, chunk_id)
            if len(rows) == 1 and not made:
                raise self._no_chunk(name, document, rows[0])
        if not made:
            raise NotFound(f"nothing is called {name!r}", next_step=self._near(name))
        row = self._document(made[0][2])
        indexed = self._index.generation_of(self._tenant, row.doc_id) if self._index.exists else None
        job, generation, _ = next((one for one in made if one[1] == indexed), made[0])
        chunk = next(c for chunks in self._values(job, list[Chunk]) for c in chunks if c.chunk_id == chunk_id)
        document = next(d for d in self._values(job, Document) if d.text[chunk.start : chunk.end] == chunk.text)
        pages = page_places(document, chunk.start, chunk.end)
        payload = None if pages else self._payload(row, bytes.fromhex(document.provenance.payload))
        return ChunkStory(
            chunk_id,
            chunk.ordinal,
            generation,
            chunk.start,
            chunk.end,
            chunk.heading,
            chunk.text,
            tuple(_passages(document, chunk, payload)),
            pages,
            self._story(row),
        )

    def edge(self, id: str) -> EdgeStory:
        """By an edge's id or the beginning of it. Raises NotFound."""
        edge = self._graph.edge(self._tenant, id)
        evidence = []
        for trail in edge.evidence:
            rows = self._reader.documents(self._tenant, [trail.doc_id])
            paged = trail.locator.page is not None
            digest = rows[0].content if rows and paged else bytes.fromhex(trail.locator.payload)
            payload = self._payload(rows[0], digest) if rows else None
            evidence.append(
                EvidenceStory(
                    trail.doc_id,
                    trail.source,
                    trail.source_id,
                    trail.title,
                    trail.generation,
                    trail.extractor,
                    trail.version,
                    trail.chunk_id,
                    trail.field,
                    trail.start,
                    trail.end,
                    trail.attributes,
                    _passage(trail.quote, trail.locator, payload),
                    self._origin(rows[0], payload) if payload else None,
                )
            )
        target = edge.object.name if edge.object else edge.value or ""
        return EdgeStory(edge.id, edge.subject.name, edge.predicate, target, edge.documents, tuple(evidence))

    def raw(self, name: str, *aliases: str) -> bytes:
        """A document's bytes as they came. Raises NotFound, also where none were kept."""
        row = self._document(name, *aliases)
        payload = self._payload(row, row.content)
        if payload is None:
            raise NotFound(f"the bytes of {row.source_id!r} are not kept any more")
        return payload.content

    def _document(self, name: str, *aliases: str) -> DocumentRow:
        rows = self._reader.documents(self._tenant, [name, *aliases])
        if not rows:
            raise NotFound(f"nothing is called {name!r}", next_step=self._near(name))
        if len(rows) > 1:
            some = ", ".join(row.source_id for row in rows[:8])
            raise NotFound(
                f"{name!r} holds {len(rows)} documents: {some}{', …' if len(rows) > 8 else ''}",
                next_step=f"penstock explain {rows[0].doc_id}",
            )
        return rows[0]

    def _no_chunk(self, name: str, document: str, row: DocumentRow) -> NotFound:
        count = self._reader.chunk_count(row.row, row.generation)
        there = (
            f"its chunks are {document}:0 to {document}:{count - 1}"
            if count
            else f"penstock explain {document} says why"
        )
        return NotFound(f"there is no chunk {name!r}: the document has {count or 'none'}", next_step=there)

    def _near(self, name: str) -> str:
        near = self._names.near(self._tenant, name.rpartition(":")[0] or name)
        return f"near it: {', '.join(near)}" if near else "penstock jobs lists the documents"

    def _story(self, row: DocumentRow) -> DocumentStory:
        jobs = self._reader.jobs(row.row)
        ids = [job.id for job in jobs]
        stages, letters, batches = (
            self._reader.stages(ids),
            self._reader.dead_letters(ids),
            self._reader.batches(ids),
        )
        stories = tuple(
            JobStory(
                job,
                self._stages(job, row, [s for s in stages if s.job_id == job.id]),
                tuple(letter for letter in letters if letter.job_id == job.id),
                tuple(batch for batch in batches if batch.job_id == job.id),
            )
            for job in jobs
        )
        payload = self._payload(row, row.content)
        origin = self._origin(row, payload)
        others = (place.uri for place in self._reader.places(row.row))
        return DocumentStory(
            row.doc_id,
            row.tenant,
            row.source,
            row.source_id,
            row.kind,
            row.title,
            row.generation,
            row.pipeline,
            row.created_at,
            row.updated_at,
            origin,
            tuple(uri for uri in dict.fromkeys(others) if uri != origin.uri),
            stories,
            standing(row, jobs, stages, batches, self._sinks(row), self._topology_of(row.pipeline), *self._gate(jobs)),
            *self._pages.count(row.doc_id, row.generation),
        )

    def _gate(self, jobs: Sequence[JobState]) -> tuple[AtGate | None, int]:
        """How the newest job waits at a gate, if it does, and how many workers there are for that."""
        at = self._gates.standing([job.id for job in jobs[:1] if job.status == "waiting"])
        gate = next(iter(at.values()), None)
        return gate, self._workers.waiting_on(gate.field) if gate else 0

    def _sinks(self, row: DocumentRow) -> Sinks:
        there = self._index.exists
        return Sinks(
            index=self._index.generation_of(self._tenant, row.doc_id) if there else None,
            index_store=self._index.store_id() if there else None,
            index_path=str(self._index.path),
            graph=self._reader.graph_generation(self._tenant, row.doc_id),
        )

    def _stages(self, job: JobState, row: DocumentRow, begun: Sequence[StageRow]) -> tuple[StageStory, ...]:
        """In the pipeline's order; of the newest job also those still to come."""
        topology = self._topology_of(job.pipeline)
        order = [stage.name for stage in topology.stages] if topology else []
        stories = {state.stage: _stage(state) for state in begun}
        if job.generation == row.generation and job.pipeline == row.pipeline:
            stories = {name: StageStory(name, "not begun") for name in order} | stories
        return tuple(sorted(stories.values(), key=lambda s: order.index(s.stage) if s.stage in order else len(order)))

    def _origin(self, row: DocumentRow, payload: RawPayload | None) -> Origination:
        """What the payload itself says, and what its place says of it."""
        places = self._reader.places(row.row)
        if payload is None:
            uri, key = (places[0].uri, places[0].key) if places else ("", "")
            return Origination(uri, key, None, None, 0, None, row.content.hex(), 0, row.kind, "", "the bytes are gone")
        origin, digest = payload.origin, payload.sha256
        seen = next((p.seen_at for p in places if p.key == origin.key and p.content.hex() == digest), None)
        return Origination(
            origin.uri,
            origin.key,
            origin.member,
            origin.offset,
            origin.fetched_at,
            seen,
            digest,
            len(payload.content),
            payload.kind,
            payload.media_type,
            payload.note,
            self._now(row, payload),
        )

    def _now(self, row: DocumentRow, payload: RawPayload) -> Now:
        """What became of the file since."""
        if self._refetch is None or row.source != Files.name:
            return "unknown"
        try:
            found = self._refetch(payload.origin)
        except (OSError, PenstockError):
            return "unknown"
        if found is not None and found.kind == "unreadable":
            return "unreadable"
        return "gone" if found is None else "same" if found.content == payload.content else "changed"

    def _payload(self, row: DocumentRow, digest: bytes) -> RawPayload | None:
        stored = self._reader.payload(row.row, digest)
        if stored is None or stored.kind != type_name(RawPayload):
            return None
        try:
            payload: RawPayload = decode(RawPayload, stored.head, stored.content(self._artifacts.get))
        except NotFound:
            return None
        return payload

    def _values(self, job: int, kind: Any) -> list[Any]:
        found = self._reader.outputs(job, type_name(kind))
        return [decode(kind, a.head, a.content(self._artifacts.get)) for a in found]


def _stage(state: StageRow) -> StageStory:
    seconds = None if state.finished_at is None else max(0, state.finished_at - state.started_at) / 1000
    return StageStory(
        state.stage,
        state.status,
        state.contract,
        state.implementation,
        state.version,
        state.model,
        json.loads(state.options) if state.options else None,
        state.attempts,
        state.lost,
        state.started_at,
        state.finished_at,
        seconds,
        state.reused,
        state.error_type,
        state.reason,
        state.message,
        state.next_step,
    )


def _passages(document: Document, chunk: Chunk, payload: RawPayload | None) -> list[Passage]:
    """A chunk by the blocks it lies in."""
    passages = []
    for block in document.blocks:
        start, end = max(block.start, chunk.start), min(block.end, chunk.end)
        if start < end and (locator := document.locate(start, end)) is not None:
            passages.append(_passage(document.text[start:end], locator, payload))
    return passages


def _passage(text: str, locator: Locator, payload: RawPayload | None) -> Passage:
    if locator.page is not None:
        return Passage(text, locator, False, None, "")
    if payload is None:
        return Passage(text, locator, False, None, "the payload is not kept any more")
    try:
        found = resolve(payload, locator)
    except LookupError as error:
        return Passage(text, locator, False, None, str(error.args[0]))
    return Passage(text, locator, found.text == text, found)
