"""The graph's export takes the same memory however big the graph is."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from graph_knowledge import Item, says
from penstock.graph_export import FORMATS, export
from penstock.ir import Identifier
from penstock.ledger import graph_stream
from penstock.ledger.database import Database
from penstock.ledger.graph import SqlGraph
from penstock.ledger.graph_schema import TABLES
from penstock.ledger.schema import documents, metadata

FORGIVEN_MIB = 20
"""How much more ten times the claims may take: SQLite's page cache (16 MiB) fills up."""
EXPORT = r"""
import re, sys
from pathlib import Path
from penstock.graph_export import export
from penstock.ledger.database import Database

url, format, out = sys.argv[1:]
counts = export(Database(url), "t", format, Path(out))
print(counts.edges, int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) // 1024)
"""


@pytest.fixture
def database(tmp_path: Path) -> Database:
    database = Database(f"sqlite:///{tmp_path}/ledger.db")
    metadata.create_all(database.engine, (*TABLES, documents))
    return database


def merged_around_a_hub(numbers: range) -> list[Item]:
    """Ten claims a document: one of a drug by each of two names that share an identifier, and eight of a hub."""
    items = []
    for n in numbers:
        names = {name: (Identifier(scheme="mesh", value=f"D{n}"),) for name in (f"drug {n}", f"brand {n}")}
        triples = [(name, "treats", f"illness {n}") for name in names]
        hub = [("the hub", "is near", f"illness {n} {k}") for k in range(8)]
        items.append(says(f"d{n}", *triples, *hub, identifiers=names))
    return items


def test_ten_times_the_graph_takes_no_more_of_pythons_memory(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph_stream, "PAGE", 50)
    monkeypatch.setattr(graph_stream, "TRAILS", 50)
    graph = SqlGraph(database)
    graph.replace(merged_around_a_hub(range(5)))
    export(database, "t", "jsonld", tmp_path / "g")  # so that what is made once is made
    peaks = []
    for numbers in (range(5, 30), range(30, 300)):
        graph.replace(merged_around_a_hub(numbers))
        tracemalloc.start()
        export(database, "t", "jsonld", tmp_path / "g")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 700_000, peaks  # the hub's 2,400 claims alone would be twice that


@pytest.mark.full
def test_a_million_claims_take_no_more_memory_than_a_hundred_thousand(database: Database, tmp_path: Path) -> None:
    graph = SqlGraph(database)

    def peak(format: str, claims: int) -> int:
        """MiB that a process of its own takes to export so many."""
        command = [sys.executable, "-c", EXPORT, str(database.url), format, str(tmp_path / f"out.{format}")]
        edges, mib = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.split()
        assert int(edges) == claims * 9 // 10  # what is said of a drug by both names is one edge
        return int(mib)

    fill(graph, range(10_000))
    few = {format: peak(format, 100_000) for format in FORMATS}
    assert max(few.values()) - min(few.values()) <= FORGIVEN_MIB, few
    fill(graph, range(10_000, 100_000))
    many = peak("jsonld", 1_000_000)  # four minutes; a format writes each part as it comes
    print(few, many)
    assert many - few["jsonld"] <= FORGIVEN_MIB, (few, many)


def fill(graph: SqlGraph, numbers: range) -> None:
    for start in range(numbers.start, numbers.stop, 500):
        graph.replace(merged_around_a_hub(range(start, min(start + 500, numbers.stop))))
