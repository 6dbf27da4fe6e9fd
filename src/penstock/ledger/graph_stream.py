"""The whole graph of a tenant, read from end to end in little memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Row, select, text

from penstock.ledger.database import Database
from penstock.ledger.graph_links import links_of, together
from penstock.ledger.graph_merge import slices
from penstock.ledger.graph_nodes import nodes_of
from penstock.ledger.graph_schema import graph_claims, graph_entities
from penstock.ledger.graph_view import Link, Node

PAGE = 1_000
"""Entity rows looked at together."""
CLAIMS = 1_000
"""About as many claims get their evidence together."""


def stream(database: Database, tenant: str) -> Iterator[Node | Link]:
    """Every node by key, then every link by its subject's key and its own id, as they stand at one moment.

    In memory are a page of nodes and their claims, the evidence of about CLAIMS claims, and for each entity row that
    is merged with others its node's key.
    """
    with database.read() as connection:
        if not database.sqlite:
            connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
        walk = _Walk(connection, tenant)
        yield from walk.nodes()
        yield from walk.links()


class _Walk:
    """`links` needs what `nodes` has learnt about merged rows."""

    def __init__(self, connection: Connection, tenant: str) -> None:
        self._connection, self._tenant = connection, tenant
        self._homes: dict[int, str] = {}
        self._members: dict[str, tuple[int, ...]] = {}

    def nodes(self) -> Iterator[Node]:
        for page in self._pages():
            nodes = nodes_of(self._connection, self._tenant, [id for id, _ in page], most=None)
            for id, key in page:
                node = nodes[id]
                if len(node.rows) > 1:
                    self._homes[id] = node.key
                if node.key == key:
                    if len(node.rows) > 1:
                        self._members[key] = tuple(sorted(node.rows))
                    yield node

    def links(self) -> Iterator[Link]:
        for page in self._pages():
            keys: dict[int, str] = {}
            for id, key in page:
                if self._homes.get(id, key) == key:
                    keys.update((row, key) for row in self._members.get(key, (id,)))
            claims: list[Row[Any]] = []
            for ids in slices(keys):
                claims += self._claims_of(ids)
            for claim in claims:
                if claim.object_id is not None:
                    keys[claim.object_id] = self._homes.get(claim.object_id, claim.object_key)
            groups = together(claims, keys)
            groups.sort(key=lambda same: (keys[same[0].subject_id], min(claim.key for claim in same)))
            for some in _parts(groups):
                yield from links_of(self._connection, some, keys, evidence=None)

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

    def _claims_of(self, subjects: Sequence[int]) -> list[Row[Any]]:
        c, e = graph_claims.c, graph_entities.c
        columns = (c.id, c.key, c.subject_id, c.predicate, c.object_id, c.value, e.key.label("object_key"))
        told = select(*columns).outerjoin_from(graph_claims, graph_entities, e.id == c.object_id)
        return list(self._connection.execute(told.where(c.subject_id.in_(subjects))))


def _parts(groups: Sequence[Sequence[Row[Any]]]) -> Iterator[Sequence[Sequence[Row[Any]]]]:
    """Groups in parts of about CLAIMS claims."""
    start, count = 0, 0
    for end, same in enumerate(groups, 1):
        count += len(same)
        if count >= CLAIMS or end == len(groups):
            yield groups[start:end]
            start, count = end, 0
