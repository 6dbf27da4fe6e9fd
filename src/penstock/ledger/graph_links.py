"""Claims made into the edges they are read as, by the keys of the nodes at their ends."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, and_, func, select

from penstock.ir import Locator
from penstock.ledger.graph_schema import graph_documents, graph_evidence
from penstock.ledger.graph_view import Link, Trail
from penstock.ledger.schema import documents


def together(claims: Iterable[Row[Any]], keys: Mapping[int, str]) -> list[list[Row[Any]]]:
    """Claims (id, key, subject_id, predicate, object_id, value) that say the same of the same nodes, side by side.

    `keys` has the node's key for every entity row at an end.
    """
    groups: dict[tuple[str, str, str | None, str | None], list[Row[Any]]] = defaultdict(list)
    for claim in claims:
        target = keys[claim.object_id] if claim.object_id is not None else None
        groups[keys[claim.subject_id], claim.predicate, target, claim.value].append(claim)
    return list(groups.values())


def links_of(
    connection: Connection,
    groups: Sequence[Sequence[Any]],
    keys: Mapping[int, str],
    evidence: int | None,
) -> list[Link]:
    """One link for each group (see together), in order, with up to `evidence` trails of each claim (None: all)."""
    trails = _trails(connection, {claim.id: claim.key for claims in groups for claim in claims}, evidence)
    links = []
    for claims, number in zip(groups, _documents_behind(connection, groups), strict=True):
        ids = tuple(sorted(claim.key for claim in claims))
        first = claims[0]
        links.append(
            Link(
                id=ids[0],
                claims=ids,
                subject=keys[first.subject_id],
                predicate=first.predicate,
                object=keys[first.object_id] if first.object_id is not None else None,
                value=first.value,
                documents=number,
                evidence=tuple(sorted((trail for claim in claims for trail in trails[claim.id]), key=_telling)),
            )
        )
    return links


def _documents_behind(connection: Connection, groups: Sequence[Sequence[Any]]) -> list[int]:
    """How many documents say each group of claims."""
    p = graph_evidence.c
    ids = [claim.id for claims in groups for claim in claims]
    behind: dict[int, set[int]] = defaultdict(set)
    for claim, document in connection.execute(select(p.claim_id, p.document_id).distinct().where(p.claim_id.in_(ids))):
        behind[claim].add(document)
    return [len(set().union(*(behind[claim.id] for claim in claims))) for claims in groups]


def _trails(connection: Connection, claims: dict[int, str], count: int | None) -> dict[int, list[Trail]]:
    """The first `count` evidences of each claim, those with a sentence before those with a field alone."""
    p, d = graph_evidence.c, graph_documents.c
    place = func.row_number().over(partition_by=p.claim_id, order_by=(p.start.is_(None), d.doc_id, p.ordinal))
    columns = (p.chunk_id, p.field, p.start, p.end, p.quote, p.locator, p.attributes)
    ranked = (
        select(
            p.claim_id, d.doc_id, d.generation, d.extractor, d.version, *columns,
            documents.c.source, documents.c.source_id, documents.c.title, place.label("place"),
        )
        .join_from(graph_evidence, graph_documents, d.id == p.document_id)
        .outerjoin(documents, and_(documents.c.tenant == d.tenant, documents.c.doc_id == d.doc_id))
        .where(p.claim_id.in_(claims))
        .subquery()
    )  # fmt: skip
    wanted = select(ranked).order_by(ranked.c.claim_id, ranked.c.place)
    trails: dict[int, list[Trail]] = defaultdict(list)
    for row in connection.execute(wanted if count is None else wanted.where(ranked.c.place <= count)):
        values = dict(row._mapping)
        del values["place"]
        claim = values.pop("claim_id")
        values["locator"] = Locator.model_validate_json(values["locator"])
        values["attributes"] = json.loads(values["attributes"] or "{}")
        trails[claim].append(Trail(claim=claims[claim], **values))
    return trails


def _telling(trail: Trail) -> tuple[bool, str, str, int, str, str]:
    """Sentences before bare fields."""
    return trail.start is None, trail.doc_id, trail.field or "", trail.start or 0, trail.quote, trail.claim
