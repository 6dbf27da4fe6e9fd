"""What embeds, where a pipeline names nothing: chosen when an index gets its first vectors, and kept to from then on.

In this order: the configured OpenAI-compatible endpoint; FastEmbed, when it is installed and has its model or can fetch
it; MiniLM from the package index; else nothing, and search is by words. An index remembers the model of its first
vectors, and so the choice: what is configured or installed later does not change it, and what is there no more is not
replaced by something worse, but said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from penstock.errors import UsageError
from penstock.stages.embed.checks import Rows, VectorIndex, held_space
from penstock.stages.embed.endpoint import Client, EmbeddingEndpoint, HttpService, RequestOptions, key_from_settings
from penstock.stages.embed.fast import FastEmbed
from penstock.stages.embed.minilm import MiniLM
from penstock.stores.search_schema import OTHER_MODEL

Only = Literal["auto", "endpoint", "fastembed", "minilm", "none"]


class Embedder(Protocol):
    """What turns texts into rows of float32, and queries into one."""

    def embed(self, texts: list[str]) -> Sequence[Rows]: ...

    def embed_query(self, text: str) -> Rows: ...


class Rung(Protocol):
    """One way to embed. Looking at it costs little, and reaches for no network longer than a moment."""

    @property
    def name(self) -> str: ...

    @property
    def model(self) -> str: ...

    def missing(self) -> str:
        """Why it can't be had here; empty when it can."""
        ...

    def open(self) -> Embedder: ...


@dataclass(frozen=True, slots=True)
class Embedding:
    """How this installation is told to embed. `models`: the folder for what is built once; `only`: no other rung;
    `fastembed_cache`: where FastEmbed keeps its models, if not there."""

    models: Path
    endpoint: EmbeddingEndpoint | None = None
    only: Only = "auto"
    fastembed_cache: Path | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """`embedder` None: nothing embeds. `note` says what does and why, or why nothing does."""

    model: str
    note: str
    embedder: Embedder | None = None

    @property
    def works(self) -> bool:
        return self.embedder is not None and not isinstance(self.embedder, _Gone)

    def embed(self, texts: list[str]) -> Sequence[Rows]:
        return self._there().embed(texts)

    def embed_query(self, text: str) -> Rows:
        return self._there().embed_query(text)

    def _there(self) -> Embedder:
        if self.embedder is None:
            raise UsageError(self.note)
        return self.embedder


def choose(embedding: Embedding, options: RequestOptions, http: HttpService, index: VectorIndex) -> Chosen:
    """What embeds for this index. Raises UsageError for a rung that is named by `only` and can't be had."""
    return _choose([_Endpoint(embedding.endpoint, options, http), *_local(embedding)], embedding, index)


def without_endpoint(embedding: Embedding, index: VectorIndex) -> Chosen:
    """What embeds for this index where no endpoint is configured. Raises UsageError as `choose` does."""
    return _choose(_local(embedding), embedding, index)


def _local(embedding: Embedding) -> list[Rung]:
    return [FastEmbed(embedding.fastembed_cache or embedding.models / "fastembed"), MiniLM(embedding.models)]


def _choose(rungs: Sequence[Rung], embedding: Embedding, index: VectorIndex) -> Chosen:
    held = held_space(index)
    allowed = [rung for rung in rungs if embedding.only in ("auto", rung.name)]
    if held is not None:
        return _kept(allowed, held.model, embedding)
    why: list[str] = []
    for rung in allowed:
        missing = rung.missing()
        if not missing:
            return Chosen(
                rung.model, f"vectors by {rung.model}" + (f", since {'; '.join(why)}" if why else ""), rung.open()
            )
        why.append(missing)
    if embedding.only in ("fastembed", "minilm"):
        raise UsageError(f"PENSTOCK_EMBEDDER is {embedding.only}, but {'; '.join(why)}")
    return Chosen("none", f"no vectors, keyword search only: {'; '.join(why) or 'PENSTOCK_EMBEDDER is none'}")


def _kept(allowed: Sequence[Rung], model: str, embedding: Embedding) -> Chosen:
    """The embedder of what the index holds, or one that says that it is gone."""
    rung = next((rung for rung in allowed if rung.model == model), None)
    missing = rung.missing() if rung else f"nothing that is set up here is {model}"
    if rung is None or missing:
        return Chosen(model, f"the index holds {model}, but {missing}", _Gone(model, missing))
    note = f"vectors by {model}, which the index holds"
    other = embedding.endpoint
    if other is not None and other.model != model:
        note += f" and stays with: PENSTOCK_EMBED_MODEL is {other.model}; {OTHER_MODEL}"
    return Chosen(model, note, rung.open())


@dataclass(frozen=True, slots=True)
class _Gone:
    """In the place of an embedder that the index was made with and that is there no more."""

    model: str
    missing: str

    def embed(self, texts: list[str]) -> Sequence[Rows]:
        raise self._error()

    def embed_query(self, text: str) -> Rows:
        raise self._error()

    def _error(self) -> UsageError:
        return UsageError(
            f"the index holds {self.model}, but {self.missing}: nothing is added to it without its vectors",
            reason="embedder-gone",
            next_step="set PENSTOCK_EMBED_URL and PENSTOCK_EMBED_MODEL as they were when the index was made"
            f" (or install what it was made with); {OTHER_MODEL}",
        )


@dataclass(frozen=True, slots=True)
class _Endpoint:
    endpoint: EmbeddingEndpoint | None
    options: RequestOptions
    http: HttpService

    @property
    def name(self) -> str:
        return "endpoint"

    @property
    def model(self) -> str:
        return self.endpoint.model if self.endpoint else ""

    def missing(self) -> str:
        return "" if self.endpoint else "no endpoint is configured (PENSTOCK_EMBED_URL, PENSTOCK_EMBED_MODEL)"

    def open(self) -> Embedder:
        assert self.endpoint is not None
        key = None if self.endpoint.api_key is None else key_from_settings(self.endpoint.api_key)
        return Client(self.options, self.endpoint.url, self.endpoint.model, key, self.http)
