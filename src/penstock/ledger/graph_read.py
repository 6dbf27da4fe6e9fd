"""The knowledge graph's read side: find a node, look around it, follow an edge back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, Select, and_, func, or_, select

from penstock.errors import NotFound
from penstock.ledger.database import Database
from penstock.ledger.graph_apart import apart_of
from penstock.ledger.graph_links import links_of, together
from penstock.ledger.graph_merge import merge
from penstock.ledger.graph_names import fold, of_sense, sense_of
from penstock.ledger.graph_nodes import RANK, nodes_of
from penstock.ledger.graph_schema import (
    graph_claims,
    graph_entities,
    graph_evidence,
    graph_identifiers,
    graph_mentions,
)
from penstock.ledger.graph_view import Apart, Edge, Merge, Neighbourhood, Node
from penstock.ledger.graph_why import merges_of

MAX_CLAIMS = 2_000
"""Claims looked at around one level of nodes, those with the most documents first."""
CANDIDATES = 4
"""So many claims for each edge that is shown get nodes and trails at least; they are made by their documents, before it
is known which of them say the same of merged nodes."""
MAX_NAMES = 20_000
"""Names compared with one that nothing is called."""

T = TypeVar("T")


class GraphReader:
    """Reads one ledger's graph. Everything is asked for one tenant."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, tenant: str, query: str, type: str | None = None) -> list[Node]:
        """Nodes with this name, identifier (`D008687` or `mesh:D008687`) or key, best known first."""
        e, i, m = graph_entities.c, graph_identifiers.c, graph_mentions.c
        scheme, _, rest = query.strip().partition(":")
        forms = {query.strip(), query.strip().upper(), query.strip().lower()}
        scoped = {rest, rest.upper(), rest.lower()} - {""}
        name, sense = map(fold, sense_of(query.strip()))
        with self._database.read() as connection:
            rows: set[int] = set()
            for match in (
                select(e.id).where(e.tenant == tenant, e.key == query.strip().lower()),
                select(e.id)
                .join(graph_identifiers, i.entity_id == e.id)
                .where(
                    e.tenant == tenant, or_(i.value.in_(forms), and_(i.scheme == scheme.lower(), i.value.in_(scoped)))
                ),
                select(e.id)
                .join(graph_mentions, m.entity_id == e.id)
                .where(e.tenant == tenant, m.folded == fold(query)),
                select(e.id)
                .join(graph_mentions, m.entity_id == e.id)
                .where(e.tenant == tenant, m.folded == name, e.identity == of_sense(name, sense)),
            ):
                rows.update(connection.execute(match.distinct()).scalars())
            nodes = set(nodes_of(connection, tenant, sorted(rows)[:MAX_CLAIMS]).values())
        wanted = [node for node in nodes if type is None or type.casefold() in (t.casefold() for t in node.types)]
        return sorted(wanted, key=lambda node: (-node.documents, RANK.get(node.type, 99), node.name, node.key))

    def merges(self, node: Node) -> list[Merge]:
        """Why the node's rows are one: each thing that two or more of them share, and which documents state it."""
        with self._database.read() as connection:
            return merges_of(connection, node)

    def apart(self, tenant: str, node: Node) -> list[Apart]:
        """Where names of the node's rows were said to mean another thing, by name."""
        with self._database.read() as connection:
            return apart_of(connection, tenant, node)

    def suggest(self, tenant: str, query: str, count: int = 5) -> list[str]:
        """Names near one that nothing is called: those that contain it, then those spelled alike."""
        m = graph_mentions.c
        of_tenant = (
            select(m.folded, func.max(m.name).label("name"))
            .join(graph_entities, graph_entities.c.id == m.entity_id)
            .where(graph_entities.c.tenant == tenant)
            .group_by(m.folded)
            .order_by(func.count().desc(), m.folded)
        )
        wanted = fold(query)
        with self._database.read() as connection:
            within = of_tenant.where(m.folded.contains(wanted, autoescape=True)).limit(count)
            found = [row.name for row in connection.execute(within)] if wanted else []
            if len(found) < count:
                names = {row.folded: row.name for row in connection.execute(of_tenant.limit(MAX_NAMES))}
                found += [names[near] for near in get_close_matches(wanted, names, count, 0.6)]
        return list(dict.fromkeys(found))[:count]

    def neighbourhood(self, tenant: str, node: Node, depth: int = 1, limit: int = 50) -> Neighbourhood:
        """At most `limit` edges within `depth` steps: nearer ones first, then every predicate's best-evidenced.

        Where there are many more claims than `limit`, the best-evidenced are those of the best-evidenced claims.

        Literals (sentences, values) are the object of an edge too, and end there.
        """
        edges: dict[str, Edge] = {}
        centre: Collection[int] = node.rows
        seen = set(node.rows)
        left_out = False
        with self._database.read() as connection:
            for _ in range(depth):
                claims = self._around(connection, centre)
                best = _varied(claims, _claim_kind(centre), _claim_rank)[: limit * CANDIDATES]
                level = self._edges(connection, tenant, best, claims, evidence=3)
                fresh = _varied([edge for edge in level if edge.id not in edges], _edge_kind(centre), _edge_rank)
                room = limit - len(edges)
                told = {claim for edge in (*edges.values(), *level) for claim in edge.claims}
                left_out = left_out or len(fresh) > room or any(claim.key not in told for claim in claims)
                edges.update((edge.id, edge) for edge in fresh[:room])
                reached = {
                    row for edge in fresh[:room] for end in (edge.subject, edge.object) if end for row in end.rows
                }
                centre = reached - seen
                seen |= centre
                if not centre or len(edges) >= limit:
                    break
        return Neighbourhood(node, tuple(edges.values()), left_out)

    def edge(self, tenant: str, id: str, evidence: int = 200) -> Edge:
        """The edge that a claim's id, or a beginning of it that no other has, belongs to, with all its trails.

        Raises NotFound, saying which ids begin like that when there are several.
        """
        c = graph_claims.c
        wanted = id.strip().lower()
        with self._database.read() as connection:
            key = self._claim_key(connection, tenant, wanted)
            columns = (c.subject_id, c.predicate, c.object_id, c.value)
            claim = connection.execute(select(*columns).where(c.tenant == tenant, c.key == key)).one()
            rows = merge(connection, tenant, {claim.subject_id, claim.object_id} - {None})
            target = c.object_id.in_(rows[claim.object_id]) if claim.object_id is not None else c.value == claim.value
            same = self._claims().where(
                c.subject_id.in_(rows[claim.subject_id]), c.predicate == claim.predicate, target
            )
            claims = connection.execute(same).all()
            (edge,) = self._edges(connection, tenant, claims, claims, evidence)
        return edge

    def _claim_key(self, connection: Connection, tenant: str, wanted: str) -> str:
        c = graph_claims.c
        exact = select(c.key).where(c.tenant == tenant, c.key == wanted)
        begun = select(c.key).where(c.tenant == tenant, c.key.startswith(wanted, autoescape=True)).limit(6)
        keys: list[str] = list(connection.execute(exact).scalars()) if wanted else []
        keys = keys or sorted(connection.execute(begun).scalars() if wanted else ())
        if len(keys) != 1:
            problem = f"several begin with it: {', '.join(keys)}" if keys else "no claim has that id"
            raise NotFound(f"edge {wanted!r}: {problem}", next_step="penstock graph NAME shows edges with their ids")
        return keys[0]

    def _claims(self) -> Select[Any]:
        c = graph_claims.c
        number = func.count(graph_evidence.c.document_id.distinct()).label("documents")
        return (
            select(c.id, c.key, c.subject_id, c.predicate, c.object_id, c.value, number)
            .join(graph_evidence, graph_evidence.c.claim_id == c.id)
            .group_by(c.id, c.key, c.subject_id, c.predicate, c.object_id, c.value)
            .order_by(number.desc(), c.key)
            .limit(MAX_CLAIMS)
        )

    def _around(self, connection: Connection, rows: Collection[int]) -> list[Row[Any]]:
        """Claims from or to these rows."""
        c = graph_claims.c
        ids = sorted(rows)[:MAX_CLAIMS]
        found: dict[int, Row[Any]] = {}
        for side in (c.subject_id, c.object_id):
            found.update((row.id, row) for row in connection.execute(self._claims().where(side.in_(ids))))
        return list(found.values())

    def _edges(
        self,
        connection: Connection,
        tenant: str,
        chosen: Sequence[Row[Any]],
        claims: Sequence[Row[Any]],
        evidence: int,
    ) -> list[Edge]:
        """The edges that the chosen ones of these claims belong to, with up to `evidence` trails of each claim.

        Claims about the same nodes are one edge.
        """
        ends = {end for claim in chosen for end in (claim.subject_id, claim.object_id) if end is not None}
        by_key = {node.key: node for node in nodes_of(connection, tenant, ends).values()}
        keys = {id: node.key for node in by_key.values() for id in node.rows}
        between = [claim for claim in claims if {claim.subject_id, claim.object_id} - {None} <= keys.keys()]
        wanted = {claim.id for claim in chosen}
        groups = [same for same in together(between, keys) if any(claim.id in wanted for claim in same)]
        return [
            Edge(
                id=link.id,
                claims=link.claims,
                subject=by_key[link.subject],
                predicate=link.predicate,
                object=by_key[link.object] if link.object is not None else None,
                value=link.value,
                documents=link.documents,
                evidence=link.evidence,
            )
            for link in links_of(connection, groups, keys, evidence)
        ]


def _varied(
    items: Iterable[T], kind: Callable[[T], tuple[str, bool]], rank: Callable[[T], tuple[int, str, str]]
) -> list[T]:
    """Every kind's first by rank, then every one's second, and so on."""
    kinds: dict[tuple[str, bool], list[T]] = defaultdict(list)
    for item in items:
        kinds[kind(item)].append(item)
    ranked = [
        (place, name, item) for name, alike in kinds.items() for place, item in enumerate(sorted(alike, key=rank))
    ]
    return [item for _, _, item in sorted(ranked, key=lambda one: one[:2])]


def _claim_kind(centre: Collection[int]) -> Callable[[Row[Any]], tuple[str, bool]]:
    """By predicate, and whether it starts from one of these rows."""
    return lambda claim: (claim.predicate, claim.subject_id in centre)


def _claim_rank(claim: Row[Any]) -> tuple[int, str, str]:
    return -claim.documents, "", claim.key


def _edge_kind(centre: Collection[int]) -> Callable[[Edge], tuple[str, bool]]:
    return lambda edge: (edge.predicate, not edge.subject.rows.isdisjoint(centre))


def _edge_rank(edge: Edge) -> tuple[int, str, str]:
    return -edge.documents, edge.object.name if edge.object else edge.value or "", edge.id
