"""The whole graph of a tenant, read from end to end in little memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import groupby
from typing import NamedTuple

from sqlalchemy import Connection, func, select, text

from penstock.ledger.database import Database
from penstock.ledger.graph_links import links_of
from penstock.ledger.graph_merge import slices
from penstock.ledger.graph_nodes import nodes_of
from penstock.ledger.graph_schema import graph_claims, graph_entities, graph_evidence
from penstock.ledger.graph_view import Link, Node

PAGE = 1_000
"""Entity rows, or claims, looked at together."""
TRAILS = 1_000
"""About as many evidences are read together; all those of one edge, at least."""

_SCRATCH = """
PRAGMA journal_mode = OFF;
CREATE TABLE homes (id INTEGER PRIMARY KEY, node TEXT NOT NULL);
CREATE INDEX homes_by_node ON homes (node);
CREATE TABLE claims (
    id INTEGER PRIMARY KEY, key TEXT, subject_id INTEGER, predicate TEXT, object_id INTEGER, value TEXT,
    subject TEXT, object TEXT, trails INTEGER
);
"""
_IN_ORDER = """
WITH ends AS (
    SELECT claims.id, key, subject_id, predicate, object_id, value, subject, COALESCE(node, object) AS object, trails
    FROM claims LEFT JOIN homes ON homes.id = object_id
)
SELECT *, MIN(key) OVER (PARTITION BY subject, predicate, object, value) AS edge FROM ends ORDER BY subject, edge, key
"""


def stream(database: Database, tenant: str) -> Iterator[Node | Link]:
    """Every node by key, then every link by its subject's key and its own id, as they stand at one moment.

    In memory are a page of nodes and about TRAILS evidences, or one node or edge that is bigger. Which node a merged
    row belongs to, and the claims of a page of nodes, are in a temporary file.
    """
    with database.read() as connection, closing(sqlite3.connect("", isolation_level=None)) as scratch:
        if not database.sqlite:
            connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
        scratch.executescript(_SCRATCH)
        walk = _Walk(connection, tenant, scratch)
        yield from walk.nodes()
        yield from walk.links()


class _Claim(NamedTuple):
    """A claim about the nodes `subject` and `object`; `edge` is the least key of those that say the same."""

    id: int
    key: str
    subject_id: int
    predicate: str
    object_id: int | None
    value: str | None
    subject: str
    object: str | None
    trails: int
    edge: str

    def ends(self) -> Iterator[tuple[int, str]]:
        """Entity rows with their nodes' keys."""
        yield self.subject_id, self.subject
        if self.object_id is not None and self.object is not None:
            yield self.object_id, self.object


class _Walk:
    """`links` needs what `nodes` has learnt about merged rows."""

    def __init__(self, connection: Connection, tenant: str, scratch: sqlite3.Connection) -> None:
        self._connection, self._tenant, self._scratch = connection, tenant, scratch

    def nodes(self) -> Iterator[Node]:
        """A node comes with the first of its rows by key, and the others are passed over."""
        for page in self._pages():
            known = self._homes(id for id, _ in page)
            fresh = [(id, key) for id, key in page if id not in known]
            nodes = nodes_of(self._connection, self._tenant, [id for id, _ in fresh], most=None)
            for id, key in fresh:
                node = nodes[id]
                if node.key == key:
                    if len(node.rows) > 1:
                        rows = ((row, key) for row in node.rows)
                        self._scratch.executemany("INSERT INTO homes VALUES (?, ?)", rows)
                    yield node

    def links(self) -> Iterator[Link]:
        for page in self._pages():
            homes = self._homes(id for id, _ in page)
            subjects = {id: key for id, key in page if homes.get(id, key) == key}
            subjects |= self._members(subjects.values())
            for ids in slices(subjects):
                self._keep_claims(ids, subjects)
            for part in self._parts():
                keys = dict(end for same in part for claim in same for end in claim.ends())
                yield from links_of(self._connection, part, keys, evidence=None)
            self._scratch.execute("DELETE FROM claims")

    def _pages(self) -> Iterator[Sequence[tuple[int, str]]]:
        """Entity rows (id, key) by key."""
        e = graph_entities.c
        last = ""
        while True:
            after = select(e.id, e.key).where(e.tenant == self._tenant, e.key > last).order_by(e.key).limit(PAGE)
            page = [(row.id, row.key) for row in self._connection.execute(after)]
            if not page:
                return
            yield page
            last = page[-1][1]

    def _homes(self, ids: Iterable[int]) -> dict[int, str]:
        """Of these rows those that are merged, with their node's key."""
        return self._looked_up("id", ids)

    def _members(self, nodes: Iterable[str]) -> dict[int, str]:
        return self._looked_up("node", nodes)

    def _looked_up(self, column: str, values: Iterable[int] | Iterable[str]) -> dict[int, str]:
        wanted = list(values)
        marks = ", ".join("?" * len(wanted))
        return dict(self._scratch.execute(f"SELECT id, node FROM homes WHERE {column} IN ({marks})", wanted))  # noqa: S608

    def _keep_claims(self, ids: Sequence[int], subjects: dict[int, str]) -> None:
        """Write down the claims about these rows, as about their nodes, and how many evidences each has."""
        c, e, p = graph_claims.c, graph_entities.c, graph_evidence.c
        trails = select(func.count()).where(p.claim_id == c.id).scalar_subquery()
        columns = (c.id, c.key, c.subject_id, c.predicate, c.object_id, c.value, e.key.label("object"), trails)
        told = select(*columns).outerjoin_from(graph_claims, graph_entities, e.id == c.object_id)
        told = told.where(c.subject_id.in_(ids))
        claims = self._connection.execute(told, execution_options={"yield_per": PAGE})
        rows = ((*claim[:6], subjects[claim.subject_id], *claim[6:]) for claim in claims)
        self._scratch.executemany("INSERT INTO claims VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def _parts(self) -> Iterator[list[list[_Claim]]]:
        """The claims written down, those of one edge together, in parts of about TRAILS evidences."""
        part: list[list[_Claim]] = []
        trails = 0
        claims = map(_Claim._make, self._scratch.execute(_IN_ORDER))
        for _, same in groupby(claims, key=lambda claim: claim.edge):
            part.append(list(same))
            trails += sum(claim.trails for claim in part[-1])
            if trails >= TRAILS:
                yield part
                part, trails = [], 0
        if part:
            yield part
