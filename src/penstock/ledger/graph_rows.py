"""One document's knowledge as rows, all hashing and serialising done before any transaction begins."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from penstock.errors import InvalidOutput
from penstock.ir import Entity, Knowledge, StageContext
from penstock.ledger.graph_names import canonical, fold, identity, key_of

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class DocumentRows:
    """`entities` and `claims` by key; a claim's `subject` and `object`, and the `entity` or `claim` of the other rows,
    are keys that become ids when written."""

    tenant: str
    doc_id: str
    generation: int
    token: int
    extractor: str
    version: str
    entities: dict[str, Row]
    mentions: list[Row]
    identifiers: list[Row]
    claims: dict[str, Row]
    evidence: list[Row]

    @property
    def size(self) -> int:
        """About how many bytes all this is."""
        return sum(_weight(row) for row in (*self.mentions, *self.identifiers, *self.claims.values(), *self.evidence))


def rows_of(ctx: StageContext, knowledge: Knowledge) -> DocumentRows:
    """Raises InvalidOutput for knowledge that breaks the contract: a claim about an entity that is not there, without
    evidence, or with both an object and a value or neither."""
    entities, keys, mentions, identifiers = _entities(knowledge.entities)
    claims: dict[str, Row] = {}
    evidence: dict[str, dict[bytes, Row]] = defaultdict(dict)
    for claim in knowledge.claims:
        if not claim.evidence or (claim.object is None) == (claim.value is None):
            raise InvalidOutput(f"{knowledge.extractor}: a {claim.predicate!r} claim needs evidence and one object")
        ends = [keys.get(end) for end in (claim.subject, claim.object) if end is not None]
        if None in ends:
            raise InvalidOutput(f"{knowledge.extractor}: a {claim.predicate!r} claim is about an entity not given")
        subject, target = keys[claim.subject], keys[claim.object] if claim.object is not None else None
        said = {"subject": subject, "predicate": claim.predicate, "object": target, "value": claim.value}
        claims[key := claim_key(said)] = said
        attributes = orjson.dumps(claim.attributes, option=orjson.OPT_SORT_KEYS).decode() if claim.attributes else None
        for item in claim.evidence:
            row = {
                "chunk_id": item.chunk_id,
                "field": item.field,
                "start": item.start,
                "end": item.end,
                "quote": item.quote,
                "locator": item.locator.model_dump_json(exclude_none=True),
                "attributes": attributes,
            }
            evidence[key].setdefault(orjson.dumps(row), row)
    proofs = [
        {"claim": key, "ordinal": ordinal, **row}
        for key, rows in evidence.items()
        for ordinal, row in enumerate(rows.values())
    ]
    return DocumentRows(
        tenant=ctx.tenant_id,
        doc_id=ctx.doc_id,
        generation=ctx.generation,
        token=ctx.token,
        extractor=knowledge.extractor,
        version=knowledge.version,
        entities=entities,
        mentions=mentions,
        identifiers=identifiers,
        claims=claims,
        evidence=proofs,
    )


def claim_key(claim: Row) -> str:
    return key_of(claim["subject"], claim["predicate"], claim["object"], claim["value"])


def _entities(given: Sequence[Entity]) -> tuple[dict[str, Row], dict[str, str], list[Row], list[Row]]:
    """Entity rows, local key → key, mentions and identifiers. Two local entities of one identity become one."""
    rows: dict[str, Row] = {}
    keys: dict[str, str] = {}
    names: dict[str, set[str]] = defaultdict(set)
    marks: set[tuple[str, str, str]] = set()
    evidence: dict[str, dict[bytes, None]] = defaultdict(dict)
    for entity in given:
        own = {pair for identifier in entity.identifiers if (pair := canonical(identifier))}
        itself = identity(entity.type, entity.name, own)
        key = keys[entity.key] = key_of(entity.type, itself)
        rows[key] = {"type": entity.type, "identity": itself}
        names[key].add(entity.name)
        marks.update((key, *pair) for pair in own)
        for item in entity.evidence:
            evidence[key][orjson.dumps(item.model_dump(exclude_none=True))] = None
    mentions = []
    for key in rows:
        name = min(names[key])
        proof = (b"[" + b",".join(evidence[key]) + b"]").decode()
        mentions.append({"entity": key, "name": name, "folded": fold(name), "evidence": proof})
    identifiers = [{"entity": key, "scheme": scheme, "value": value} for key, scheme, value in sorted(marks)]
    return rows, keys, mentions, identifiers


def _weight(row: Row) -> int:
    return 32 + sum(len(value) for value in row.values() if isinstance(value, str))
