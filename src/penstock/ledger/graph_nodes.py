"""Entity rows made into the nodes they are read as."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence

from sqlalchemy import Connection, func, select

from penstock.ir.knowledge import TYPES
from penstock.ledger.graph_merge import MAX_MEMBERS, NAME, SLICE, merge, slices
from penstock.ledger.graph_names import VOCABULARY, of_sense, sense_of
from penstock.ledger.graph_schema import graph_entities, graph_identifiers, graph_mentions
from penstock.ledger.graph_view import Node

RANK = {type: rank for rank, type in enumerate(dict.fromkeys(("Drug", "Condition", "Substance", *TYPES)))}
"""The more a type tells, the lower; of a node's types the lowest is shown."""


def nodes_of(
    connection: Connection,
    tenant: str,
    rows: Collection[int],
    most: int | None = MAX_MEMBERS,
) -> dict[int, Node]:
    """The node of each of these entity rows. `most`: see merge."""
    groups = merge(connection, tenant, rows, most)
    e, i, m = graph_entities.c, graph_identifiers.c, graph_mentions.c
    entities: dict[int, tuple[int, str, str]] = {}
    senses: dict[int, str] = {}
    names: dict[int, dict[str, int]] = defaultdict(dict)
    stated: dict[int, set[tuple[str, str]]] = defaultdict(set)
    for ids in slices(set().union(*groups.values())):
        for id, key, type, identity in connection.execute(
            select(e.id, e.key, e.type, e.identity).where(e.id.in_(ids)),
        ):
            entities[id] = (id, key, type)
            senses[id] = sense_of(identity)[1]
            if type in VOCABULARY:
                stated[id].add((NAME, identity))
        used = select(m.entity_id, m.name, func.count()).where(m.entity_id.in_(ids)).group_by(m.entity_id, m.name)
        for id, name, number in connection.execute(used):
            names[id][of_sense(name, senses[id])] = number
        given = select(i.entity_id, i.scheme, i.value).distinct().where(i.entity_id.in_(ids))
        for id, scheme, value in connection.execute(given):
            stated[id].add((scheme, value))
    made: dict[frozenset[int], Node] = {}
    for group in set(groups.values()):
        number = sum(sum(names[id].values()) for id in group)
        if len(group) > 1:
            number = _mentioning(connection, group)
        made[group] = _node([entities[id] for id in sorted(group)], names, stated, number)
    return {id: made[group] for id, group in groups.items()}


def _mentioning(connection: Connection, entities: Collection[int]) -> int:
    """How many documents name any of these rows."""
    m = graph_mentions.c
    if len(entities) <= SLICE:
        counted = select(func.count(m.document_id.distinct())).where(m.entity_id.in_(entities))
        return connection.execute(counted).scalar_one()
    found: set[int] = set()
    for ids in slices(entities):
        found.update(connection.execute(select(m.document_id).distinct().where(m.entity_id.in_(ids))).scalars())
    return len(found)


def _node(
    rows: Sequence[tuple[int, str, str]],
    names: dict[int, dict[str, int]],
    stated: dict[int, set[tuple[str, str]]],
    documents: int,
) -> Node:
    """The name most used comes first; for a work it is the shortest, as citations wrap a title in more words.

    One that only repeats an identifier comes last, one in capitals after the same in small letters.
    """
    used: dict[str, int] = defaultdict(int)
    bearers: dict[tuple[str, str], int] = defaultdict(int)
    for id, _, _ in rows:
        for name, number in names[id].items():
            used[name] += number
        for identifier in stated[id]:
            bearers[identifier] += 1
    spoken = {f"{scheme}:{value}".casefold() for scheme, value in bearers}
    types = sorted({type for _, _, type in rows}, key=lambda type: (RANK.get(type, len(RANK)), type))
    work = types[0] in ("Publication", "Study")
    ordered = sorted(
        used,
        key=lambda name: (
            name.casefold() in spoken,
            len(name) if work else -used[name],
            name.isupper(),
            len(name),
            name,
        ),
    )
    key = min(key for _, key, _ in rows)
    return Node(
        key=key,
        type=types[0],
        name=ordered[0] if ordered else key,
        types=tuple(types),
        names=tuple((name, used[name]) for name in ordered),
        identifiers=tuple(sorted(identifier for identifier in bearers if identifier[0] != NAME)),
        merged_by=tuple(sorted(identifier for identifier, number in bearers.items() if number > 1)),
        documents=documents,
        rows=frozenset(id for id, _, _ in rows),
    )
