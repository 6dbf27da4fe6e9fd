"""The Cypher export, read by a real Neo4j over bolt: what stands there is what the ledger's graph says."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from graph_knowledge import Item, proof, says
from isolated import environment
from penstock.graph_export import export
from penstock.ir import Claim, Entity, Identifier, Knowledge, StageContext
from penstock.ledger.database import Database
from penstock.ledger.graph import SqlGraph
from penstock.ledger.graph_schema import TABLES
from penstock.ledger.graph_stream import stream
from penstock.ledger.graph_view import Link, Node
from penstock.ledger.schema import documents, metadata

SERVICE = Path(__file__).parent / "services/neo4j.sh"
HOSTILE = (
    "O'Brien\\",
    "\\u0027}) DETACH DELETE n //",
    "`) DELETE n //",
    "bell\x07 and\nline",
    "a\u2028b",
    "\\\\u005c'",
    "😀 é",
)
LOAD = """
import json, sys, time
from pathlib import Path
from neo4j import GraphDatabase
from neo4j.exceptions import ServiceUnavailable

url, cypher, out = sys.argv[1:]
with GraphDatabase.driver(url) as driver:
    for _ in range(240):
        try:
            driver.verify_connectivity()
            break
        except ServiceUnavailable:
            time.sleep(0.5)
    told = []
    for _ in range(2):  # a second time changes nothing
        with driver.session() as session:
            for line in Path(cypher).read_text(encoding="utf-8").split(chr(10)):
                if line:
                    session.run(line).consume()
            nodes = session.run("MATCH (n) RETURN labels(n) AS labels, properties(n) AS facts")
            edges = session.run(
                "MATCH (a)-[r]->(b) "
                "RETURN a.key AS a, type(r) AS type, properties(r) AS facts, b.key AS b, b.value AS value"
            )
            found = {"nodes": nodes.data(), "edges": edges.data()}
            told.append(found)
Path(out).write_text(json.dumps(told))
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Neo4j of this test's own; it skips where there is none to be had, saying so, and fails in CI."""
    folder = tmp_path_factory.mktemp("neo4j")
    absent = [tool for tool in ("java", "mvn") if shutil.which(tool) is None]
    told = f"not installed: {', '.join(absent)}" if absent else ""
    if not absent:
        got = subprocess.run([SERVICE, "install", folder / "lib"], capture_output=True, text=True, check=False)
        told = "" if got.returncode == 0 else f"Maven gives no Neo4j: {(got.stdout + got.stderr)[-500:]}"
    if told:
        pytest.fail(told) if os.environ.get("CI") else pytest.skip(told)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([SERVICE, "run", folder / "lib", folder / "home", str(port)], stdout=log, stderr=log)
    try:
        yield f"bolt://127.0.0.1:{port}"
    finally:
        server.terminate()
        try:
            server.wait(60)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def hostile() -> Item:
    """Texts that mean something in Cypher, as names, predicate, type, values and quotes."""
    entities = tuple(Entity(key=str(n), type="Drug'`\\", name=name) for n, name in enumerate(HOSTILE))
    values = [Claim(subject="0", predicate="`is'\\ ", value=name, evidence=(proof(name),)) for name in HOSTILE]
    near = [Claim(subject=str(n), predicate="near", object="0", evidence=(proof(),)) for n in range(1, len(HOSTILE))]
    ctx = StageContext("t", "d0", "c", {"generation": 1, "token": 1})
    return ctx, Knowledge(entities=entities, claims=(*values, *near), extractor="by hand", version="1")


@pytest.mark.full
def test_neo4j_reads_what_the_ledger_says(url: str, tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/ledger.db")
    metadata.create_all(database.engine, (*TABLES, documents))
    mesh = (Identifier(scheme="mesh", value="D008687"),)
    many = [(f"drug {n % 40}", "treats", f"illness {n}") for n in range(200)]
    SqlGraph(database).replace(
        [
            says("d1", ("Metformin", "treats", "Diabetes"), identifiers={"Metformin": mesh}),
            says("d2", ("Glucophage", "treats", "diabetes"), *many, identifiers={"Glucophage": mesh}),
            hostile(),
        ]
    )
    parts = list(stream(database, "t"))
    nodes, links = [p for p in parts if isinstance(p, Node)], [p for p in parts if isinstance(p, Link)]
    export(database, "t", "cypher", tmp_path / "graph.cypher")
    python = environment(tmp_path / "venv", ["neo4j>=5.28,<7"])
    subprocess.run([python, "-c", LOAD, url, tmp_path / "graph.cypher", tmp_path / "told.json"], check=True)
    first, again = json.loads((tmp_path / "told.json").read_text())
    assert (len(again["nodes"]), len(again["edges"])) == (len(first["nodes"]), len(first["edges"]))

    entities = {node["facts"]["key"]: node for node in first["nodes"] if "Entity" in node["labels"]}
    assert {key: (node["facts"]["name"], node["facts"]["documents"]) for key, node in entities.items()} == {
        node.key: (node.name, node.documents) for node in nodes
    }
    assert Counter(label for node in first["nodes"] for label in node["labels"])["Value"] == len(HOSTILE)
    edges: dict[str, dict[str, Any]] = {edge["facts"]["id"]: edge for edge in first["edges"]}
    assert edges.keys() == {link.id for link in links}
    for link in links:
        edge = edges[link.id]
        assert (edge["a"], edge["facts"]["predicate"], edge["value"]) == (link.subject, link.predicate, link.value)
        assert link.object is None or edge["b"] == link.object
        quotes = [json.loads(trail)["quote"] for trail in edge["facts"]["evidence"]]
        assert quotes == [trail.quote for trail in link.evidence]
    (merged,) = (link for link in links if len(link.claims) == 2)
    assert edges[merged.id]["type"] == "TREATS"
    assert entities[merged.subject]["labels"] == ["Entity", "Drug"]
