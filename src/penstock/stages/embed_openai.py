"""Haystack's OpenAI embedder with its gaps closed: base64 on the wire, and no answer taken on trust.

API: https://platform.openai.com/docs/api-reference/embeddings/create
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, Literal
from urllib.parse import urlsplit

import numpy as np
import openai
import orjson
from haystack import component
from haystack.components.embedders import OpenAIDocumentEmbedder
from numpy.typing import NDArray

from penstock.errors import AttemptTimeout, BadInput, InvalidOutput, PenstockError, RateLimited, ServiceUnavailable
from penstock.stages.vectors import checked

_TOO_LONG = ("context length", "too long", "too large", "maximum", "token")


@component
class CheckedOpenAIEmbedder(OpenAIDocumentEmbedder):
    """OpenAIDocumentEmbedder that raises what goes wrong. Made with `max_retries=0` it leaves retries to its transport.

    Vectors come as base64 of little-endian float32, a quarter of the bytes of JSON numbers; a server that refuses
    that is asked for numbers from then on.
    """

    _encoding: Literal["base64", "float"] | None = None

    def embed(self, texts: list[str]) -> NDArray[np.float32]:
        """One request. Shape (texts, dimension), finite and without a row of zeros.

        Raises InvalidOutput for an answer that can't be right, BadInput for texts the endpoint refuses, a
        TransientError when the endpoint is at fault.
        """
        self.warm_up()
        try:
            body = self._post(texts)
        except openai.APIError as error:
            raise _translate(error, self.api_base_url) from error
        return _vectors(body, len(texts), self.dimensions)

    def _post(self, texts: list[str]) -> bytes:
        """The answer's body. Until a server has answered in base64 once, a refusal is tried again with numbers."""
        try:
            body = self._request(texts, self._encoding or "base64")
            self._encoding = self._encoding or "base64"
        except (openai.BadRequestError, openai.UnprocessableEntityError):
            if self._encoding is not None:
                raise
            body = self._request(texts, "float")
            self._encoding = "float"
        return body

    def _request(self, texts: list[str], encoding: Literal["base64", "float"]) -> bytes:
        assert self.client is not None
        extra: dict[str, Any] = {} if self.dimensions is None else {"dimensions": self.dimensions}
        create = self.client.embeddings.with_raw_response.create
        return create(model=self.model, input=texts, encoding_format=encoding, **extra).http_response.content

    def _embed_batch(
        self, texts_to_embed: dict[str, str], batch_size: int
    ) -> tuple[dict[str, list[float]], dict[str, Any]]:
        ids, texts = list(texts_to_embed), list(texts_to_embed.values())
        rows: dict[str, list[float]] = {}
        for at in range(0, len(ids), batch_size):
            vectors = self.embed(texts[at : at + batch_size])
            rows.update(zip(ids[at : at + batch_size], vectors.tolist(), strict=True))
        return rows, {"model": self.model}


def _vectors(body: bytes, count: int, dimensions: int | None) -> NDArray[np.float32]:
    """The rows of an embeddings answer in the order of the request, by their `index`."""
    try:
        items = orjson.loads(body)["data"]
        places = [item["index"] for item in items]
        found = [_vector(item["embedding"]) for item in items]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise ServiceUnavailable(
            f"the embedding endpoint's answer is not an embeddings list: {body[:80]!r}",
            next_step="check the endpoint's URL: it should end in /v1",
        ) from error
    if len(found) != count:
        raise InvalidOutput(f"{count} texts sent, {len(found)} vectors came back")
    if sorted(places, key=str) != sorted(range(count), key=str):
        raise InvalidOutput(f"the vectors' indexes are not 0 to {count - 1}, so which text is whose is unknown")
    rows: list[NDArray[np.float32]] = [found[0]] * count
    for place, vector in zip(places, found, strict=True):
        rows[place] = vector
    return checked(rows, dimensions)


def _vector(value: object) -> NDArray[np.float32]:
    try:
        if isinstance(value, str):
            return np.frombuffer(base64.b64decode(value, validate=True), "<f4").astype(np.float32)
        with np.errstate(over="ignore"):
            return np.asarray(value, np.float32)
    except (binascii.Error, ValueError, TypeError) as error:
        raise InvalidOutput("a vector that is neither a list of numbers nor base64 of float32") from error


def _translate(error: openai.APIError, url: str | None) -> PenstockError:
    """What an SDK error means here. A refusal of the key, the path or the model is never the document's fault."""
    host = urlsplit(url or "").hostname
    if isinstance(error, openai.APITimeoutError):
        return AttemptTimeout(f"{host}: no answer in time")
    if not isinstance(error, openai.APIStatusError):
        return ServiceUnavailable(f"{host}: {error.message} {error.__cause__ or ''}".rstrip())
    status, said = error.status_code, f"{host}: {error.message[:200]}"
    if status == 429:
        return RateLimited(said, status=status)
    if status in (400, 413, 422):
        too_large = status == 413 or any(word in error.message.lower() for word in _TOO_LONG)
        return BadInput(
            f"the embedding endpoint refused the text: {said}", reason="too-large" if too_large else "unsupported"
        )
    if status in (401, 403, 404):
        return ServiceUnavailable(said, status=status, next_step="check the endpoint's URL, model and API key")
    return ServiceUnavailable(said, status=status)
