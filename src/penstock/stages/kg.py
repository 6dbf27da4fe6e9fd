"""Write what was extracted into the knowledge graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pydantic import BaseModel, ConfigDict

from penstock.ir import GraphWriteReceipt, Knowledge, StageContext


class GraphStore(Protocol):
    """Where knowledge rests."""

    def store_id(self) -> str:
        """The store's own uuid."""
        ...

    def replace(self, items: Sequence[tuple[StageContext, Knowledge]]) -> list[GraphWriteReceipt]:
        """Replace each document's share whole, comparing its (generation, token) with what is stored."""
        ...


class LedgerGraph:
    """The graph tables of the ledger's database (the `graph` service)."""

    name = "ledger"
    version = "1"
    contract = "KGStage"
    needs = ("graph",)

    class Options(BaseModel):
        model_config = ConfigDict(frozen=True, extra="forbid")

    def __init__(self, options: Options, *, graph: GraphStore) -> None:
        self._graph = graph

    def store_id(self) -> str:
        return self._graph.store_id()

    def execute(self, items: Sequence[tuple[StageContext, Knowledge]]) -> Sequence[GraphWriteReceipt]:
        """One receipt a document. Raises InvalidOutput (knowledge that breaks its contract), StoreBusy, StorageFull."""
        return self._graph.replace(items)

    def retire(self, contexts: Sequence[StageContext]) -> None:
        """Let go of what documents say, but for those that a newer (generation, token) has brought back."""
        nothing = Knowledge(extractor=self.name, version=self.version)
        self._graph.replace([(context, nothing) for context in contexts])
