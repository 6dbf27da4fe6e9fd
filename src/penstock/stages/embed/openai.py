"""Haystack's OpenAI embedder with its gaps closed: base64 on the wire, and no answer taken on trust.

API: https://platform.openai.com/docs/api-reference/embeddings/create
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
from typing import Any, Literal
from urllib.parse import urlsplit

import numpy as np
import openai
import orjson
from haystack import component
from haystack.components.embedders import OpenAIDocumentEmbedder

from penstock.errors import AttemptTimeout, BadInput, PenstockError, RateLimited, ServiceUnavailable, UsageError
from penstock.stages.embed.checks import Rows, checked

_ONE_BY_ONE = "give the stage embed batch_size: 1 if the server miscounts batches only, or use another server"
_TOO_LONG = ("context length", "too long", "too large", "maximum", "token")


@component
class CheckedOpenAIEmbedder(OpenAIDocumentEmbedder):
    """OpenAIDocumentEmbedder that raises what goes wrong. Made with `max_retries=0` it leaves retries to its transport.

    Vectors come as base64 of little-endian float32, a quarter of the bytes of JSON numbers; a server that refuses
    that is asked for numbers from then on.
    """

    _encoding: Literal["base64", "float"] | None = None

    def embed(self, texts: list[str]) -> Rows:
        """One request. Shape (texts, dimension), finite and without a row of zeros.

        Raises InvalidOutput for NaN, infinity and zeros, BadInput for texts the endpoint refuses, UsageError when it
        ignores `dimensions`, and a TransientError when it is at fault; reason bad-answer: its answer can't be right.
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


def _vectors(body: bytes, count: int, dimensions: int | None) -> Rows:
    """The rows of an embeddings answer in the order of the request, by their `index`."""
    try:
        items = _parsed(body)["data"]
        places = [item["index"] for item in items]
        found = [_vector(item["embedding"]) for item in items]
    except (ValueError, KeyError, TypeError) as error:
        raise ServiceUnavailable(
            f"the embedding endpoint's answer is not an embeddings list: {body[:80]!r}",
            next_step="check the endpoint's URL: it should end in /v1",
        ) from error
    if len(found) != count:
        raise _bad_answer(f"{count} texts sent, {len(found)} vectors came back", _ONE_BY_ONE)
    if sorted(places, key=str) != sorted(range(count), key=str):
        raise _bad_answer(f"the indexes are not 0 to {count - 1}, so which text is whose is unknown", _ONE_BY_ONE)
    rows: list[Rows] = [found[0]] * count
    for place, vector in zip(places, found, strict=True):
        rows[place] = vector
    lengths = sorted({len(row) for row in rows})
    if len(lengths) > 1:
        said = " and ".join(map(str, lengths))
        raise _bad_answer(f"vectors of {said} numbers in one answer", "is more than one model behind that URL?")
    if dimensions not in (None, lengths[0]):
        raise UsageError(
            f"{dimensions} dimensions were asked for, and the embedding endpoint gives {lengths[0]}",
            reason="other-vectors",
            next_step="leave the option dimensions out: the model has one size only",
        )
    return checked(rows)


def _parsed(body: bytes) -> Any:
    """JSON, also with the NaN and Infinity of servers that don't mind: what they mean is judged with the vectors."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return json.loads(body)


def _vector(value: object) -> Rows:
    """A vector as it came: numbers, or base64. Nothing else, and at least one number."""
    vector: Rows | None = None
    with contextlib.suppress(binascii.Error, ValueError, TypeError), np.errstate(over="ignore"):
        if isinstance(value, str):
            vector = np.frombuffer(base64.b64decode(value, validate=True), "<f4").astype(np.float32)
        elif isinstance(value, list) and not any(isinstance(number, str) or number is None for number in value):
            vector = np.asarray(value, np.float32)
    if vector is None or vector.ndim != 1 or not vector.size:
        raise _bad_answer(
            f"{str(value)[:40]!r} where a vector should be: neither numbers nor base64 of float32",
            "see the server's log: it could not embed a text, and did not say so",
        )
    return vector


def _bad_answer(said: str, advice: str) -> ServiceUnavailable:
    return ServiceUnavailable(
        f"the embedding endpoint's answer is wrong: {said}", reason="bad-answer", next_step=advice
    )


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
