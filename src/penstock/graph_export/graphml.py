"""GraphML (http://graphml.graphdrawing.org), written by lxml as it goes.

A literal is a node of type Value, just before its edge. GraphML's values are scalars: lists and objects are JSON. What
XML has no character for (control characters) is U+FFFD.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lxml import etree

from penstock.graph_export.records import link_record, node_record
from penstock.ledger.graph_view import Link, Node

NAMESPACE = "http://graphml.graphdrawing.org/xmlns"
NODE = ("type", "types", "name", "names", "identifiers", "merged_by", "documents", "value")
EDGE = ("predicate", "documents", "claims", "evidence")
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write(out: Path, parts: Iterable[Node | Link]) -> None:
    with out.open("wb") as file, etree.xmlfile(file, encoding="utf-8") as xml:
        xml.write_declaration()
        with xml.element("graphml", nsmap={None: NAMESPACE}):
            for kind, names in (("node", NODE), ("edge", EDGE)):
                for name in names:
                    told = {"id": f"{kind}.{name}", "for": kind, "attr.name": name}
                    xml.write(etree.Element("key", {**told, "attr.type": "int" if name == "documents" else "string"}))
            with xml.element("graph", {"id": "penstock", "edgedefault": "directed"}):
                for part in parts:
                    for element in _elements(part):
                        xml.write(element)
                        xml.write("\n")


def _elements(part: Node | Link) -> list[etree._Element]:
    if isinstance(part, Node):
        return [_element("node", {"id": part.key}, NODE, node_record(part))]
    target = part.object if part.object is not None else f"value:{part.id}"
    ends = {"id": part.id, "source": part.subject, "target": target}
    edge = _element("edge", ends, EDGE, link_record(part))
    if part.object is not None:
        return [edge]
    return [_element("node", {"id": target}, NODE, {"type": "Value", "value": part.value}), edge]


def _element(kind: str, attributes: dict[str, str], names: Iterable[str], record: dict[str, Any]) -> etree._Element:
    element = etree.Element(kind, attributes)
    for name in names:
        if (value := record.get(name)) is not None:
            data = etree.SubElement(element, "data", key=f"{kind}.{name}")
            text = json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else str(value)
            data.text = _NOT_XML.sub("�", text)
    return element
