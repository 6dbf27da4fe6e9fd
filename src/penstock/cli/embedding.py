"""What embeds a query the way the documents were."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.retrieval.hybrid import QueryEmbedder
    from penstock.settings import Settings


def query_embedder(settings: Settings) -> QueryEmbedder | None:
    """The embedder of the pipeline whose model the index holds; None when there are no vectors or none has it.

    It is the pipeline's own, so that queries get the prefix and the dimensions that its options say.
    """
    from penstock.stores.search_index import SqliteSearchIndex

    index = SqliteSearchIndex(settings.index_location)
    space = index.space
    if space is None:
        return None
    from penstock.bootstrap import App
    from penstock.retrieval.hybrid import QueryEmbedder

    app = App(settings)
    for topology in app.pipelines.loaded.values():
        for stage in topology.stages:
            if stage.contract is None or stage.contract.name != "EmbedStage":
                continue
            embedder = app.build(stage, index)
            if getattr(embedder, "model", None) == space.model and hasattr(embedder, "embed_query"):
                return QueryEmbedder(space.model, embedder.embed_query)
    return None
