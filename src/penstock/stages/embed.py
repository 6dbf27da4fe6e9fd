"""Chunks to vectors: by an OpenAI-compatible endpoint, by any Haystack embedder, or not at all, said aloud."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from penstock.errors import InvalidOutput, UsageError
from penstock.ir import Chunk, StageContext, Vectors
from penstock.stages.haystack_component import ComponentOptions, construct, find_component
from penstock.stages.vectors import checked

if TYPE_CHECKING:
    import httpx
    from haystack.utils import Secret

    from penstock.pipelines.catalogue import Implementation

NO_ENDPOINT = "no embedding endpoint is configured (PENSTOCK_EMBED_URL, PENSTOCK_EMBED_MODEL): keyword search only"

Items = Sequence[tuple[StageContext, list[Chunk]]]


class HttpService(Protocol):
    """What gives guarded connections: retries, limits and deadlines are inside the transport."""

    def transport(self) -> httpx.BaseTransport: ...


@dataclass(frozen=True, slots=True)
class EmbeddingEndpoint:
    """The endpoint the installation is configured with. `url` is the base (…/v1).

    Raises UsageError for a URL that is not http(s) and for a missing model.
    """

    url: str
    model: str
    api_key: SecretStr | None = None

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "url", _base_url(self.url))
        except ValueError as error:
            raise UsageError(f"PENSTOCK_EMBED_URL: {error}") from None
        if not self.model:
            raise UsageError("PENSTOCK_EMBED_URL is set and PENSTOCK_EMBED_MODEL is not: name the endpoint's model")


class NoOptions(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RequestOptions(BaseModel):
    """How texts are sent. What has no say in the vectors is left out of dumps, so changing it makes nothing stale.

    `batch_size` and `batch_characters` bound one request, `concurrency` how many are under way at once.
    `prefix` and `query_prefix` go before each text and query, for models that tell the two apart.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dimensions: int | None = Field(default=None, ge=1, le=65_536)
    prefix: str = ""
    query_prefix: str = ""
    batch_size: int = Field(default=64, ge=1, le=2048, exclude=True)
    batch_characters: int = Field(default=200_000, ge=1, exclude=True)
    concurrency: int = Field(default=4, ge=1, le=64, exclude=True)
    timeout_seconds: float = Field(default=300.0, gt=0, exclude=True)
    """The client's own bound on one answer; the stage's policy is normally tighter."""


class OpenAIOptions(RequestOptions):
    """`api_key_env` names the environment variable that holds the key; without it the server is taken as keyless."""

    url: str = Field(exclude=True)
    model: str = Field(min_length=1)
    api_key_env: str | None = Field(default=None, min_length=1, exclude=True)

    @field_validator("url")
    @classmethod
    def _base(cls, url: str) -> str:
        return _base_url(url)


class NoEmbedder:
    """EmbedStage "none": no vectors, and the reason."""

    name = "none"
    version = "1"
    contract = "EmbedStage"
    needs: tuple[str, ...] = ()
    Options = NoOptions
    model = "none"

    def __init__(
        self, options: NoOptions, *, note: str = "the pipeline asks for no vectors: keyword search only"
    ) -> None:
        self._note = note

    def execute(self, items: Items) -> list[Vectors]:
        return [Vectors.none(self._note) for _ in items]


class OpenAIEmbedder:
    """EmbedStage "openai": any OpenAI-compatible endpoint (vLLM, Ollama, …).

    Raises UsageError when constructed with an `api_key_env` that isn't set.
    """

    name = "openai"
    version = "1"
    contract = "EmbedStage"
    needs: tuple[str, ...] = ("http",)
    Options = OpenAIOptions

    def __init__(self, options: OpenAIOptions, *, http: HttpService) -> None:
        self.model = options.model
        key = None if options.api_key_env is None else _from_environment(options.api_key_env)
        self._client = _Client(options, options.url, options.model, key, http)

    def execute(self, items: Items) -> list[Vectors]:
        """Raises InvalidOutput, BadInput or a TransientError; see CheckedOpenAIEmbedder.embed."""
        return _per_document(items, self.model, self._client.embed)

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """The query's vector, shape (dimension,)."""
        return self._client.embed_query(text)


class AutoEmbedder:
    """EmbedStage "auto", the default: the configured endpoint, else none, which the note of the vectors says.

    `model` is the endpoint's or "none", so that configuring one later makes the documents stale.
    """

    name = "auto"
    version = "1"
    contract = "EmbedStage"
    needs: tuple[str, ...] = ("http", "embedding")
    Options = RequestOptions

    def __init__(self, options: RequestOptions, *, http: HttpService, embedding: EmbeddingEndpoint | None) -> None:
        self.model = "none"
        self._client: _Client | None = None
        if embedding is not None:
            self.model = embedding.model
            key = None if embedding.api_key is None else _from_settings(embedding.api_key)
            self._client = _Client(options, embedding.url, embedding.model, key, http)

    def execute(self, items: Items) -> list[Vectors]:
        if self._client is None:
            return [Vectors.none(NO_ENDPOINT) for _ in items]
        return _per_document(items, self.model, self._client.embed)

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """The query's vector, shape (dimension,). Raises UsageError without an endpoint."""
        if self._client is None:
            raise UsageError(NO_ENDPOINT)
        return self._client.embed_query(text)


class _Client:
    """Texts to rows through the guarded transport, a few bounded requests at a time."""

    def __init__(self, options: RequestOptions, url: str, model: str, key: Secret | None, http: HttpService) -> None:
        from haystack.utils import Secret

        from penstock.stages.embed_openai import CheckedOpenAIEmbedder

        self._options = options
        self._component = CheckedOpenAIEmbedder(
            api_key=key or Secret.from_token("keyless"),
            model=model,
            dimensions=options.dimensions,
            api_base_url=url,
            progress_bar=False,
            timeout=options.timeout_seconds,
            max_retries=0,
            http_client_kwargs={"transport": http.transport()},
            raise_on_failure=True,
        )
        self._component.warm_up()

    def embed(self, texts: list[str]) -> list[NDArray[np.float32]]:
        prefix = self._options.prefix
        batches = list(_batches([prefix + text for text in texts], self._options))
        if len(batches) <= 1 or self._options.concurrency == 1:
            return [row for batch in batches for row in self._component.embed(batch)]
        with ThreadPoolExecutor(min(self._options.concurrency, len(batches))) as pool:
            return [row for rows in pool.map(self._component.embed, batches) for row in rows]

    def embed_query(self, text: str) -> NDArray[np.float32]:
        row: NDArray[np.float32] = self._component.embed([self._options.query_prefix + text])[0]
        return row


def adapt(path: str) -> type[Implementation]:
    """A Haystack document embedder by dotted name as an EmbedStage; options are its init parameters.

    Raises UsageError when `path` names no component, and when constructed with parameters that it refuses.
    """
    find_component(path)

    class AdaptedEmbedder:
        name = path
        version = "1"
        contract = "EmbedStage"
        needs: tuple[str, ...] = ()
        Options = ComponentOptions

        def __init__(self, options: ComponentOptions) -> None:
            self._component = construct(path, options)
            self.model = str(getattr(self._component, "model", None) or path)

        def execute(self, items: Items) -> list[Vectors]:
            return _per_document(items, self.model, self._embed)

        def _embed(self, texts: list[str]) -> list[NDArray[np.float32]]:
            from haystack import Document

            sent = [Document(id=str(number), content=text) for number, text in enumerate(texts)]
            answered = self._component.run(documents=sent)["documents"]
            if [document.id for document in answered] != [document.id for document in sent]:
                raise InvalidOutput(f"{path} gave other documents back than it was sent")
            without = sum(document.embedding is None for document in answered)
            if without:
                raise InvalidOutput(f"{path} left {without} of {len(sent)} documents without a vector")
            return [np.asarray(document.embedding, np.float32) for document in answered]

    return cast("type[Implementation]", AdaptedEmbedder)


def _per_document(items: Items, model: str, embed: Callable[[list[str]], list[NDArray[np.float32]]]) -> list[Vectors]:
    """All chunks of all documents embedded together, the rows given back by document."""
    texts = [chunk.text for _, chunks in items for chunk in chunks]
    rows = checked(embed(texts) if texts else [])
    if len(rows) != len(texts):
        raise InvalidOutput(f"{len(texts)} chunks, {len(rows)} vectors")
    answer, at = [], 0
    for _, chunks in items:
        answer.append(Vectors(model, rows[at : at + len(chunks)]))
        at += len(chunks)
    return answer


def _batches(texts: list[str], options: RequestOptions) -> Iterator[list[str]]:
    """At most `batch_size` texts and, unless one alone has more, `batch_characters` characters each."""
    batch: list[str] = []
    characters = 0
    for text in texts:
        if batch and (len(batch) == options.batch_size or characters + len(text) > options.batch_characters):
            yield batch
            batch, characters = [], 0
        batch.append(text)
        characters += len(text)
    if batch:
        yield batch


def _base_url(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ValueError("the endpoint's base URL begins with http:// or https:// and usually ends in /v1")
    return url.rstrip("/").removesuffix("/embeddings")


def _from_environment(variable: str) -> Secret:
    from haystack.utils import Secret

    secret = Secret.from_env_var(variable)
    try:
        secret.resolve_value()
    except ValueError:
        raise UsageError(f"api_key_env: {variable} is not set in the environment") from None
    return secret


def _from_settings(key: SecretStr) -> Secret | None:
    from haystack.utils import Secret

    return Secret.from_token(key.get_secret_value()) if key.get_secret_value() else None
