"""Chunks to vectors: by whatever there is to embed with here, by what a pipeline names, or not at all, said aloud."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

from pydantic import BaseModel, ConfigDict

from penstock.errors import InvalidOutput
from penstock.ir import Chunk, StageContext, Vectors
from penstock.stages.embed.checks import OneSpace, Rows, VectorIndex, checked
from penstock.stages.embed.component import embed_with
from penstock.stages.embed.endpoint import (
    Client,
    EmbeddingEndpoint,
    HttpService,
    OpenAIOptions,
    RequestOptions,
    key_from_environment,
)
from penstock.stages.embed.ladder import Embedding, choose
from penstock.stages.haystack_component import ComponentOptions, construct, find_component, options_of

if TYPE_CHECKING:
    from penstock.pipelines.catalogue import Implementation

__all__ = [
    "AutoEmbedder",
    "Embedding",
    "EmbeddingEndpoint",
    "NoEmbedder",
    "NoOptions",
    "OpenAIEmbedder",
    "OpenAIOptions",
    "RequestOptions",
    "adapt",
]

Items = Sequence[tuple[StageContext, list[Chunk]]]


class NoOptions(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NoEmbedder:
    """EmbedStage "none": no vectors, and the reason."""

    name = "none"
    version = "1"
    contract = "EmbedStage"
    needs: tuple[str, ...] = ()
    Options = NoOptions
    model = "none"
    note = "the pipeline asks for no vectors: keyword search only"

    def __init__(self, options: NoOptions) -> None: ...

    def execute(self, items: Items) -> list[Vectors]:
        return [Vectors.none(self.note) for _ in items]


class OpenAIEmbedder:
    """EmbedStage "openai": any OpenAI-compatible endpoint (vLLM, Ollama, …).

    Raises UsageError when constructed with an `api_key_env` that isn't set.
    """

    name = "openai"
    version = "1"
    contract = "EmbedStage"
    needs: tuple[str, ...] = ("http", "index")
    Options = OpenAIOptions

    def __init__(self, options: OpenAIOptions, *, http: HttpService, index: VectorIndex) -> None:
        self.model = options.model
        key = None if options.api_key_env is None else key_from_environment(options.api_key_env)
        self._client = Client(options, options.url, options.model, key, http)
        self._space = OneSpace(self.model, index)

    def execute(self, items: Items) -> list[Vectors]:
        """Raises ServiceUnavailable for another dimension than this model's; else see CheckedOpenAIEmbedder.embed."""
        return _per_document(items, self.model, self._client.embed, self._space)

    def embed(self, texts: list[str]) -> Rows:
        """The texts' vectors, shape (texts, dimension); nothing is decided for the index by them."""
        return checked(self._client.embed(texts))

    def embed_query(self, text: str) -> Rows:
        """The query's vector, shape (dimension,)."""
        return self._client.embed_query(text)


class AutoEmbedder:
    """EmbedStage "auto", the default: what the index's vectors are made by; before there are any, the first of
    `penstock.stages.embed.ladder` that there is.

    `model` is that embedder's, or "none"; `note` says which it is, and why.
    """

    name = "auto"
    version = "1"
    contract = "EmbedStage"
    needs: tuple[str, ...] = ("http", "embedding", "index")
    Options = RequestOptions

    def __init__(self, options: RequestOptions, *, http: HttpService, embedding: Embedding, index: VectorIndex) -> None:
        self._chosen = choose(embedding, options, http, index)
        self.model, self.note = self._chosen.model, self._chosen.note
        self._space = OneSpace(self.model, index)

    def execute(self, items: Items) -> list[Vectors]:
        """Raises UsageError when what the index's vectors are made by is not there any more; else as the embedder."""
        if self._chosen.embedder is None:
            return [Vectors.none(self.note) for _ in items]
        return _per_document(items, self.model, self._chosen.embedder.embed, self._space)

    def embed(self, texts: list[str]) -> Rows:
        """The texts' vectors, shape (texts, dimension); nothing is decided for the index by them."""
        return checked(self._chosen.embed(texts))

    def embed_query(self, text: str) -> Rows:
        """The query's vector, shape (dimension,). Raises UsageError where nothing embeds."""
        return self._chosen.embed_query(text)


def adapt(path: str) -> type[Implementation]:
    """A Haystack document embedder by dotted name as an EmbedStage; options are its init parameters.

    Raises UsageError when `path` names no component, and when constructed with parameters that it refuses.
    """
    find_component(path)

    class AdaptedEmbedder:
        name = path
        version = "1"
        contract = "EmbedStage"
        needs: tuple[str, ...] = ("index",)
        Options = options_of(path)

        def __init__(self, options: ComponentOptions, *, index: VectorIndex) -> None:
            self._component = construct(path, options)
            self.model = str(getattr(self._component, "model", None) or path)
            self._space = OneSpace(self.model, index)

        def execute(self, items: Items) -> list[Vectors]:
            return _per_document(items, self.model, self._embed, self._space)

        def _embed(self, texts: list[str]) -> list[Rows]:
            return embed_with(self._component, path, texts)

    return cast("type[Implementation]", AdaptedEmbedder)


def _per_document(
    items: Items, model: str, embed: Callable[[list[str]], Sequence[Rows]], space: OneSpace
) -> list[Vectors]:
    """All chunks of all documents embedded together, the rows given back by document."""
    texts = [chunk.text for _, chunks in items for chunk in chunks]
    rows = checked(space.check(embed(texts) if texts else []))
    if len(rows) != len(texts):
        raise InvalidOutput(f"{len(texts)} chunks, {len(rows)} vectors")
    answer, at = [], 0
    for _, chunks in items:
        answer.append(Vectors(model, rows[at : at + len(chunks)]))
        at += len(chunks)
    return answer
