"""The whole graph, written in each format and read back by that format's own reader."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import networkx
import pytest
import rdflib

from graph_knowledge import Item, proof, says
from penstock.errors import UsageError
from penstock.graph_export import FORMATS, Counts, export
from penstock.graph_export.cypher import quoted
from penstock.ir import Claim, Entity, Evidence, Identifier, Knowledge, Locator, StageContext
from penstock.ledger import graph_stream
from penstock.ledger.database import Database
from penstock.ledger.graph import SqlGraph
from penstock.ledger.graph_read import GraphReader
from penstock.ledger.graph_stream import stream
from penstock.ledger.graph_view import Link, Node

HOSTILE = (
    "O'Brien\\",
    "\\u0027}) DETACH DELETE n //",
    "</script><img src=x onerror=alert(1)>",
    'a "quoted", comma\nand line',
    "`) DELETE n //",
    "]]> & <x/>",
    "bell\x07 \x1b[31m",
    "=1+1",
    "line\u2028separator",
    "\\\\u005c'",
)
MESH = (Identifier(scheme="mesh", value="D008687"),)
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
OURS = "urn:penstock:vocabulary:"


def hostile(doc_id: str) -> Item:
    """Names, predicates, types and values that mean something in one format or another."""
    place = Locator(payload="b" * 64, pointer="/a'b", start=1, end=9)
    entities = [Entity(key=str(n), type="Drug'`\\", name=name) for n, name in enumerate(HOSTILE)]
    claims = [
        Claim(
            subject="0",
            predicate="`is'\\ ",
            value=name,
            attributes={"phase's": name},
            evidence=(Evidence(chunk_id=f"{doc_id}:0", field="f", start=1, end=9, quote=name, locator=place),),
        )
        for name in HOSTILE
    ]
    linked = [
        Claim(subject=str(n), predicate="near", object="0", evidence=(proof(name),))
        for n, name in enumerate(HOSTILE)
        if n
    ]
    ctx = StageContext("t", doc_id, "c", {"generation": 3, "token": 1})
    return ctx, Knowledge(entities=tuple(entities), claims=(*claims, *linked), extractor="by hand", version="1")


ITEMS = (
    says("d1", ("Metformin", "treats", "Diabetes"), identifiers={"Metformin": MESH}),
    says("d2", ("Glucophage", "treats", "diabetes"), identifiers={"Glucophage": MESH}),
    says("d3", ("Aspirin", "treats", "Headache"), ("Aspirin", "treats", "Fever"), ("Zinc", "treats", "Cold")),
    hostile("d4"),
)


@pytest.fixture
def whole(database: Database, graph: SqlGraph) -> tuple[list[Node], list[Link]]:
    """The nodes and links of ITEMS, and beside them another tenant's graph."""
    graph.replace(ITEMS)
    graph.replace([says("d9", ("Secret", "treats", "Nothing"), tenant="other")])
    parts = list(stream(database, "t"))
    return [p for p in parts if isinstance(p, Node)], [p for p in parts if isinstance(p, Link)]


def write(database: Database, format: str, out: Path) -> Path:
    export(database, "t", format, out)
    return out


def test_the_stream_is_what_the_reader_shows(whole: tuple[list[Node], list[Link]], reader: GraphReader) -> None:
    nodes, links = whole
    assert "Secret" not in {node.name for node in nodes}
    assert [node.key for node in nodes] == sorted({node.key for node in nodes})
    for node in nodes:
        assert node in reader.find("t", node.key)
        shown = reader.neighbourhood("t", node, limit=100).edges
        assert {edge.id for edge in shown} == {link.id for link in links if node.key in (link.subject, link.object)}
    for link in links:
        edge = reader.edge("t", link.id)
        assert (link.claims, link.evidence, link.documents) == (edge.claims, edge.evidence, edge.documents)
    assert [(link.subject, link.id) for link in links] == sorted((link.subject, link.id) for link in links)
    (treats,) = (link for link in links if len(link.claims) == 2)
    assert {trail.doc_id for trail in treats.evidence} == {"d1", "d2"}


def test_pages_and_parts_of_any_size_give_the_same(
    whole: tuple[list[Node], list[Link]],
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for size in (1, 3):
        monkeypatch.setattr(graph_stream, "PAGE", size)
        monkeypatch.setattr(graph_stream, "TRAILS", size)
        assert list(stream(database, "t")) == [*whole[0], *whole[1]]


@pytest.mark.parametrize("format", sorted(FORMATS))
def test_the_same_graph_gives_the_same_bytes_whatever_came_first(
    format: str,
    database: Database,
    graph: SqlGraph,
    tmp_path: Path,
) -> None:
    graph.replace(ITEMS)
    first = _bytes(write(database, format, tmp_path / "first"))
    graph.remove("t", [ctx.doc_id for ctx, _ in ITEMS])
    graph.replace(ITEMS[::-1])
    assert _bytes(write(database, format, tmp_path / "second")) == first


def _bytes(out: Path) -> list[bytes]:
    return [file.read_bytes() for file in (sorted(out.iterdir()) if out.is_dir() else [out])]


def test_graphml_is_read_by_networkx(
    whole: tuple[list[Node], list[Link]],
    database: Database,
    tmp_path: Path,
) -> None:
    nodes, links = whole
    read = networkx.read_graphml(write(database, "graphml", tmp_path / "g"), force_multigraph=True)
    for node in nodes:
        data = read.nodes[node.key]
        assert data["name"] == _in_xml(node.name)
        assert (data["type"], data["documents"]) == (node.type, node.documents)
        assert json.loads(data["merged_by"]) == [f"{scheme}:{value}" for scheme, value in node.merged_by]
    edges = {key: (source, target, data) for source, target, key, data in read.edges(keys=True, data=True)}
    assert edges.keys() == {link.id for link in links}
    for link in links:
        source, target, data = edges[link.id]
        assert (source, data["predicate"]) == (link.subject, link.predicate)
        if link.object is None:
            assert read.nodes[target] == {"type": "Value", "value": _in_xml(link.value or "")}
        else:
            assert target == link.object
        _same_evidence(json.loads(data["evidence"]), link)
    assert read.number_of_nodes() == len(nodes) + sum(link.object is None for link in links)


def _in_xml(text: str) -> str:
    """XML has no control characters."""
    return re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f]", "�", text)


def test_csv_is_read_by_csv(whole: tuple[list[Node], list[Link]], database: Database, tmp_path: Path) -> None:
    nodes, links = whole
    out = write(database, "csv", tmp_path / "g")
    read = {}
    for file in out.iterdir():
        with file.open(encoding="utf-8", newline="") as lines:
            read[file.name] = list(csv.DictReader(lines, strict=True))
    assert [(row["key"], row["name"], json.loads(row["names"])) for row in read["nodes.csv"]] == [
        (node.key, node.name, dict(node.names)) for node in nodes
    ]
    assert [(row["id"], row["subject"], row["object"], row["value"]) for row in read["edges.csv"]] == [
        (link.id, link.subject, link.object or "", link.value or "") for link in links
    ]
    expected = [(link.id, trail) for link in links for trail in link.evidence]
    for row, (edge, trail) in zip(read["evidence.csv"], expected, strict=True):
        assert (row["edge"], row["quote"], row["doc_id"], row["version"]) == (edge, trail.quote, trail.doc_id, "1")
        assert row["generation"] == str(trail.generation)
        assert (row["start"], row["end"]) == tuple("" if at is None else str(at) for at in (trail.start, trail.end))
        assert json.loads(row["locator"]) == trail.locator.model_dump(exclude_none=True)


def test_jsonld_is_read_by_rdflib(whole: tuple[list[Node], list[Link]], database: Database, tmp_path: Path) -> None:
    nodes, links = whole
    read = rdflib.Graph().parse(write(database, "jsonld", tmp_path / "g"), format="json-ld")
    label = rdflib.RDFS.label
    for node in nodes:
        assert str(read.value(rdflib.URIRef(f"urn:penstock:entity:{node.key}"), label)) == node.name
    for link in links:
        claim = rdflib.URIRef(f"urn:penstock:claim:{link.id}")
        assert str(read.value(claim, rdflib.URIRef(f"{RDF}subject"))) == f"urn:penstock:entity:{link.subject}"
        if link.object is None:
            assert str(read.value(claim, rdflib.URIRef(f"{OURS}value"))) == link.value
        else:
            assert str(read.value(claim, rdflib.URIRef(f"{RDF}object"))) == f"urn:penstock:entity:{link.object}"
        told = {
            (
                str(read.value(proof, rdflib.URIRef(f"{OURS}quote"))),
                str(read.value(proof, rdflib.URIRef(f"{OURS}doc_id"))),
            )
            for proof in read.objects(claim, rdflib.URIRef(f"{OURS}evidence"))
        }
        assert told == {(trail.quote, trail.doc_id) for trail in link.evidence}
        for trail in read.objects(claim, rdflib.URIRef(f"{OURS}evidence")):
            locator = json.loads(str(read.value(trail, rdflib.URIRef(f"{OURS}locator"))))
            assert locator in [one.locator.model_dump(exclude_none=True) for one in link.evidence]


STRING = r"'(?:[^'\\]|\\[\\'\"nrtbf]|\\u[0-9A-F]{4})*'"
VALUE = rf"(?:{STRING}|-?\d+|null|\[(?:{STRING}(?:, {STRING})*)?\])"
MAP = rf"\{{(?:\w+: {VALUE}(?:, \w+: {VALUE})*)?\}}"
KEY = rf"\{{key: {STRING}\}}"
STATEMENT = re.compile(
    rf"CREATE CONSTRAINT \w+ IF NOT EXISTS FOR \(n:\w+\) REQUIRE n\.key IS UNIQUE;"
    rf"|MERGE \(n:Entity {KEY}\) SET n:\w+, n \+= {MAP};"
    rf"|MATCH \(a:Entity {KEY}\) (?:MATCH \(b:Entity {KEY}\)|MERGE \(b:Value {KEY}\) SET b\.value = {STRING})"
    rf" MERGE \(a\)-\[r:\w+ \{{id: {STRING}\}}\]->\(b\) SET r \+= {MAP};"
)


def test_cypher_is_one_whole_statement_a_line_whatever_documents_say(
    whole: tuple[list[Node], list[Link]],
    database: Database,
    tmp_path: Path,
) -> None:
    nodes, links = whole
    lines = write(database, "cypher", tmp_path / "g").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not STATEMENT.fullmatch(line)] == []
    assert len(lines) == 2 + len(nodes) + len(links)
    names = {name for line in lines for name in re.findall(rf" name: ({STRING})", line)}
    assert {unquoted(name) for name in names} == {node.name for node in nodes}
    by_id = {link.id: link for link in links}
    for line in lines[2 + len(nodes) :]:
        (id,) = re.findall(rf"r:\w+ \{{id: ({STRING})", line)
        proofs = re.findall(STRING, re.findall(rf"evidence: (\[{STRING}(?:, {STRING})*\])", line)[-1])
        _same_evidence([json.loads(unquoted(proof)) for proof in proofs], by_id[unquoted(id)])


@pytest.mark.parametrize("text", [*HOSTILE, "", "plain", "\\u", "\\\\u0027", "\\\n", "\\\\\\"])
def test_a_quoted_text_is_one_string_also_when_unicode_escapes_are_read_first(text: str) -> None:
    assert re.fullmatch(STRING, quoted(text))
    assert unquoted(quoted(text)) == text
    early = re.sub(r"\\u([0-9A-F]{4})", lambda found: chr(int(found[1], 16)), quoted(text))
    assert re.fullmatch(r"'(?:[^'\\]|\\[\\'])*'", early, re.DOTALL)


def unquoted(literal: str) -> str:
    """What a Cypher reader makes of a string literal."""
    return re.sub(
        r"\\(?:u([0-9A-F]{4})|(.))",
        lambda found: chr(int(found[1], 16)) if found[1] else found[2],
        literal[1:-1],
    )


def _same_evidence(read: list[dict[str, Any]], link: Link) -> None:
    """Document, generation, place, extractor and version of each trail came through."""
    names = ("claim", "doc_id", "generation", "start", "end", "quote", "extractor", "version", "attributes")
    assert [tuple(one[name] for name in names) for one in read] == [
        tuple(getattr(trail, name) for name in names) for trail in link.evidence
    ]
    assert [one["locator"] for one in read] == [t.locator.model_dump(exclude_none=True) for t in link.evidence]


def test_an_export_replaces_an_earlier_one_and_nothing_else(
    whole: tuple[list[Node], list[Link]],
    database: Database,
    tmp_path: Path,
) -> None:
    nodes, links = whole
    out = tmp_path / "deep" / "g"
    for _ in range(2):
        evidence = sum(len(link.evidence) for link in links)
        assert export(database, "t", "csv", out) == Counts(len(nodes), len(links), evidence)
    (out / "mine.txt").write_text("kept")
    for format in FORMATS:
        with pytest.raises(UsageError, match="other things in it"):
            export(database, "t", format, out)
    assert (out / "mine.txt").read_text() == "kept"
    assert [entry.name for entry in out.parent.iterdir()] == ["g"]
    with pytest.raises(UsageError, match="no format is called 'gexf'"):
        export(database, "t", "gexf", out)


def test_an_empty_graph_is_a_whole_file_of_nothing(database: Database, tmp_path: Path) -> None:
    assert export(database, "t", "jsonld", tmp_path / "j") == Counts()
    assert json.loads((tmp_path / "j").read_text())["@graph"] == []
    assert networkx.read_graphml(write(database, "graphml", tmp_path / "g")).number_of_nodes() == 0
