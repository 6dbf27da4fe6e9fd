"""The knowledge graph's write side: a document's share is replaced whole, old until new."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, Table, delete, exists, func, insert, select, text, update
from sqlalchemy.sql.expression import bindparam

from penstock.errors import NotFound
from penstock.ir import GraphWriteReceipt, Knowledge, StageContext
from penstock.ledger.database import Database
from penstock.ledger.graph_apart import forget, say, senses_of, set_apart, stored
from penstock.ledger.graph_names import fold, is_name
from penstock.ledger.graph_rows import DocumentRows, rows_of
from penstock.ledger.graph_schema import (
    TABLES,
    graph_apart,
    graph_claims,
    graph_documents,
    graph_entities,
    graph_evidence,
    graph_identifiers,
    graph_mentions,
    graph_meta,
)

MAX_TRANSACTION = 8 << 20
"""About as many bytes go into one transaction; a single larger document still goes in whole."""
SLICE = 5_000
"""Values in one IN list: below what SQLite (32,766) and PostgreSQL (65,535) take as parameters."""


class SqlGraph:
    """A graph store in the ledger's database.

    Writers of one tenant take turns (BEGIN IMMEDIATE on SQLite, an advisory lock on PostgreSQL), so that two of them
    can neither deadlock nor take away an entity the other is just about to name.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._store: str | None = None

    def store_id(self) -> str:
        """This graph's uuid, made on first use."""
        if self._store is None:
            known = select(graph_meta.c.value).where(graph_meta.c.name == "store")
            with self._database.read() as connection:
                self._store = connection.execute(known).scalar()
            if self._store is None:
                with self._turn("") as connection:
                    self._store = connection.execute(known).scalar() or str(uuid.uuid4())
                    connection.execute(delete(graph_meta).where(graph_meta.c.name == "store"))
                    connection.execute(insert(graph_meta).values(name="store", value=self._store))
        return self._store

    def replace(self, items: Sequence[tuple[StageContext, Knowledge]]) -> list[GraphWriteReceipt]:
        """Replace what each document says; one receipt for each, in order.

        A document whose stored (generation, token) is newer keeps what it has: `accepted` is False, and the receipt
        tells what stands. Claims without evidence and entities without mention that this leaves behind are removed.
        Raises InvalidOutput, before anything is written, for knowledge that breaks its contract.
        """
        rows = [rows_of(ctx, knowledge) for ctx, knowledge in items]
        store = self.store_id()
        receipts: list[GraphWriteReceipt] = []
        for group in _groups(rows):
            with self._turn(group[0].tenant) as connection:
                receipts += _Replacement(self._database, connection, store).run(group)
        return receipts

    def remove(self, tenant: str, doc_ids: Sequence[str]) -> int:
        """Take away all that these documents say; how many of them were there."""
        removed = 0
        for part in _slices(sorted(set(doc_ids))):
            with self._turn(tenant) as connection:
                named = (graph_documents.c.tenant == tenant) & graph_documents.c.doc_id.in_(part)
                ids = list(connection.execute(select(graph_documents.c.id).where(named)).scalars())
                entities, claims = _take_away(connection, ids)
                connection.execute(delete(graph_documents).where(graph_documents.c.id.in_(ids)))
                _sweep(connection, entities, claims)
                removed += len(ids)
        return removed

    def apart(self, tenant: str, name: str, sense: str, doc_ids: Sequence[str], type: str = "") -> None:
        """What these documents call `name` (of this type; "": of any) is another thing by name, now and later on.

        It is the same as what is set apart in the same `sense` (compared folded), by name, and as whatever shares an
        identifier with it. Raises NotFound, and changes nothing, when one of the documents calls nothing so.
        """
        store, folded = self.store_id(), fold(name)
        with self._turn(tenant) as connection:
            for doc_id in doc_ids:
                rows = stored(connection, tenant, doc_id)
                entities = rows.entities.values() if rows and is_name(folded) else ()
                called = [entity["type"] for entity in entities if entity["identity"] == folded]
                if rows is None or not called or type not in ("", *called):
                    what = f"no {type}" if type else "nothing that is known by its name"
                    raise NotFound(f"{doc_id} calls {what} {name!r}", next_step="penstock graph NAME shows who does")
                say(connection, tenant, folded, doc_id, type, fold(sense))
                _Replacement(self._database, connection, store).run([rows])

    def rejoin(self, tenant: str, name: str, doc_ids: Sequence[str] | None = None, type: str | None = None) -> int:
        """Take back what `apart` said of a name, everywhere or of these documents or type; of how many documents."""
        store = self.store_id()
        with self._turn(tenant) as connection:
            changed = forget(connection, tenant, fold(name), doc_ids, type)
            for doc_id in changed:
                if rows := stored(connection, tenant, doc_id):
                    _Replacement(self._database, connection, store).run([rows])
        return len(changed)

    def standing(self, tenant: str, doc_id: str) -> GraphWriteReceipt | None:
        """What stands for a document, or None."""
        d = graph_documents.c
        with self._database.read() as connection:
            row = connection.execute(
                select(d.generation, d.token, d.entities, d.claims).where(d.tenant == tenant, d.doc_id == doc_id)
            ).first()
        return None if row is None else GraphWriteReceipt(store=self.store_id(), **row._mapping)

    def counts(self) -> dict[str, int]:
        """Rows by table: documents, entities, mentions, identifiers, claims, evidence."""
        with self._database.read() as connection:
            return {
                table.name.removeprefix("graph_"): connection.execute(
                    select(func.count()).select_from(table)
                ).scalar_one()
                for table in TABLES
                if table not in (graph_meta, graph_apart)
            }

    def digest(self) -> str:
        """sha256 over every row's content, in an order of its own: without ids, tokens, generations and times.

        Two graphs have one digest exactly when they say the same for the same reasons, whatever came first.
        """
        d, e, m = graph_documents.c, graph_entities.c, graph_mentions.c
        i, c, p = graph_identifiers.c, graph_claims.c, graph_evidence.c
        subject, target = graph_entities.alias("subject"), graph_entities.alias("target")
        documents, entities = graph_documents, graph_entities
        views = {
            "document": select(d.tenant, d.doc_id, d.extractor, d.version, d.entities, d.claims),
            "entity": select(e.tenant, e.key, e.type, e.identity),
            "mention": select(d.tenant, d.doc_id, e.key, m.name, m.folded, m.evidence).select_from(
                graph_mentions.outerjoin(documents, d.id == m.document_id).outerjoin(entities, e.id == m.entity_id)
            ),
            "identifier": select(d.tenant, d.doc_id, e.key, i.scheme, i.value).select_from(
                graph_identifiers.outerjoin(documents, d.id == i.document_id).outerjoin(entities, e.id == i.entity_id)
            ),
            "claim": select(c.tenant, c.key, subject.c.key, c.predicate, target.c.key, c.value).select_from(
                graph_claims.outerjoin(subject, subject.c.id == c.subject_id).outerjoin(
                    target, target.c.id == c.object_id
                )
            ),
            "evidence": select(
                d.tenant,
                d.doc_id,
                c.key,
                p.ordinal,
                p.chunk_id,
                p.field,
                p.start,
                p.end,
                p.quote,
                p.locator,
                p.attributes,
            ).select_from(
                graph_evidence.outerjoin(documents, d.id == p.document_id).outerjoin(graph_claims, c.id == p.claim_id)
            ),
        }
        with self._database.read() as connection:
            marks = sorted(
                sha256(json.dumps([kind, *row]).encode()).digest()
                for kind, view in views.items()
                for row in connection.execution_options(yield_per=1000).execute(view)
            )
        return sha256(b"".join(marks)).hexdigest()

    @contextmanager
    def _turn(self, tenant: str) -> Iterator[Connection]:
        """A write transaction that no other writer of this tenant's graph overlaps."""
        with self._database.write() as connection:
            if not self._database.sqlite:
                name = f"penstock graph {tenant}"
                connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name})
            yield connection


class _Replacement:
    """One transaction's work: documents of one tenant, each at most once."""

    def __init__(self, database: Database, connection: Connection, store: str) -> None:
        self._database = database
        self._connection = connection
        self._store = store

    def run(self, group: Sequence[DocumentRows]) -> list[GraphWriteReceipt]:
        tenant = group[0].tenant
        d = graph_documents.c
        named = (d.tenant == tenant) & d.doc_id.in_([row.doc_id for row in group])
        columns = (d.doc_id, d.id, d.generation, d.token, d.entities, d.claims)
        standing = {row.doc_id: row for row in self._connection.execute(select(*columns).where(named))}
        fresh = []
        receipts = []
        for row in group:
            stored = standing.get(row.doc_id)
            refused = stored is not None and (row.generation, row.token) < (stored.generation, stored.token)
            if not refused:
                fresh.append(row)
            proof = stored if stored is not None and refused else None
            receipts.append(
                GraphWriteReceipt(
                    store=self._store,
                    generation=proof.generation if proof else row.generation,
                    token=proof.token if proof else row.token,
                    entities=proof.entities if proof else len(row.entities),
                    claims=proof.claims if proof else len(row.claims),
                    accepted=not refused,
                )
            )
        if fresh:
            self._write(tenant, fresh, {doc_id: row.id for doc_id, row in standing.items()})
        return receipts

    def _write(self, tenant: str, fresh: Sequence[DocumentRows], standing: dict[str, int]) -> None:
        senses = senses_of(self._connection, tenant, [row.doc_id for row in fresh])
        fresh = [set_apart(row, senses[row.doc_id]) if row.doc_id in senses else row for row in fresh]
        old = [standing[row.doc_id] for row in fresh if row.doc_id in standing]
        old_entities, old_claims = _take_away(self._connection, old)
        documents = self._documents(tenant, fresh, standing)
        entities = self._ids(graph_entities, tenant, {key: row for doc in fresh for key, row in doc.entities.items()})
        claims = self._ids(
            graph_claims,
            tenant,
            {
                key: {
                    "subject_id": entities[row["subject"]],
                    "predicate": row["predicate"],
                    "object_id": entities.get(row["object"]),
                    "value": row["value"],
                }
                for doc in fresh
                for key, row in doc.claims.items()
            },
        )
        pairs = [(documents[doc.doc_id], doc) for doc in fresh]
        self._insert(
            graph_mentions, (_placed(id, "entity", row, entities) for id, doc in pairs for row in doc.mentions)
        )
        self._insert(
            graph_identifiers, (_placed(id, "entity", row, entities) for id, doc in pairs for row in doc.identifiers)
        )
        self._insert(graph_evidence, (_placed(id, "claim", row, claims) for id, doc in pairs for row in doc.evidence))
        _sweep(self._connection, old_entities.difference(entities.values()), old_claims.difference(claims.values()))

    def _documents(self, tenant: str, fresh: Sequence[DocumentRows], standing: dict[str, int]) -> dict[str, int]:
        """The documents' ids by doc_id, their rows written."""
        new = [row.doc_id for row in fresh if row.doc_id not in standing]
        ids = standing | dict(zip(new, self._allocate(graph_documents, len(new)), strict=True))
        values = [
            {
                "id": ids[row.doc_id],
                "tenant": tenant,
                "doc_id": row.doc_id,
                "generation": row.generation,
                "token": row.token,
                "extractor": row.extractor,
                "version": row.version,
                "entities": len(row.entities),
                "claims": len(row.claims),
            }
            for row in fresh
        ]
        self._insert(graph_documents, (row for row in values if row["doc_id"] not in standing))
        changed = [{**row, "own_id": row["id"]} for row in values if row["doc_id"] in standing]
        if changed:
            self._connection.execute(
                update(graph_documents).where(graph_documents.c.id == bindparam("own_id")), changed
            )
        return ids

    def _ids(self, table: Table, tenant: str, rows: dict[str, dict[str, Any]]) -> dict[str, int]:
        """Ids by key; rows that are not there yet are inserted."""
        found: dict[str, int] = {}
        for part in _slices(sorted(rows)):
            known = select(table.c.key, table.c.id).where(table.c.tenant == tenant, table.c.key.in_(part))
            found.update((key, id) for key, id in self._connection.execute(known))
        missing = sorted(rows.keys() - found.keys())
        new = dict(zip(missing, self._allocate(table, len(missing)), strict=True))
        self._insert(table, ({"id": id, "tenant": tenant, "key": key, **rows[key]} for key, id in new.items()))
        return found | new

    def _allocate(self, table: Table, count: int) -> Sequence[int]:
        return self._database.allocate(self._connection, table.c.id, count) if count else ()

    def _insert(self, table: Table, rows: Iterable[dict[str, Any]]) -> None:
        batch = list(rows)
        if batch:
            self._connection.execute(insert(table), batch)


def _placed(document_id: int, end: str, row: dict[str, Any], ids: dict[str, int]) -> dict[str, Any]:
    """`row` as it is written: of this document, its entity or claim by id instead of by key."""
    placed = {**row, "document_id": document_id, f"{end}_id": ids[row[end]]}
    del placed[end]
    return placed


def _take_away(connection: Connection, documents: Sequence[int]) -> tuple[set[int], set[int]]:
    """Delete these documents' rows; the entities and claims that may have lost their last."""
    entities: set[int] = set()
    claims: set[int] = set()
    for part in _slices(documents):
        mentioned = graph_mentions.c.document_id.in_(part)
        entities.update(connection.execute(select(graph_mentions.c.entity_id).where(mentioned)).scalars())
        evidenced = graph_evidence.c.document_id.in_(part)
        claims.update(connection.execute(select(graph_evidence.c.claim_id).where(evidenced)).scalars())
        for table in (graph_mentions, graph_identifiers, graph_evidence):
            connection.execute(delete(table).where(table.c.document_id.in_(part)))
    return entities, claims


def _sweep(connection: Connection, entities: Iterable[int], claims: Iterable[int]) -> None:
    """Delete those of these claims that have no evidence left, and of these entities that nobody mentions any more.

    A document mentions the entities of all its claims, so an entity without mention has no claim either.
    """
    for part in _slices(sorted(claims)):
        backed = exists().where(graph_evidence.c.claim_id == graph_claims.c.id)
        connection.execute(delete(graph_claims).where(graph_claims.c.id.in_(part), ~backed))
    for part in _slices(sorted(entities)):
        named = exists().where(graph_mentions.c.entity_id == graph_entities.c.id)
        connection.execute(delete(graph_entities).where(graph_entities.c.id.in_(part), ~named))


def _groups(rows: Sequence[DocumentRows]) -> Iterator[list[DocumentRows]]:
    """Runs of rows that go into one transaction: one tenant, no document twice, at most about MAX_TRANSACTION bytes."""
    group: list[DocumentRows] = []
    size = 0
    for row in rows:
        apart = group and (row.tenant != group[0].tenant or any(row.doc_id == other.doc_id for other in group))
        if group and (apart or size + row.size > MAX_TRANSACTION):
            yield group
            group, size = [], 0
        group.append(row)
        size += row.size
    if group:
        yield group


def _slices(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (values[start : start + SLICE] for start in range(0, len(values), SLICE))
