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

MODEL = "BAAI/bge-small-en-v1.5"
REPOSITORY, FILE = "Qdrant/bge-small-en-v1.5-onnx-Q", "model_optimized.onnx"
"""Where FastEmbed has it from."""
COMPONENT = "haystack_integrations.components.embedders.fastembed.FastembedDocumentEmbedder"
PROBE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class FastEmbed:
    """The rung. Its own cache is in a temporary folder, unless FASTEMBED_CACHE_PATH says otherwise: `cache_folder`."""

    cache_folder: Path

    @property
    def name(self) -> str:
        return "fastembed"

    @property
    def model(self) -> str:
        return f"fastembed:{MODEL}"

    def missing(self) -> str:
        absent = [name for name in ("fastembed", "haystack_integrations") if find_spec(name) is None]
        if absent:
            return "FastEmbed is not installed (pip install 'penstock[fastembed]')"
        if self._cached or _fetchable():
            return ""
        return f"FastEmbed has {MODEL} neither in {self.cache_folder} nor within reach"

    def open(self) -> Embedder:
        return _Lazy(self)

    @property
    def _cached(self) -> bool:
        from huggingface_hub import try_to_load_from_cache

        return isinstance(try_to_load_from_cache(REPOSITORY, FILE, cache_dir=self.cache_folder), str)


class _Lazy:
    """The component, made (and its model fetched) when there is something to embed."""

    def __init__(self, rung: FastEmbed) -> None:
        self._rung = rung
        self._component: object | None = None

    def embed(self, texts: list[str]) -> Sequence[Rows]:
        from penstock.stages.embed.component import embed_with

        if self._component is None:
            options = {"model": MODEL, "cache_dir": str(self._rung.cache_folder), "progress_bar": False}
            self._component = construct(COMPONENT, ComponentOptions(**options))
        return embed_with(self._component, COMPONENT, texts)

    def embed_query(self, text: str) -> Rows:
        return self.embed([text])[0]


@cache
def _fetchable() -> bool:
    """Whether the hub has the model for us. In a thread of its own: looking up a name knows no timeout."""
    answers: list[bool] = []
    asking = Thread(target=lambda: answers.append(_hub_answers()), name="model-hub", daemon=True)
    asking.start()
    asking.join(PROBE_SECONDS)
    return answers == [True]


def _hub_answers() -> bool:
    import httpx
    from huggingface_hub import constants, hf_hub_url

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        return httpx.head(hf_hub_url(REPOSITORY, FILE), timeout=PROBE_SECONDS).status_code < 400
    except httpx.HTTPError:
        return False
