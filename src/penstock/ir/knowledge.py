"""What extraction gives: entities and claims, each with the evidence for it."""

from __future__ import annotations

from pydantic import Field

from penstock.ir.documents import Identifier, Locator
from penstock.ir.model import Record, Text


class Evidence(Record):
    """Why something is said to be so.

    A span `[start, end)` of the document's text (and the chunk it lies in), or a field of the payload; `quote` is the
    sentence or field value as it stands there, `locator` the way back to the bytes.
    """

    chunk_id: str | None = None
    field: str | None = None
    start: int | None = None
    end: int | None = None
    quote: Text = ""
    locator: Locator


class Entity(Record):
    """`type` is one of TYPES. Two documents mean the same entity when type and normalised name, or an identifier,
    agree. `key` is only local: claims of the same document refer to it."""

    key: str
    type: str
    name: Text
    identifiers: tuple[Identifier, ...] = ()
    evidence: tuple[Evidence, ...] = ()


class Claim(Record):
    """subject —predicate→ object, where the object is another entity (`object`) or a literal (`value`)."""

    subject: str
    predicate: str
    object: str | None = None
    value: Text | None = None
    attributes: dict[str, Text] = Field(default_factory=dict)
    evidence: tuple[Evidence, ...]


class Knowledge(Record):
    """All that one extractor found in one document."""

    entities: tuple[Entity, ...] = ()
    claims: tuple[Claim, ...] = ()
    extractor: str
    version: str


TYPES = (
    "Drug",
    "Condition",
    "Organization",
    "Person",
    "Study",
    "Publication",
    "Label",
    "Concept",
    "Substance",
    "Page",
)
