"""The entity that a document itself is: what its claims are about."""

from __future__ import annotations

from penstock.ir import Document, Identifier
from penstock.stages.extract.gather import Gathering
from penstock.stages.extract.naming import SCHEMES, document_type
from penstock.stages.extract.quoting import MAX_QUOTE, Quotes


def document_entity(gathering: Gathering, document: Document, quotes: Quotes) -> str:
    """The local key of the document's own entity, by the identifiers that its type goes by, else by its source id."""
    type = document_type(document)
    own = [one for one in document.identifiers if one.scheme in SCHEMES[type]]
    if not own:
        own = [Identifier(scheme="source", value=f"{document.source}:{document.source_id}")]
    first = next((block for block in document.blocks if block.kind == "title"), None) or next(
        iter(document.blocks), None
    )
    evidence = quotes.of_span(first.start, min(first.end, first.start + MAX_QUOTE)) if first else None
    return gathering.entity(type, document.title or document.source_id, identifiers=own, evidence=evidence)
