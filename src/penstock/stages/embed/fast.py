"""FastEmbed through its Haystack integration, when its model is cached or can be fetched.

FastEmbed itself finds out that there is no model hub after 39 s of trying; here a moment decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from penstock.stages.embed.checks import Rows
from penstock.stages.haystack_component import ComponentOptions, construct

if TYPE_CHECKING:
    from penstock.stages.embed.ladder import Embedder

COMPONENT = "haystack_integrations.components.embedders.fastembed.FastembedDocumentEmbedder"
PROBE_SECONDS = 3.0
BATCH = 8
"""Texts run together, of about one length: all of a batch are padded to its longest. 256, as the integration has it,
take 2 GB and more, and half the speed."""


@dataclass(frozen=True, slots=True)
class Hosted:
    """A model that FastEmbed knows by `name`, and where it has it from: a file of a repository of the model hub."""

    name: str
    repository: str
    file: str


BGE_SMALL = Hosted("BAAI/bge-small-en-v1.5", "Qdrant/bge-small-en-v1.5-onnx-Q", "model_optimized.onnx")


@dataclass(frozen=True, slots=True)
class FastEmbed:
    """The rung. Its own cache is in a temporary folder, unless FASTEMBED_CACHE_PATH says otherwise: `cache_folder`."""

    cache_folder: Path
    hosted: Hosted = BGE_SMALL

    @property
    def name(self) -> str:
        return "fastembed"

    @property
    def model(self) -> str:
        return f"fastembed:{self.hosted.name}"

    def missing(self) -> str:
        absent = [name for name in ("fastembed", "haystack_integrations") if find_spec(name) is None]
        if absent:
            return "FastEmbed is not installed (pip install 'penstock[fastembed]')"
        if self._cached or _fetchable(self.hosted):
            return ""
        return f"FastEmbed has {self.hosted.name} neither in {self.cache_folder} nor within reach"

    def open(self) -> Embedder:
        return _Lazy(self)

    @property
    def _cached(self) -> bool:
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(self.hosted.repository, self.hosted.file, cache_dir=self.cache_folder)
        return isinstance(found, str)


class _Lazy:
    """The component, made (and its model fetched) when there is something to embed."""

    def __init__(self, rung: FastEmbed) -> None:
        self._rung = rung
        self._component: object | None = None

    def embed(self, texts: list[str]) -> Sequence[Rows]:
        from penstock.stages.embed.component import embed_with

        if self._component is None:
            model, folder = self._rung.hosted.name, str(self._rung.cache_folder)
            options = ComponentOptions(model=model, cache_dir=folder, batch_size=BATCH, progress_bar=False)
            self._component = construct(COMPONENT, options)
        order = sorted(range(len(texts)), key=lambda number: len(texts[number]))
        rows = dict(zip(order, embed_with(self._component, COMPONENT, [texts[n] for n in order]), strict=True))
        return [rows[number] for number in range(len(texts))]

    def embed_query(self, text: str) -> Rows:
        return self.embed([text])[0]


@cache
def _fetchable(model: Hosted) -> bool:
    """Whether the hub has the model for us. In a thread of its own: looking up a name knows no timeout."""
    answers: list[bool] = []
    asking = Thread(target=lambda: answers.append(_hub_answers(model)), name="model-hub", daemon=True)
    asking.start()
    asking.join(PROBE_SECONDS)
    return answers == [True]


def _hub_answers(model: Hosted) -> bool:
    import httpx
    from huggingface_hub import constants, hf_hub_url

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        return httpx.head(hf_hub_url(model.repository, model.file), timeout=PROBE_SECONDS).status_code < 400
    except httpx.HTTPError:
        return False
