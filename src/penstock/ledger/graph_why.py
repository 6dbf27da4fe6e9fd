"""Why entity rows are read as one node, told so that a person can check it and undo it."""

from __future__ import annotations

from collections import defaultdict

from sqlalchemy import Connection, func, select

from penstock.ledger.graph_merge import NAME, slices
from penstock.ledger.graph_names import VOCABULARY, of_sense, sense_of
from penstock.ledger.graph_schema import graph_documents, graph_entities, graph_identifiers, graph_mentions
from penstock.ledger.graph_view import Merge, Node

MAX_DOCUMENTS = 5
"""Documents named for each identifier: the first ones by id."""


def merges_of(connection: Connection, node: Node) -> list[Merge]:
    """One Merge for each of the node's `merged_by`, in the same order."""
    e, i, m = graph_entities.c, graph_identifiers.c, graph_mentions.c
    entities: dict[int, tuple[str, str]] = {}
    bearers: dict[tuple[str, str], set[int]] = defaultdict(set)
    for ids in slices(node.rows):
        named = select(e.id, e.type, e.identity, func.min(m.name)).outerjoin(graph_mentions, m.entity_id == e.id)
        for id, type, identity, name in connection.execute(
            named.where(e.id.in_(ids)).group_by(e.id, e.type, e.identity)
        ):
            entities[id] = (type, of_sense(name, sense_of(identity)[1]) if name else identity)
            if type in VOCABULARY:
                bearers[NAME, identity].add(id)
        stated = select(i.entity_id, i.scheme, i.value).distinct().where(i.entity_id.in_(ids))
        for id, scheme, value in connection.execute(stated):
            bearers[scheme, value].add(id)
    return [
        Merge(
            scheme=scheme,
            value=value,
            entities=tuple(sorted({entities[id] for id in bearers[scheme, value]})),
            documents=() if scheme == NAME else _stating(connection, bearers[scheme, value], scheme, value),
        )
        for scheme, value in node.merged_by
    ]


def _stating(connection: Connection, entities: set[int], scheme: str, value: str) -> tuple[str, ...]:
    d, i = graph_documents.c, graph_identifiers.c
    found: set[str] = set()
    for ids in slices(entities):
        stating = (
            select(d.doc_id)
            .distinct()
            .join(graph_identifiers, i.document_id == d.id)
            .where(i.entity_id.in_(ids), i.scheme == scheme, i.value == value)
            .order_by(d.doc_id)
            .limit(MAX_DOCUMENTS)
        )
        found.update(connection.execute(stating).scalars())
    return tuple(sorted(found)[:MAX_DOCUMENTS])
