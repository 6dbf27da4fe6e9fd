"""An OpenAI-compatible endpoint: where it is, how texts are sent there, and who sends them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from penstock.errors import UsageError
from penstock.stages.embed.checks import Rows

if TYPE_CHECKING:
    import httpx
    from haystack.utils import Secret


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


class RequestOptions(BaseModel):
    """How texts are sent. What has no say in the vectors is left out of dumps, so changing it makes nothing stale.

    `batch_size` and `batch_characters` bound one request, `concurrency` how many are under way at once.
    `prefix` and `query_prefix` go before each text and query, for models that tell the two apart.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

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


class Client:
    """Texts to rows through the guarded transport, a few bounded requests at a time."""

    def __init__(self, options: RequestOptions, url: str, model: str, key: Secret | None, http: HttpService) -> None:
        from haystack.utils import Secret

        from penstock.stages.embed.openai import CheckedOpenAIEmbedder

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

    def embed(self, texts: list[str]) -> list[Rows]:
        prefix = self._options.prefix
        batches = list(_batches([prefix + text for text in texts], self._options))
        if len(batches) <= 1 or self._options.concurrency == 1:
            return [row for batch in batches for row in self._component.embed(batch)]
        with ThreadPoolExecutor(min(self._options.concurrency, len(batches))) as pool:
            return [row for rows in pool.map(self._component.embed, batches) for row in rows]

    def embed_query(self, text: str) -> Rows:
        row: Rows = self._component.embed([self._options.query_prefix + text])[0]
        return row


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


def key_from_environment(variable: str) -> Secret:
    from haystack.utils import Secret

    secret = Secret.from_env_var(variable)
    try:
        secret.resolve_value()
    except ValueError:
        raise UsageError(f"api_key_env: {variable} is not set in the environment") from None
    return secret


def key_from_settings(key: SecretStr) -> Secret | None:
    from haystack.utils import Secret

    return Secret.from_token(key.get_secret_value()) if key.get_secret_value() else None
