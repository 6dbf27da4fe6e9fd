"""Why a document, a chunk (a search hit is one) or an edge of the graph is as it is, from the bytes on."""

from penstock.explain.explainer import Explainer
from penstock.explain.pages import Pages
from penstock.explain.resolve import Slice, resolve
from penstock.explain.standing import Standing
from penstock.explain.stories import (
    ChunkStory,
    DocumentStory,
    EdgeStory,
    EvidenceStory,
    JobStory,
    Origination,
    Passage,
    StageStory,
)

__all__ = [
    "ChunkStory",
    "DocumentStory",
    "EdgeStory",
    "EvidenceStory",
    "Explainer",
    "JobStory",
    "Origination",
    "Pages",
    "Passage",
    "Slice",
    "StageStory",
    "Standing",
    "resolve",
]
