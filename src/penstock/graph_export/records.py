"""Nodes, edges and evidence as plain values, the same ones in every format."""

from __future__ import annotations

from typing import Any

from penstock.ledger.graph_view import Apart, Edge, Link, Merge, Neighbourhood, Node, Trail

EVIDENCE = (
    "claim", "doc_id", "source", "source_id", "title", "generation", "extractor", "version",
    "chunk_id", "field", "start", "end", "quote", "attributes",
)  # fmt: skip
"""A trail's facts, but for its locator."""


def node_record(node: Node) -> dict[str, Any]:
    """Identifiers as `scheme:value`; `names` says how many documents use each."""
    return {
        "key": node.key,
        "type": node.type,
        "types": list(node.types),
        "name": node.name,
        "names": dict(node.names),
        "identifiers": [f"{scheme}:{value}" for scheme, value in node.identifiers],
        "merged_by": [f"{scheme}:{value}" for scheme, value in node.merged_by],
        "documents": node.documents,
    }


def merge_record(merge: Merge) -> dict[str, Any]:
    return {
        "by": f"{merge.scheme}:{merge.value}",
        "entities": [{"type": type, "name": name} for type, name in merge.entities],
        "stated_by": list(merge.documents),
    }


def apart_record(apart: Apart) -> dict[str, Any]:
    """`type` is None for any."""
    return {"name": apart.name, "type": apart.type or None, "as": apart.sense, "documents": list(apart.documents)}


def neighbourhood_record(around: Neighbourhood) -> dict[str, Any]:
    edges = [edge_record(edge) for edge in around.edges]
    return node_record(around.node) | {"edges": edges, "left_out": around.left_out}


def edge_record(edge: Edge) -> dict[str, Any]:
    ends = {"subject": node_record(edge.subject), "object": node_record(edge.object) if edge.object else None}
    return _said(edge) | ends


def link_record(link: Link) -> dict[str, Any]:
    """As an edge's, with the nodes' keys in their stead."""
    return _said(link) | {"subject": link.subject, "object": link.object}


def trail_record(trail: Trail) -> dict[str, Any]:
    facts = {name: getattr(trail, name) for name in EVIDENCE}
    return facts | {"locator": trail.locator.model_dump(exclude_none=True)}


def _said(edge: Edge | Link) -> dict[str, Any]:
    return {
        "id": edge.id,
        "claims": list(edge.claims),
        "subject": None,
        "predicate": edge.predicate,
        "object": None,
        "value": edge.value,
        "documents": edge.documents,
        "evidence": [trail_record(trail) for trail in edge.evidence],
    }
