"""CSV (RFC 4180, UTF-8): a folder of nodes.csv, edges.csv and evidence.csv, joined by `key` and `edge`."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from penstock.graph_export.records import EVIDENCE, link_record, node_record
from penstock.ledger.graph_view import Link, Node

FILES = {
    "nodes.csv": ("key", "type", "types", "name", "names", "identifiers", "merged_by", "documents"),
    "edges.csv": ("id", "subject", "predicate", "object", "value", "documents", "claims"),
    "evidence.csv": ("edge", *EVIDENCE, "locator"),
}
"""Each file's columns. Lists and objects are JSON; what is not there is an empty field."""


def write(out: Path, parts: Iterable[Node | Link]) -> None:
    out.mkdir()
    with ExitStack() as stack:
        writers = {}
        for name, columns in FILES.items():
            file = stack.enter_context((out / name).open("w", encoding="utf-8", newline=""))
            writers[name] = csv.DictWriter(file, columns, extrasaction="ignore")
            writers[name].writeheader()
        for part in parts:
            if isinstance(part, Node):
                writers["nodes.csv"].writerow(_flat(node_record(part)))
                continue
            record = link_record(part)
            writers["edges.csv"].writerow(_flat(record))
            writers["evidence.csv"].writerows(_flat({"edge": part.id, **trail}) for trail in record["evidence"])


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    return {
        name: json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value
        for name, value in record.items()
    }
