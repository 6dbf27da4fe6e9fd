"""Texts to rows by any Haystack document embedder, whose answer is not taken on trust."""

from __future__ import annotations

from typing import Any

import numpy as np

from penstock.errors import InvalidOutput
from penstock.stages.embed.checks import Rows


def embed_with(component: Any, path: str, texts: list[str]) -> list[Rows]:
    """One row a text. Raises InvalidOutput, naming the component by `path`, when it skips or swaps documents."""
    from haystack import Document

    sent = [Document(id=str(number), content=text) for number, text in enumerate(texts)]
    answered = component.run(documents=sent)["documents"]
    if [document.id for document in answered] != [document.id for document in sent]:
        raise InvalidOutput(f"{path} gave other documents back than it was sent")
    without = sum(document.embedding is None for document in answered)
    if without:
        raise InvalidOutput(f"{path} left {without} of {len(sent)} documents without a vector")
    return [np.asarray(document.embedding, np.float32) for document in answered]
