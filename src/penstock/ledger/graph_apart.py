"""Names that mean another thing in some documents: what a person says of them, and the rows that come of it.

Where "Mercury" is said to be a planet in d7, what d7 calls so has the identity `mercury [planet]`: it is a row of its
own, with d7's claims, and shares its name with what was set apart in the same sense. What is said is about a document,
and is applied to whatever that document says, so the rows depend neither on what came first nor on when it was said.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Column, Connection, Select, and_, delete, insert, select

from penstock.ledger.database import now_ms
from penstock.ledger.graph_merge import slices
from penstock.ledger.graph_names import key_of, of_sense, sense_of
from penstock.ledger.graph_rows import DocumentRows, claim_key
from penstock.ledger.graph_schema import (
    graph_apart,
    graph_claims,
    graph_documents,
    graph_entities,
    graph_evidence,
    graph_identifiers,
    graph_mentions,
)
from penstock.ledger.graph_view import Apart, Node

MAX_DOCUMENTS = 5
"""Documents named for each sense: the first ones by id."""

Senses = Mapping[tuple[str, str], str]
"""A document's: (type, folded name) → sense, with the type "" for any."""


def say(connection: Connection, tenant: str, name: str, doc_id: str, type: str, sense: str) -> None:
    """In this document the name has this sense, whatever was said of it before."""
    forget(connection, tenant, name, [doc_id], type)
    row = {"tenant": tenant, "name": name, "doc_id": doc_id, "type": type, "sense": sense}
    connection.execute(insert(graph_apart).values(**row, at=now_ms()))


def forget(
    connection: Connection, tenant: str, name: str, doc_ids: Sequence[str] | None, type: str | None
) -> list[str]:
    """Unsay it, of these documents and this type or (None) of all; the documents of which it was said."""
    a = graph_apart.c
    said = and_(a.tenant == tenant, a.name == name)
    if doc_ids is not None:
        said &= a.doc_id.in_(doc_ids)
    if type is not None:
        said &= a.type == type
    found = sorted(set(connection.execute(select(a.doc_id).where(said)).scalars()))
    connection.execute(delete(graph_apart).where(said))
    return found


def senses_of(connection: Connection, tenant: str, doc_ids: Collection[str]) -> dict[str, Senses]:
    """What was said of each of these documents; those of which nothing was are left out."""
    a = graph_apart.c
    senses: dict[str, dict[tuple[str, str], str]] = defaultdict(dict)
    for ids in slices(doc_ids):
        said = select(a.doc_id, a.type, a.name, a.sense).where(a.tenant == tenant, a.doc_id.in_(ids))
        for doc_id, type, name, sense in connection.execute(said):
            senses[doc_id][type, name] = sense
    return dict(senses)


def set_apart(rows: DocumentRows, senses: Senses) -> DocumentRows:
    """The document's rows with every name in the sense it has there, or in none; what is an identifier has none."""
    keys: dict[str | None, str] = {}
    entities = {}
    for key, entity in rows.entities.items():
        type, (name, _) = entity["type"], sense_of(entity["identity"])
        identity = of_sense(name, senses.get((type, name)) or senses.get(("", name)) or "")
        keys[key] = key_of(type, identity)
        entities[keys[key]] = {"type": type, "identity": identity}
    moved = {
        key: {**claim, "subject": keys[claim["subject"]], "object": keys.get(claim["object"])}
        for key, claim in rows.claims.items()
    }
    claims = {key: claim_key(claim) for key, claim in moved.items()}
    return replace(
        rows,
        entities=entities,
        mentions=[{**row, "entity": keys[row["entity"]]} for row in rows.mentions],
        identifiers=[{**row, "entity": keys[row["entity"]]} for row in rows.identifiers],
        claims={claims[key]: claim for key, claim in moved.items()},
        evidence=[{**row, "claim": claims[row["claim"]]} for row in rows.evidence],
    )


def stored(connection: Connection, tenant: str, doc_id: str) -> DocumentRows | None:
    """What a document says as it was given, before any name of it was set apart; None for one that isn't there."""
    d, e, m, i = graph_documents.c, graph_entities.c, graph_mentions.c, graph_identifiers.c
    c, p = graph_claims.c, graph_evidence.c
    subject, target = graph_entities.alias("subject"), graph_entities.alias("target")
    columns = (d.id, d.tenant, d.doc_id, d.generation, d.token, d.extractor, d.version)
    stands = connection.execute(select(*columns).where(d.tenant == tenant, d.doc_id == doc_id)).mappings().first()
    if stands is None:
        return None

    def rows(query: Select[Any], of: Column[int]) -> list[dict[str, Any]]:
        return [dict(row) for row in connection.execute(query.where(of == stands["id"])).mappings()]

    named = select(e.key.label("entity"), m.name, m.folded, m.evidence).join(graph_mentions, m.entity_id == e.id)
    stated = select(e.key.label("entity"), i.scheme, i.value).join(graph_identifiers, i.entity_id == e.id)
    ends = (subject.c.key.label("subject"), c.predicate, target.c.key.label("object"), c.value)
    claimed = (
        select(c.key, *ends)
        .distinct()
        .join_from(graph_claims, graph_evidence, p.claim_id == c.id)
        .join(subject, subject.c.id == c.subject_id)
        .outerjoin(target, target.c.id == c.object_id)
    )
    proof = [column for column in p if column.name not in ("document_id", "claim_id")]
    proven = select(c.key.label("claim"), *proof).join(graph_evidence, p.claim_id == c.id)
    entities = rows(select(e.key, e.type, e.identity).join(graph_mentions, m.entity_id == e.id), m.document_id)
    as_written = DocumentRows(
        **{name: value for name, value in stands.items() if name != "id"},
        entities={row.pop("key"): row for row in entities},
        mentions=rows(named, m.document_id),
        identifiers=rows(stated, i.document_id),
        claims={row.pop("key"): row for row in rows(claimed, p.document_id)},
        evidence=rows(proven, p.document_id),
    )
    return set_apart(as_written, {})


def apart_of(connection: Connection, tenant: str, node: Node) -> list[Apart]:
    """What was said of the names that the node's rows have, by name, type and sense."""
    a, m = graph_apart.c, graph_mentions.c
    found: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for ids in slices(node.rows):
        names = select(m.folded).where(m.entity_id.in_(ids))
        said = select(a.name, a.type, a.sense, a.doc_id).where(a.tenant == tenant, a.name.in_(names))
        for *what, doc_id in connection.execute(said.where(a.type.in_(["", *node.types]))):
            found[what[0], what[1], what[2]].add(doc_id)
    return [Apart(*what, tuple(sorted(found[what])[:MAX_DOCUMENTS])) for what in sorted(found)]
