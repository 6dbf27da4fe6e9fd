"""Names that mean another thing in some documents: set apart, joined again, and the same graph whatever came first."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from sqlalchemy import select

from graph_knowledge import Item, proof, says
from penstock.errors import NotFound
from penstock.graph_export import export
from penstock.ir import Claim, Entity, Identifier, Knowledge, StageContext
from penstock.ledger.database import Database
from penstock.ledger.graph import SqlGraph
from penstock.ledger.graph_read import GraphReader
from penstock.ledger.graph_schema import graph_apart
from penstock.ledger.graph_view import Apart

CAS = (Identifier(scheme="cas", value="7439-97-6"),)
TREATS = ("Mercury", "treats", "Syphilis")
ORBITS = ("mercury", "orbits", "Sun")
MELTS = ("Mercury", "melts at", "Cold")
SKY = ("d1", "d2")
ITEMS = [
    says("d1", ORBITS, ("Mercury", "is near", "Venus")),
    says("d2", ORBITS),
    says("d3", TREATS, MELTS, identifiers={"Mercury": CAS}),
    says("d4", TREATS, ORBITS),
]


def of_type(doc_id: str, type: str, name: str, *identifiers: Identifier) -> Item:
    entity = Entity(key="x", type=type, name=name, identifiers=identifiers)
    claim = Claim(subject="x", predicate="is", value=f"{type} of {doc_id}", evidence=(proof(),))
    ctx = StageContext("t", doc_id, "c", {"generation": 1, "token": 1})
    return ctx, Knowledge(entities=(entity,), claims=(claim,), extractor="by hand", version="1")


def called(reader: GraphReader, name: str = "mercury") -> dict[str, set[str]]:
    """The nodes of this name, by how they are shown, with the documents behind their edges."""
    return {
        node.name: {trail.doc_id for edge in reader.neighbourhood("t", node).edges for trail in edge.evidence}
        for node in reader.find("t", name)
    }


def test_a_name_means_another_thing_in_some_documents(graph: SqlGraph, reader: GraphReader) -> None:
    graph.replace(ITEMS)
    assert called(reader) == {"Mercury": {"d1", "d2", "d3", "d4"}}
    graph.apart("t", "MERCURY", "planet", SKY)
    assert called(reader) == {"Mercury": {"d3", "d4"}, "Mercury [planet]": {"d1", "d2"}}
    (sun,) = reader.find("t", "Sun")
    edges = {edge.subject.name: edge for edge in reader.neighbourhood("t", sun).edges}
    assert {name: {trail.doc_id for trail in edge.evidence} for name, edge in edges.items()} == {
        "Mercury [planet]": {"d1", "d2"},
        "Mercury": {"d4"},
    }
    (planet,) = reader.find("t", "Mercury [Planet]")
    assert edges["Mercury [planet]"].subject == planet
    assert reader.merges(planet) == []


def test_every_node_of_the_name_says_where_it_was_set_apart(graph: SqlGraph, reader: GraphReader) -> None:
    graph.replace(ITEMS)
    graph.apart("t", "Mercury", "planet", SKY)
    graph.apart("t", "Mercury", "god", ["d4"], "Drug")
    told = [Apart("mercury", "", "planet", SKY), Apart("mercury", "Drug", "god", ("d4",))]
    assert [reader.apart("t", node) for node in reader.find("t", "mercury")] == [told] * 3
    assert reader.apart("t", reader.find("t", "Sun")[0]) == reader.apart("other", reader.find("t", "mercury")[0]) == []


def test_joining_again_leaves_the_very_graph_there_was(graph: SqlGraph, database: Database, tmp_path: Path) -> None:
    def exported() -> str:
        export(database, "t", "jsonld", tmp_path / "graph")
        return (tmp_path / "graph").read_text()

    graph.replace(ITEMS)
    before, counts, text = graph.digest(), graph.counts(), exported()
    graph.apart("t", "Mercury", "planet", ["d1", "d2", "d4"])
    names = [node["name"] for node in json.loads(exported())["@graph"] if node["@type"] == "Entity"]
    assert {name for name in names if "erc" in name} == {"Mercury", "Mercury [planet]"}
    assert graph.rejoin("t", "mercury", ["d4"]) == 1
    assert graph.rejoin("t", "mercury", type="Drug") == 0
    assert graph.rejoin("t", "mercury") == 2
    assert graph.rejoin("t", "mercury") == 0
    assert (graph.digest(), graph.counts(), exported()) == (before, counts, text)


@pytest.mark.parametrize("seed", range(4))
def test_the_graph_is_the_same_whichever_came_first(graph: SqlGraph, seed: int) -> None:
    """Documents, what is said of their names, second generations and retirements in any order."""
    graph.replace(ITEMS)
    graph.apart("t", "Mercury", "planet", SKY)
    graph.apart("t", "sun", "newspaper", ["d2", "d4"])
    whole, counts = graph.digest(), graph.counts()
    graph.remove("t", ["d1", "d2", "d3", "d4"])
    for sense in ("mercury", "sun"):
        graph.rejoin("t", sense)
    steps = [lambda item=item: graph.replace([item]) for item in ITEMS]
    random.Random(seed).shuffle(steps)
    for step in steps[:2]:
        step()
    there = [doc_id for doc_id in ("d1", "d2", "d4") if graph.standing("t", doc_id)]
    graph.apart("t", "Mercury", "planet", [doc_id for doc_id in there if doc_id in SKY])
    for step in steps[1:]:
        step()
    graph.apart("t", "sun", "star", ["d2", "d4"])
    graph.apart("t", "sun", "newspaper", ["d4", "d2"])
    graph.apart("t", "Mercury", "planet", SKY)
    graph.remove("t", ["d2", "d4"])
    graph.replace([(ctx, knowledge) for ctx, knowledge in ITEMS[::-1]])
    assert (graph.digest(), graph.counts()) == (whole, counts)


def test_what_a_document_says_later_is_set_apart_too(graph: SqlGraph, reader: GraphReader) -> None:
    graph.replace(ITEMS)
    receipt = graph.standing("t", "d1")
    graph.apart("t", "Mercury", "planet", ["d1"])
    assert graph.standing("t", "d1") == receipt
    graph.replace([says("d1", ("Mercury", "has", "Craters"), generation=2)])
    assert called(reader)["Mercury [planet]"] == {"d1"}
    graph.remove("t", ["d1"])
    assert "Mercury [planet]" not in called(reader)
    graph.replace(ITEMS[:1])
    assert called(reader)["Mercury [planet]"] == {"d1"}
    assert graph.standing("t", "d1") == receipt


def test_types_of_one_name_are_set_apart_one_by_one(graph: SqlGraph, reader: GraphReader) -> None:
    """Within the vocabulary family, rows of several types are one node by their name alone."""
    graph.replace([of_type("d1", "Drug", "Cold"), of_type("d2", "Condition", "cold"), of_type("d3", "Concept", "Cold")])
    assert called(reader, "cold") == {"Cold": {"d1", "d2", "d3"}}
    graph.apart("t", "cold", "temperature", ["d3"], "Concept")
    graph.apart("t", "cold", "temperature", ["d1"])
    assert called(reader, "cold") == {"cold": {"d2"}, "Cold [temperature]": {"d1", "d3"}}
    (both,) = reader.find("t", "cold [temperature]")
    assert [(merge.scheme, merge.value) for merge in reader.merges(both)] == [("name", "cold [temperature]")]
    assert reader.merges(both)[0].entities == (("Concept", "Cold [temperature]"), ("Drug", "Cold [temperature]"))


def test_an_identifier_still_makes_one_of_what_was_set_apart(graph: SqlGraph, reader: GraphReader) -> None:
    graph.replace([*ITEMS, says("d5", TREATS, identifiers={"Mercury": CAS})])
    graph.apart("t", "Mercury", "metal", ["d5"])
    (node,) = reader.find("t", "mercury")
    assert {name for name, _ in node.names} == {"Mercury", "mercury", "Mercury [metal]"}
    (why,) = reader.merges(node)
    assert (why.scheme, why.documents) == ("cas", ("d3", "d5"))
    assert {name for _, name in why.entities} == {"Mercury", "Mercury [metal]"}


def test_an_individual_that_has_an_identifier_is_not_known_by_its_name(graph: SqlGraph) -> None:
    orcid = Identifier(scheme="orcid", value="0000-0001-0000-0001")
    graph.replace([of_type("d1", "Person", "A. Smith", orcid), of_type("d2", "Person", "A. Smith")])
    with pytest.raises(NotFound, match=r"d1 calls nothing that is known by its name 'A\. Smith'"):
        graph.apart("t", "A. Smith", "the surgeon", ["d2", "d1"])
    graph.apart("t", "A. Smith", "the surgeon", ["d2"])
    assert graph.counts()["entities"] == 2


@pytest.mark.parametrize(("doc_id", "name", "type"), [("d9", "Mercury", ""), ("d3", "Sun", ""), ("d4", "sun", "Drug")])
def test_a_document_that_says_no_such_thing_is_refused_and_nothing_changes(
    graph: SqlGraph, database: Database, doc_id: str, name: str, type: str
) -> None:
    graph.replace([*ITEMS, of_type("d2", "Drug", name)])
    before = graph.digest()
    with pytest.raises(NotFound, match=f"{doc_id} calls no"):
        graph.apart("t", name, "other", ["d2", doc_id], type)
    assert graph.digest() == before
    with database.read() as connection:
        assert connection.execute(select(graph_apart)).all() == []


def test_tenants_have_senses_of_their_own(graph: SqlGraph, reader: GraphReader) -> None:
    graph.replace([says("d1", ORBITS, tenant="a"), says("d1", ORBITS, tenant="b")])
    graph.apart("a", "Mercury", "planet", ["d1"])
    assert graph.rejoin("b", "Mercury") == 0
    graph.replace([says("d1", ORBITS, tenant="a"), says("d1", ORBITS, tenant="b")])
    names = [[node.name for node in reader.find(tenant, "mercury")] for tenant in "ab"]
    assert names == [["mercury [planet]"], ["mercury"]]


@pytest.mark.parametrize("name", ["x [y]", "[[]]", "", "  ", "δ" * 3000, "a [b", "orcid:1 [z]", "?!"])
def test_any_name_is_set_apart_and_joined_again(graph: SqlGraph, reader: GraphReader, name: str) -> None:
    graph.replace([says("d1", (name, "is", "Odd")), says("d2", (name, "is", "Odd"))])
    before = graph.digest()
    graph.apart("t", name, "Other", ["d2"])
    assert len(reader.find("t", name)) == 2
    graph.apart("t", name, "yet another", ["d2"])
    assert graph.counts()["entities"] == 3
    assert graph.rejoin("t", name) == 1
    assert graph.digest() == before


def test_a_name_of_colons_alone_is_taken_for_an_identifier_and_refused(graph: SqlGraph) -> None:
    graph.replace([says("d1", ("::", "is", "Odd"))])
    with pytest.raises(NotFound, match="d1 calls nothing that is known by its name '::'"):
        graph.apart("t", "::", "other", ["d1"])
