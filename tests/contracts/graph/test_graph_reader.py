"""Reading the graph: what is one node, what is around it, and how an edge is followed back."""

from __future__ import annotations

import pytest
from sqlalchemy import insert

from graph_knowledge import Item, proof, says
from penstock.errors import NotFound
from penstock.ir import Claim, Entity, Evidence, Identifier, Knowledge, Locator, StageContext
from penstock.ledger.database import Database
from penstock.ledger.graph import SqlGraph
from penstock.ledger.graph_read import GraphReader
from penstock.ledger.schema import documents

MESH = (Identifier(scheme="mesh", value="D008687"),)
UNII = (Identifier(scheme="unii", value="9100L32L2N"),)


def entity(name: str, type: str, *identifiers: Identifier) -> Entity:
    return Entity(key=f"{type} {name}", type=type, name=name, identifiers=identifiers)


def states(doc_id: str, *entities: Entity, claims: tuple[Claim, ...] = (), tenant: str = "t") -> Item:
    ctx = StageContext(tenant, doc_id, "c", {"generation": 1, "token": 1})
    return ctx, Knowledge(entities=entities, claims=claims, extractor="by hand", version="1")


def test_a_name_is_found_however_it_is_spelled(graph: SqlGraph, reader: GraphReader) -> None:
    graph.replace([says("d1", ("Crohn’s Disease™", "is", "Bad")), says("d2", ("crohn's  disease", "is", "BAD"))])
    (node,) = reader.find("t", "CROHN'S DISEASE")
    assert (node.documents, node.type, len(node.rows)) == (2, "Drug", 1)
    assert dict(node.names) == {"Crohn’s Disease™": 1, "crohn's  disease": 1}


def test_names_that_share_an_identifier_are_one_node_and_it_says_why(graph: SqlGraph, reader: GraphReader) -> None:
    graph.replace(
        [
            states("d1", entity("Metformin", "Drug", *MESH, *UNII)),
            states("d2", entity("Metformin Hydrochloride", "Drug", *UNII)),
            states("d3", entity("Glucophage", "Drug", *MESH)),
            states("d4", entity("Glucophage", "Drug")),
            states("d5", entity("Aspirin", "Drug")),
        ]
    )
    (node,) = reader.find("t", "glucophage")
    assert {name for name, _ in node.names} == {"Metformin", "Metformin Hydrochloride", "Glucophage"}
    assert node.merged_by == (("mesh", "D008687"), ("unii", "9100L32L2N"))
    assert node.documents == 4
    assert reader.find("t", "unii:9100l32l2n") == reader.find("t", "D008687") == reader.find("t", node.key) == [node]


def test_a_merge_is_undone_when_the_document_that_stated_the_identifier_goes(
    graph: SqlGraph,
    reader: GraphReader,
) -> None:
    graph.replace(
        [
            states("d1", entity("Metformin", "Drug", *MESH, *UNII)),
            states("d2", entity("Metformin", "Drug", *MESH)),
            states("d3", entity("Metformin Hydrochloride", "Drug", *UNII)),
        ]
    )
    assert len(reader.find("t", "metformin")[0].rows) == 2
    graph.remove("t", ["d1"])
    assert len(reader.find("t", "metformin")[0].rows) == 1


def test_one_descriptor_is_one_node_whichever_type_a_source_took_it_for(graph: SqlGraph, reader: GraphReader) -> None:
    graph.replace(
        [
            states("d1", entity("Metformin", "Concept", *MESH)),
            states("d2", entity("Metformin", "Drug", *MESH)),
            states("d3", entity("Metformin", "Substance", *MESH)),
        ]
    )
    (node,) = reader.find("t", "Metformin")
    assert (node.type, node.types) == ("Drug", ("Drug", "Substance", "Concept"))


def test_a_study_and_a_publication_that_share_an_identifier_stay_two(graph: SqlGraph, reader: GraphReader) -> None:
    nct = Identifier(scheme="nct", value="NCT90000001")
    graph.replace([states("d1", entity("A trial", "Study", nct), entity("A paper", "Publication", nct))])
    assert [node.name for node in reader.find("t", "NCT90000001", "study")] == ["A trial"]
    assert len(reader.find("t", "nct90000001")) == 2


def test_a_work_is_called_by_its_title_and_not_by_those_who_cite_it(graph: SqlGraph, reader: GraphReader) -> None:
    doi, pmid = Identifier(scheme="doi", value="10.5555/X"), Identifier(scheme="pmid", value="1")
    graph.replace(
        [
            states("d1", entity("On sugar", "Publication", doi, pmid)),
            states("d2", entity("Doe J. On sugar. J Ex. 2020;1:2.", "Publication", pmid)),
            states("d3", entity("Doe J. On sugar. J Ex. 2020;1:2.", "Publication", pmid)),
            states("d4", entity("doi:10.5555/x", "Publication", doi)),
        ]
    )
    (node,) = reader.find("t", "doi:10.5555/X")
    assert (node.name, node.documents) == ("On sugar", 4)


def test_claims_about_merged_nodes_are_one_edge_with_the_evidence_of_all(graph: SqlGraph, reader: GraphReader) -> None:
    graph.replace(
        [
            says("d1", ("Metformin", "treats", "Diabetes"), identifiers={"Metformin": MESH}),
            says("d2", ("Glucophage", "treats", "diabetes"), identifiers={"Glucophage": MESH}),
        ]
    )
    around = reader.neighbourhood("t", reader.find("t", "Diabetes")[0])
    (edge,) = around.edges
    assert (edge.predicate, edge.documents, len(edge.claims)) == ("treats", 2, 2)
    assert {trail.doc_id for trail in edge.evidence} == {"d1", "d2"}
    assert {reader.edge("t", claim).id for claim in edge.claims} == {edge.id}
    assert reader.edge("t", edge.id[:8]) == edge


def test_an_edge_leads_back_to_document_place_and_extractor(
    database: Database,
    graph: SqlGraph,
    reader: GraphReader,
) -> None:
    found = Evidence(
        chunk_id="d1:0",
        field="condition",
        start=3,
        end=9,
        quote="a sent",
        locator=Locator(payload="b" * 64, xpath="/a/p[2]", start=0, end=6),
    )
    claim = Claim(subject="Drug A", predicate="helps", value="a lot", attributes={"phase": "3"}, evidence=(found,))
    graph.replace([states("d1", entity("A", "Drug"), claims=(claim,))])
    row = {"doc_id": "d1", "tenant": "t", "source": "files", "source_id": "NCT1", "kind": "k", "title": "A title"}
    more = {"content": b"", "generation": 1, "fingerprint": "", "pipeline": "", "created_at": 0, "updated_at": 0}
    with database.write() as connection:
        connection.execute(insert(documents).values(**row, **more))
    (edge,) = reader.neighbourhood("t", reader.find("t", "A")[0]).edges
    assert (edge.object, edge.value) == (None, "a lot")
    (trail,) = edge.evidence
    assert (trail.doc_id, trail.source, trail.source_id, trail.title) == ("d1", "files", "NCT1", "A title")
    assert (trail.chunk_id, trail.field, trail.start, trail.end, trail.quote) == ("d1:0", "condition", 3, 9, "a sent")
    assert (trail.locator, trail.attributes) == (found.locator, {"phase": "3"})
    assert (trail.generation, trail.extractor, trail.version) == (1, "by hand", "1")


def test_depth_reaches_further_and_the_limit_holds(graph: SqlGraph, reader: GraphReader) -> None:
    chain = [(f"n{number}", "leads to", f"n{number + 1}") for number in range(4)]
    entities = tuple(entity(f"n{number}", "Concept") for number in range(5))
    claims = tuple(
        Claim(subject=f"Concept {a}", predicate=p, object=f"Concept {b}", evidence=(proof(),)) for a, p, b in chain
    )
    graph.replace([states("d1", *entities, claims=claims)])
    (start,) = reader.find("t", "n0")
    for depth in (1, 2, 3, 4):
        around = reader.neighbourhood("t", start, depth=depth)
        assert [edge.subject.name for edge in around.edges] == [f"n{number}" for number in range(depth)]
    assert not around.left_out
    assert len(reader.neighbourhood("t", start, depth=4, limit=2).edges) == 2


def test_a_small_limit_still_shows_every_predicate(graph: SqlGraph, reader: GraphReader) -> None:
    many = [("A", "aids", f"condition {number}") for number in range(30)]
    graph.replace([says("d1", *many, ("A", "worsens", "pain"))])
    around = reader.neighbourhood("t", reader.find("t", "A")[0], limit=3)
    assert [edge.predicate for edge in around.edges] == ["aids", "worsens", "aids"]
    assert around.left_out


def test_an_edge_that_is_shown_is_whole_however_much_is_around_its_node(graph: SqlGraph, reader: GraphReader) -> None:
    said = [("hub", "aids", f"condition {number}") for number in range(50)]
    best = ("hub", "aids", "flu")
    grippe = Identifier(scheme="mesh", value="D007251")
    graph.replace(
        [
            says("d1", *said, best, identifiers={"flu": (grippe,)}),
            says("d2", best),
            says("d3", ("hub", "aids", "zz grippe"), identifiers={"zz grippe": (grippe,)}),
        ]
    )
    (hub,) = reader.find("t", "hub")
    around = reader.neighbourhood("t", hub, limit=1)
    (edge,) = around.edges
    assert (edge.documents, len(edge.claims)) == (3, 2)
    assert {trail.doc_id for trail in edge.evidence} == {"d1", "d2", "d3"}
    assert around.left_out
    whole = reader.neighbourhood("t", hub, limit=51)
    assert (len(whole.edges), whole.left_out) == (51, False)
    assert whole.edges[0] == edge


def test_what_is_merged_into_edges_that_are_shown_is_not_left_out(graph: SqlGraph, reader: GraphReader) -> None:
    mesh = {f"name {number}": MESH for number in range(9)}
    graph.replace([says("d1", *(("hub", "aids", name) for name in mesh), identifiers=mesh)])
    around = reader.neighbourhood("t", reader.find("t", "hub")[0], limit=1)
    assert ([len(edge.claims) for edge in around.edges], around.left_out) == ([9], False)


def test_tenants_see_only_their_own(graph: SqlGraph, reader: GraphReader) -> None:
    graph.replace(
        [
            says("d1", ("Metformin", "treats", "Diabetes"), tenant="a", identifiers={"Metformin": MESH}),
            says("d1", ("Glucophage", "treats", "Diabetes"), tenant="b", identifiers={"Glucophage": MESH}),
        ]
    )
    (node,) = reader.find("a", "D008687")
    assert [name for name, _ in node.names] == ["Metformin"]
    assert reader.find("a", "Glucophage") == reader.find("c", "Metformin") == []
    (edge,) = reader.neighbourhood("a", node).edges
    assert edge.documents == 1
    with pytest.raises(NotFound):
        reader.edge("c", edge.id)


def test_an_unknown_or_ambiguous_edge_says_what_there_is(graph: SqlGraph, reader: GraphReader) -> None:
    graph.replace([says("d1", *[("A", "aids", f"condition {number}") for number in range(64)])])
    ids = [edge.id for edge in reader.neighbourhood("t", reader.find("t", "A")[0], limit=64).edges]
    shared = next(letter for letter in "abcdefghijklmnopqrstuvwxyz234567" if sum(id[0] == letter for id in ids) > 1)
    with pytest.raises(NotFound, match="several"):
        reader.edge("t", shared)
    for nothing in ("", "  ", "%", "not an id"):
        with pytest.raises(NotFound, match="no claim has that id"):
            reader.edge("t", nothing)


def test_names_near_one_that_nothing_is_called(graph: SqlGraph, reader: GraphReader) -> None:
    graph.replace([says("d1", ("Metformin", "treats", "Type 2 diabetes"), ("Aspirin", "treats", "Pain"))])
    assert reader.suggest("t", "metfromin") == ["Metformin"]
    assert reader.suggest("t", "diabetes") == ["Type 2 diabetes"]
    assert reader.suggest("t", "100%") == reader.suggest("t", "") == reader.suggest("other", "metformin") == []


def test_everything_sharing_one_identifier_is_read_without_end_or_error(graph: SqlGraph, reader: GraphReader) -> None:
    graph.replace([states("d1", *(entity(f"name {number}", "Drug", *MESH) for number in range(300)))])
    (node,) = reader.find("t", "name 7")
    assert (len(node.rows), node.documents) == (300, 1)


def test_a_keyword_without_type_is_the_drug_of_that_name_but_a_person_is_not(
    graph: SqlGraph, reader: GraphReader
) -> None:
    graph.replace(
        [
            states("d1", entity("Semaglutide", "Drug", *UNII)),
            states("d2", entity("semaglutide", "Concept")),
            states("d3", entity("Semaglutide", "Person")),
        ]
    )
    nodes = reader.find("t", "semaglutide")
    assert [(node.type, node.documents) for node in nodes] == [("Drug", 2), ("Person", 1)]
    assert nodes[0].merged_by == (("name", "semaglutide"),)
    assert nodes[0].identifiers == (("unii", "9100L32L2N"),)
