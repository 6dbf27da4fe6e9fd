"""What the graph looks like when read: merged nodes, and edges with the trail behind them."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.ir import Locator


@dataclass(frozen=True, slots=True)
class Node:
    """Entity rows read as one.

    `key` is the least of the rows' keys, `type` the most telling of their `types`; `names` come with how many documents
    use them, the shown one first; a name that is set apart comes with its sense, `Mercury [planet]`. `merged_by` is
    what two or more of the rows share: identifiers, and names under the scheme "name". `rows` are row ids.
    """

    key: str
    type: str
    name: str
    types: tuple[str, ...]
    names: tuple[tuple[str, int], ...]
    identifiers: tuple[tuple[str, str], ...]
    merged_by: tuple[tuple[str, str], ...]
    documents: int
    rows: frozenset[int]


@dataclass(frozen=True, slots=True)
class Trail:
    """One evidence: which document says so (as it stands, by which extractor), and where."""

    claim: str
    doc_id: str
    source: str | None
    source_id: str | None
    title: str | None
    generation: int
    extractor: str
    version: str
    chunk_id: str | None
    field: str | None
    start: int | None
    end: int | None
    quote: str
    locator: Locator
    attributes: dict[str, str]


@dataclass(frozen=True, slots=True)
class Merge:
    """Why entity rows are one node: what two or more of them share.

    `scheme` and `value` are an identifier, or "name" and the folded name; `entities` the (type, name) of those that
    share it; `documents` the ids of the first documents that state the identifier (none for a name).
    """

    scheme: str
    value: str
    entities: tuple[tuple[str, str], ...]
    documents: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Apart:
    """In `documents` (the first ids) the folded `name` of a type ("": of any) was said to be another thing: `sense`."""

    name: str
    type: str
    sense: str
    documents: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Link:
    """An edge by the keys of its nodes: see Edge."""

    id: str
    claims: tuple[str, ...]
    subject: str
    predicate: str
    object: str | None
    value: str | None
    documents: int
    evidence: tuple[Trail, ...]


@dataclass(frozen=True, slots=True)
class Edge:
    """subject —predicate→ object or value: the claims that say so about the nodes' rows, read as one.

    `id` is the least of the claims' keys; any of `claims` finds the same edge. `evidence` may be a selection,
    `documents` is how many there are in all.
    """

    id: str
    claims: tuple[str, ...]
    subject: Node
    predicate: str
    object: Node | None
    value: str | None
    documents: int
    evidence: tuple[Trail, ...]


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """`edges` around `node`, nearest first; `left_out` True: there are more than were asked for."""

    node: Node
    edges: tuple[Edge, ...]
    left_out: bool


def describe(locator: Locator) -> str:
    """A locator in words: which value of the payload, and which characters (or bytes) of it."""
    if locator.page is not None:
        box = f", box {', '.join(f'{side:.3f}' for side in locator.box)}" if locator.box else ""
        return f"page {locator.page}{box}"
    span = "" if locator.start is None else f" {locator.start}–{'' if locator.end is None else locator.end}"
    if locator.pointer is not None:
        return f"JSON pointer {locator.pointer or '(whole document)'}" + (f", characters{span}" if span else "")
    if locator.xpath is not None:
        return f"XPath {locator.xpath}" + (f", characters{span}" if span else "")
    return f"bytes{span}" if span else "the whole payload"
