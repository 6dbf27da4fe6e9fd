"""JSON-LD 1.1: entities, and claims as resources of their own (as RDF reification does), so that they bear evidence.

One line for each. What has an inner form of its own (a locator, attributes) is a JSON literal.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from penstock.graph_export.records import link_record, node_record
from penstock.ledger.graph_view import Link, Node

VOCABULARY = "urn:penstock:vocabulary:"
ENTITY, CLAIM = "urn:penstock:entity:", "urn:penstock:claim:"
CONTEXT = {
    "@version": 1.1,
    "@vocab": VOCABULARY,
    "subject": {"@id": "http://www.w3.org/1999/02/22-rdf-syntax-ns#subject", "@type": "@id"},
    "object": {"@id": "http://www.w3.org/1999/02/22-rdf-syntax-ns#object", "@type": "@id"},
    "name": "http://www.w3.org/2000/01/rdf-schema#label",
    "names": {"@type": "@json"},
    "attributes": {"@type": "@json"},
    "locator": {"@type": "@json"},
}


def write(out: Path, parts: Iterable[Node | Link]) -> None:
    with out.open("w", encoding="utf-8") as file:
        file.write(f'{{"@context": {json.dumps(CONTEXT)},\n"@graph": [')
        for number, part in enumerate(parts):
            line = json.dumps(_resource(part), ensure_ascii=False)
            file.write(f"{',' if number else ''}\n{line}")
        file.write("\n]}\n")


def _resource(part: Node | Link) -> dict[str, Any]:
    """`null` says nothing in JSON-LD, so it is left out."""
    if isinstance(part, Node):
        return {"@id": ENTITY + part.key, "@type": "Entity", **node_record(part)}
    record = _told(link_record(part))
    record["subject"] = ENTITY + part.subject
    if part.object is not None:
        record["object"] = ENTITY + part.object
    record["evidence"] = [_told(trail) for trail in record["evidence"]]
    return {"@id": CLAIM + part.id, "@type": "Claim", **record}


def _told(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if value is not None}
