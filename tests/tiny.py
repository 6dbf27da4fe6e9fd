"""A runner over a temporary SQLite ledger and artifacts in memory, its stages a few lines each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict
from sqlalchemy import func, select

from penstock.ir import (
    Chunk,
    Document,
    IndexReceipt,
    Origin,
    RawPayload,
    Request,
    StageContext,
    Vectors,
)
from penstock.ir.documents import Provenance
from penstock.ledger import schema
from penstock.ledger.ledger import Ledger
from penstock.pipelines.catalogue import StaticCatalogue
from penstock.pipelines.loader import load_pipeline
from penstock.pipelines.topology import Stage, Topology
from penstock.resilience.guard import Guard
from penstock.resilience.policy import CircuitBreakerPolicy, Policy
from penstock.runner import Limits, Runner, RunReport, RunRequest
from penstock.stages import contracts
from penstock.stages.contracts import Indexable
from penstock.stores.artifacts import ArtifactStore, MemoryArtifacts

PIPELINE = """\
version: "1.0"
name: tiny
applicable_sources: []
stages:
  - {name: ingest, type: IngestStage, policy: once}
  - {name: parse, type: ParseStage, policy: once, depends_on: [ingest]}
  - {name: chunk, type: ChunkStage, policy: once, depends_on: [parse]}
  - {name: embed, type: EmbedStage, policy: once, depends_on: [chunk]}
  - {name: index, type: IndexStage, policy: once, depends_on: [embed]}
"""
POLICIES = {
    "once": Policy(max_attempts=1, backoff_strategy="none"),
    "touchy": Policy(
        max_attempts=1,
        backoff_strategy="none",
        circuit_breaker=CircuitBreakerPolicy(failure_threshold=2, reset_timeout_seconds=60.0),
    ),
}

Fault = Callable[[str, list[str]], None]
"""Called with a stage's name and the texts it was given; what it raises, the stage raises."""


def payload(source_id: str, text: str, *, key: str | None = None) -> RawPayload:
    origin = Origin(uri=f"/{source_id}", key=key or source_id)
    return RawPayload(
        source="given", source_id=source_id, kind="text", origin=origin, content=text.encode(), cursor=source_id
    )


@dataclass
class World:
    """What the stages share: the payloads there are, what goes wrong, which calls were made, what the sink holds."""

    payloads: list[RawPayload] = field(default_factory=list)
    fault: Fault = lambda stage, texts: None
    calls: list[tuple[str, list[str]]] = field(default_factory=list)
    held: dict[str, tuple[int, int, str]] = field(default_factory=dict)
    store: str = "store-1"
    refused: set[str] = field(default_factory=set)

    def called(self, stage: str, texts: list[str]) -> None:
        self.calls.append((stage, texts))
        self.fault(stage, texts)

    def texts(self, stage: str) -> list[str]:
        return [text for name, texts in self.calls if name == stage for text in texts]


class Plain:
    """A stage of the world it is given."""

    version = "1"
    needs: ClassVar[tuple[str, ...]] = ("world",)

    class Options(BaseModel):
        model_config = ConfigDict(frozen=True, extra="forbid")

    def __init__(self, options: Any, *, world: World) -> None:
        self.world = world


class Listing(Plain):
    name, contract = "source", "IngestStage"

    def execute(self, ctx: StageContext, request: Request, cursor: str | None) -> Iterator[RawPayload]:
        self.world.called("ingest", [cursor or ""])
        names = [p.source_id for p in self.world.payloads]
        yield from self.world.payloads[names.index(cursor) + 1 if cursor else 0 :]


class Parser(Plain):
    name, contract = "auto", "ParseStage"

    def execute(self, ctx: StageContext, payload: RawPayload) -> Document:
        text = payload.content.decode()
        self.world.called("parse", [text])
        about = {"doc_id": ctx.doc_id, "source": payload.source, "source_id": payload.source_id}
        provenance = Provenance(parser="plain", version="1", payload=payload.sha256)
        return Document(**about, kind="text", title=payload.source_id, text=text, provenance=provenance)


class Chunker(Plain):
    name, contract = "sentences", "ChunkStage"

    def execute(self, ctx: StageContext, document: Document) -> list[Chunk]:
        self.world.called("chunk", [document.text])
        return [Chunk(chunk_id=f"{ctx.doc_id}:0", ordinal=0, start=0, end=len(document.text), text=document.text)]


class Embedder(Plain):
    name, contract = "auto", "EmbedStage"

    def execute(self, items: Sequence[tuple[StageContext, list[Chunk]]]) -> list[Vectors]:
        self.world.called("embed", [chunks[0].text for _, chunks in items])
        return [Vectors("ones", np.ones((len(chunks), 2), "<f4")) for _, chunks in items]


class Indexer(Plain):
    name, contract = "sqlite", "IndexStage"

    def store_id(self) -> str:
        return self.world.store

    def execute(self, items: Sequence[tuple[StageContext, Indexable]]) -> list[IndexReceipt]:
        self.world.called("index", [item.document.text for _, item in items])
        receipts = []
        for ctx, item in items:
            accepted = item.document.source_id not in self.world.refused
            if accepted:
                self.world.held[item.document.source_id] = (ctx.generation, ctx.token, item.document.text)
            receipts.append(
                IndexReceipt(
                    store=self.world.store,
                    generation=ctx.generation,
                    token=ctx.token,
                    chunks=len(item.chunks),
                    vectors=0,
                    accepted=accepted,
                )
            )
        return receipts


CLASSES: list[Any] = [Listing, Parser, Chunker, Embedder, Indexer]
CATALOGUE = StaticCatalogue(
    {c.contract: getattr(contracts, c.contract.removesuffix("Stage").upper()) for c in CLASSES},
    {(c.contract, c.name): c for c in CLASSES},
)


@dataclass
class Bench:
    """`run()` takes the world's payloads through the pipeline; `open_runner()` makes a further process's runner."""

    folder: Path
    world: World
    ledger: Ledger
    artifacts: ArtifactStore = field(default_factory=MemoryArtifacts)
    limits: Limits = field(default_factory=Limits)
    yaml: str = PIPELINE
    runners: list[Runner] = field(default_factory=list)

    @property
    def topology(self) -> Topology:
        path = self.folder / "tiny.yaml"
        path.write_text(self.yaml)
        return load_pipeline(path, CATALOGUE, POLICIES, Policy)

    def open_runner(self) -> Runner:
        def build(stage: Stage) -> Any:
            assert stage.contract is not None
            return CATALOGUE.load(stage.contract.name, stage.implementation)(stage.options, world=self.world)

        def guard(stage: Stage) -> Guard:
            assert isinstance(stage.policy, Policy)
            return Guard(stage.policy, stage.name)

        runner = Runner(
            self.ledger, self.artifacts, build=build, guard=guard, sources={}, limits=self.limits, lease_seconds=60
        )
        self.runners.append(runner)
        return runner

    def run(self, *, stop: Callable[[], None] | None = None, batch: int | None = None) -> RunReport:
        with closing(self.open_runner()) as runner:
            request = RunRequest("given", batch=batch)
            return runner.run(self.topology, request, stop=stop or (lambda: None))

    def statuses(self) -> dict[str, int]:
        """Job status → how many."""
        query = select(schema.jobs.c.status, func.count()).group_by(schema.jobs.c.status)
        with self.ledger.database.read() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def rows(self, column: Any, where: Any = None) -> list[Any]:
        query = select(column) if where is None else select(column).where(where)
        with self.ledger.database.read() as connection:
            return list(connection.execute(query).scalars())
