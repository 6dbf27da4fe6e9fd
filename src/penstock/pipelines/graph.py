"""Directed graphs given as node → the nodes it depends on. Nothing here recurses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from heapq import heapify, heappop, heappush

Graph = Mapping[str, Iterable[str]]


def in_order(graph: Graph) -> list[str]:
    """Every node after those it depends on, in the mapping's order where that leaves a choice.

    Nodes on a circle, or behind one, are left out.
    """
    rank = {node: index for index, node in enumerate(graph)}
    waiting = {node: set(parents) for node, parents in graph.items()}
    ready = [rank[node] for node, parents in waiting.items() if not parents]
    heapify(ready)
    names, children, ordered = list(graph), _children(graph), []
    while ready:
        node = names[heappop(ready)]
        ordered.append(node)
        for child in children[node]:
            waiting[child].discard(node)
            if not waiting[child]:
                heappush(ready, rank[child])
    return ordered


def circles(graph: Graph) -> list[list[str]]:
    """One way round for each group of nodes that depend on one another, the first node repeated at the end.

    Read in the direction of flow: each node is depended on by the next.
    """
    left = set(graph) - set(in_order(graph))
    found = []
    for start in graph:
        if start not in left:
            continue
        way, node = [start], start
        seen = {start: 0}
        while True:
            parents = [parent for parent in graph[node] if parent in left]
            if not parents:
                left -= set(way)
                break
            node = parents[0]
            if node in seen:
                circle = way[seen[node] :]
                found.append([node, *reversed(circle)])
                left -= set(way)
                break
            seen[node] = len(way)
            way.append(node)
    return found


def ancestors_of(graph: Graph) -> dict[str, set[str]]:
    """Of each node, all that come before it. The graph has no circles."""
    found: dict[str, set[str]] = {}
    for node in in_order(graph):
        parents = set(graph[node])
        found[node] = parents.union(*(found[parent] for parent in parents))
    return found


def _children(graph: Graph) -> dict[str, list[str]]:
    children: dict[str, list[str]] = {node: [] for node in graph}
    for node, parents in graph.items():
        for parent in set(parents):
            children[parent].append(node)
    return children
