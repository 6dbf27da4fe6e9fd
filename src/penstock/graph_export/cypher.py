"""Cypher for Neo4j 5 and its like: one statement a line, each MERGEs, so that running the file again changes nothing.

Nodes are `:Entity` with their type as a second label, literals `:Value`; an edge's type is its predicate in capitals,
its evidence a list of JSON texts. Labels and types are made of letters, digits and underscores alone; everything else
that documents say stands within quotes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from penstock.graph_export.records import link_record, node_record
from penstock.ledger.graph_view import Link, Node

CONSTRAINTS = "".join(
    f"CREATE CONSTRAINT penstock_{label.lower()} IF NOT EXISTS FOR (n:{label}) REQUIRE n.key IS UNIQUE;\n"
    for label in ("Entity", "Value")
)
_SPECIAL = re.compile(r"\\u|[\\'\x00-\x1f\x7f-\x9f\u2028\u2029]")


def write(out: Path, parts: Iterable[Node | Link]) -> None:
    with out.open("w", encoding="utf-8", newline="\n") as file:
        file.write(CONSTRAINTS)
        file.writelines(_node(part) if isinstance(part, Node) else _edge(part) for part in parts)


def _node(node: Node) -> str:
    record = node_record(node)
    record["names"] = json.dumps(record["names"], ensure_ascii=False)
    facts = _map(record)
    return f"MERGE (n:Entity {{key: {quoted(node.key)}}}) SET n:{_word(node.type)}, n += {facts};\n"


def _edge(link: Link) -> str:
    record = link_record(link)
    names = ("predicate", "documents", "claims")
    facts: dict[str, Any] = {name: record[name] for name in names}
    facts["evidence"] = [json.dumps(trail, ensure_ascii=False) for trail in record["evidence"]]
    start = f"MATCH (a:Entity {{key: {quoted(link.subject)}}})"
    if link.object is not None:
        end = f"MATCH (b:Entity {{key: {quoted(link.object)}}})"
    else:
        end = f"MERGE (b:Value {{key: {quoted(link.id)}}}) SET b.value = {_literal(link.value)}"
    relation = f"MERGE (a)-[r:{_word(link.predicate).upper()} {{id: {quoted(link.id)}}}]->(b)"
    return f"{start} {end} {relation} SET r += {_map(facts)};\n"


def quoted(text: str) -> str:
    """A Cypher string literal, on one line."""
    return f"'{_SPECIAL.sub(_escape, text)}'"


def _escape(special: re.Match[str]) -> str:
    """Control characters, and whatever some reader takes for the end of a line, go by their codes.

    So does a `u` after a backslash: readers that take Unicode escapes before they look for quotes must find none.
    """
    text = special.group()
    if text == "\\u":
        return "\\\\\\u0075"
    return f"\\{text}" if text in "\\'" else f"\\u{ord(text):04X}"


def _literal(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    return quoted(value) if isinstance(value, str) else json.dumps(value)


def _map(record: dict[str, Any]) -> str:
    return f"{{{', '.join(f'{name}: {_literal(value)}' for name, value in record.items())}}}"


def _word(text: str) -> str:
    word = re.sub("[^A-Za-z0-9_]+", "_", text)
    return word if word[:1].isalpha() else f"X{word}"
