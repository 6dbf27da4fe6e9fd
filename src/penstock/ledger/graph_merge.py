"""Which entity rows are one node: those of one family that share an identifier, and what those share, and so on.

Rows of the vocabulary family (drugs, conditions, substances, concepts) are one node when they share their name, too: a
keyword that one source gives without a type is the drug that another names. A name that was set apart (see graph_apart)
is shared only with those of its sense.

Merging happens on reading only, so it doesn't depend on what came first, can be explained by the identifiers that did
it, and is undone by itself when the document that stated one is gone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import Connection, select

from penstock.ledger.graph_names import VOCABULARY, family, key_of
from penstock.ledger.graph_schema import graph_entities, graph_identifiers

MAX_MEMBERS = 5_000
"""Rows that merging adds at most; met only by data in which everything shares identifiers."""
SLICE = 5_000

NAME = "name"
"""Stands for the scheme where rows share their name."""

_Mark = tuple[str, str, str]


def merge(
    connection: Connection,
    tenant: str,
    entities: Iterable[int],
    most: int | None = MAX_MEMBERS,
) -> dict[int, frozenset[int]]:
    """For each of these entity rows the ids of all rows of its node, itself included.

    About `most` rows are added to those given; None: however many there are.
    """
    given = list(dict.fromkeys(entities))
    parent = {id: id for id in given}

    def root(id: int) -> int:
        while parent[id] != id:
            parent[id] = parent[parent[id]]
            id = parent[id]
        return id

    asked: set[_Mark] = set()
    frontier = set(given)
    while frontier and (most is None or len(parent) <= len(given) + most):
        marks = _marks_of(connection, frontier) - asked
        asked |= marks
        frontier = set()
        for bearers in _bearers_of(connection, tenant, marks).values():
            fresh = bearers - parent.keys()
            parent.update((id, id) for id in fresh)
            frontier |= fresh
            first, *others = sorted(bearers)
            for id in others:
                parent[root(id)] = root(first)
    nodes: dict[int, set[int]] = defaultdict(set)
    for id in parent:
        nodes[root(id)].add(id)
    return {id: frozenset(nodes[root(id)]) for id in given}


def _marks_of(connection: Connection, entities: Iterable[int]) -> set[_Mark]:
    """(family, scheme, value) of every identifier that these rows are stated to have; the scheme of a name is NAME."""
    e, i = graph_entities.c, graph_identifiers.c
    marks: set[_Mark] = set()
    for ids in slices(entities):
        named = select(e.type, e.identity).where(e.id.in_(ids), e.type.in_(sorted(VOCABULARY)))
        marks.update((family(type), NAME, identity) for type, identity in connection.execute(named))
        stated = select(e.type, i.scheme, i.value).distinct().join(graph_identifiers, e.id == i.entity_id)
        rows = connection.execute(stated.where(i.entity_id.in_(ids)))
        marks.update((family(type), scheme, value) for type, scheme, value in rows)
    return marks


def _bearers_of(connection: Connection, tenant: str, marks: set[_Mark]) -> dict[_Mark, set[int]]:
    """All rows of the tenant that have these identifiers or names, by identifier or name."""
    e, i = graph_entities.c, graph_identifiers.c
    bearers: dict[_Mark, set[int]] = defaultdict(set)
    for values in slices({value for _, scheme, value in marks if scheme != NAME}):
        stated = (
            select(e.id, e.type, i.scheme, i.value)
            .distinct()
            .join(graph_identifiers, e.id == i.entity_id)
            .where(i.value.in_(values), e.tenant == tenant)
        )
        for id, type, scheme, value in connection.execute(stated):
            if (mark := (family(type), scheme, value)) in marks:
                bearers[mark].add(id)
    named = {key_of(type, mark[2]): mark for mark in marks if mark[1] == NAME for type in VOCABULARY}
    for keys in slices(named):
        for id, key in connection.execute(select(e.id, e.key).where(e.tenant == tenant, e.key.in_(keys))):
            bearers[named[key]].add(id)
    return bearers


def slices(values: Iterable[Any]) -> Iterator[list[Any]]:
    """The values, sorted, in parts that fit into one IN list."""
    ordered = sorted(values)
    return (ordered[start : start + SLICE] for start in range(0, len(ordered), SLICE))
