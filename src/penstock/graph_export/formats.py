"""Which formats there are, and the way from a ledger to a file of one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from penstock.errors import UsageError
from penstock.graph_export import cypher, graphml, jsonld, tables
from penstock.ledger.database import Database
from penstock.ledger.graph_stream import stream
from penstock.ledger.graph_view import Link, Node

Parts = Iterable[Node | Link]

FORMATS: dict[str, Callable[[Path, Parts], None]] = {
    "graphml": graphml.write,
    "csv": tables.write,
    "cypher": cypher.write,
    "jsonld": jsonld.write,
}
"""Each writes nodes and links, as they come, to a path that is not there yet: a file, for csv a folder of three."""


@dataclass(slots=True)
class Counts:
    """How much went out; `evidence` counts trails."""

    nodes: int = 0
    edges: int = 0
    evidence: int = 0


def export(database: Database, tenant: str, format: str, out: Path) -> Counts:
    """Write the tenant's whole graph to `out`, which appears when it is whole; a file there is replaced.

    Raises UsageError for a format there is not, a folder in the way that is
    not an earlier CSV export, or a place that can't be written.
    """
    if format not in FORMATS:
        raise UsageError(f"no format is called {format!r}", next_step=f"one of {', '.join(sorted(FORMATS))}")
    counts = Counts()
    try:
        with _whole(out) as beside:
            FORMATS[format](beside, _counted(stream(database, tenant), counts))
    except OSError as error:
        raise UsageError(f"can't write {out}: {error.strerror}") from None
    return counts


def _counted(parts: Parts, counts: Counts) -> Iterator[Node | Link]:
    for part in parts:
        if isinstance(part, Node):
            counts.nodes += 1
        else:
            counts.edges += 1
            counts.evidence += len(part.evidence)
        yield part


@contextmanager
def _whole(out: Path) -> Iterator[Path]:
    """A path beside `out` that takes its place when the block ends well, and is gone when it doesn't."""
    if out.is_dir() and {entry.name for entry in out.iterdir()} - set(tables.FILES):
        raise UsageError(f"{out} is a folder with other things in it", next_step="name another place with --out")
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        yield folder / out.name
        if out.is_dir():
            shutil.rmtree(out)
        os.replace(folder / out.name, out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
