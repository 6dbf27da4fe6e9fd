"""`penstock graph`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import typer
from click.testing import Result
from sqlalchemy import insert
from typer.testing import CliRunner

from penstock.cli.graph import register
from penstock.errors import NotFound, UsageError
from penstock.ir import Claim, Entity, Evidence, Identifier, Knowledge, Locator, StageContext
from penstock.ledger.database import Database
from penstock.ledger.graph import SqlGraph
from penstock.ledger.migrate import migrate
from penstock.ledger.schema import documents

SENTENCE = "Metformin [bold]lowers[/bold] glucose in type 2 diabetes."


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SqlGraph:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    database = Database(f"sqlite:///{tmp_path}/ledger.db")
    migrate(database)
    graph = SqlGraph(database)
    field = Evidence(field="condition", quote="Diabetes", locator=Locator(payload="a" * 64, pointer="/conditions/0"))
    place = Locator(payload="a" * 64, pointer="/summary", start=10, end=67)
    sentence = Evidence(chunk_id="d1:2", field="condition", start=10, end=67, quote=SENTENCE, locator=place)
    mesh = (Identifier(scheme="mesh", value="D008687"),)
    entities = (
        Entity(key="d", type="Drug", name="Metformin", identifiers=mesh),
        Entity(key="g", type="Drug", name="Glucophage", identifiers=mesh),
        Entity(key="c", type="Condition", name="Diabetes"),
        Entity(key="s", type="Study", name="A study"),
    )
    claims = (
        Claim(subject="d", predicate="investigated_for", object="c", attributes={"phase": "3"}, evidence=(sentence,)),
        Claim(subject="s", predicate="studies", object="c", evidence=(field,)),
        Claim(subject="d", predicate="has_warning", value="Take care.", evidence=(field,)),
    )
    knowledge = Knowledge(entities=entities, claims=claims, extractor="structured", version="7")
    graph.replace([(StageContext("default", "d1", "c", {"generation": 4, "token": 1}), knowledge)])
    return graph


def graph(*arguments: str) -> Result:
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    return CliRunner().invoke(app, ["graph", *arguments])


def test_a_node_is_shown_with_its_edges_and_the_sentence_behind_each(ledger: SqlGraph) -> None:
    shown = graph("glucophage")
    assert shown.exit_code == 0
    for part in ("Drug, in 1 document", "mesh:D008687", "investigated_for →", "Diabetes", "Take care.", SENTENCE):
        assert part in shown.output
    assert "2 entities read as one:" in shown.output
    assert "Glucophage (Drug) same as Metformin (Drug) by mesh D008687, stated by d1" in shown.output


VOCABULARY = """\
version: "1.0"
name: known
applicable_sources: [files]
stages:
  - {name: ingest, type: IngestStage}
  - {name: parse, type: ParseStage, depends_on: [ingest]}
  - {name: chunk, type: ChunkStage, depends_on: [parse]}
  - {name: extract, type: ExtractStage, use: dictionary, with: {vocabulary: drugs.csv}, depends_on: [chunk]}
  - {name: kg, type: KGStage, depends_on: [extract]}
"""


def test_a_thing_is_found_by_a_synonym_of_the_vocabulary_that_no_text_used(
    ledger: SqlGraph, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_CONFIG", str(tmp_path))
    shutil.copy(root / "config/orchestration/resilience.yaml", tmp_path)
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines/known.yaml").write_text(VOCABULARY)
    (tmp_path / "drugs.csv").write_text(
        "id,name,synonyms,type\n"
        "mesh:D008687,Metformin,Dimethylbiguanide|LA-6023,Drug\n"
        ",Diabetes,Sugar disease,Condition\n"
        "mesh:D1,Unheard of,Unknown,Drug\n"
    )
    for synonym, name in (("la 6023", "Metformin"), ("SUGAR DISEASE", "Diabetes")):
        shown = graph(synonym)
        assert shown.exit_code == 0, shown.exception
        assert f"{synonym} is {name} in drugs.csv" in shown.output
        assert json.loads(graph(synonym, "--json").output)["nodes"][0]["name"] == name
    with pytest.raises(NotFound, match="nothing in the graph is called 'Unknown'"):
        raise graph("Unknown").exception  # type: ignore[misc]


def test_edges_that_come_in_are_drawn_the_other_way(ledger: SqlGraph) -> None:
    shown = graph("Diabetes").output
    assert "← studies ─" in shown
    assert "A study" in shown


def test_depth_hangs_what_is_further_away_under_the_node_between(ledger: SqlGraph) -> None:
    shown = graph("Metformin", "--depth", "2").output
    assert (
        shown.index("investigated_for") < shown.index("Diabetes") < shown.index("← studies ─") < shown.index("A study")
    )


def test_the_trail_of_an_edge_leads_to_the_characters_of_the_payload(ledger: SqlGraph) -> None:
    found = json.loads(graph("Metformin", "--json").output)
    edge = next(e for e in found["nodes"][0]["edges"] if e["predicate"] == "investigated_for")
    shown = graph("--edge", edge["id"])
    assert shown.exit_code == 0
    for part in (
        SENTENCE,
        "d1, generation 4",
        "characters 10–67, chunk d1:2",
        "JSON pointer /summary, characters 10–67",
        f"sha256 {'a' * 64}",
        "structured 7",
        "phase",
    ):
        assert part in shown.output


def test_json_holds_nodes_edges_and_evidence(ledger: SqlGraph) -> None:
    node = json.loads(graph("D008687", "--json").output)["nodes"][0]
    assert node["identifiers"] == node["merged_by"] == ["mesh:D008687"]
    both = [{"type": "Drug", "name": "Glucophage"}, {"type": "Drug", "name": "Metformin"}]
    assert node["merges"] == [{"by": "mesh:D008687", "entities": both, "stated_by": ["d1"]}]
    by_predicate = {edge["predicate"]: edge for edge in node["edges"]}
    assert by_predicate["has_warning"]["value"] == "Take care."
    evidence = by_predicate["investigated_for"]["evidence"][0]
    assert evidence["locator"] == {"payload": "a" * 64, "pointer": "/summary", "start": 10, "end": 67}
    assert json.loads(graph("--edge", by_predicate["has_warning"]["id"], "--json").output)["documents"] == 1


def test_a_name_that_nothing_has_is_refused_with_the_nearest(ledger: SqlGraph) -> None:
    missed = graph("metfromin")
    assert isinstance(missed.exception, NotFound)
    assert missed.exception.next_step == "near it: Metformin"
    assert graph("nosuchdrug").exception.next_step == "penstock search 'nosuchdrug' finds what is said anywhere"  # type: ignore[union-attr]
    assert "no Study in the graph" in str(graph("metformin", "--type", "Study").exception)
    as_json = graph("metfromin", "--json")
    assert (as_json.exit_code, json.loads(as_json.output)["suggestions"]) == (2, ["Metformin"])


def test_another_tenant_sees_nothing(ledger: SqlGraph) -> None:
    assert isinstance(graph("metformin", "--tenant", "other").exception, NotFound)


def test_without_a_name_or_a_ledger_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path / "none"))
    for arguments in ((), ("metformin",)):
        refused = graph(*arguments)
        assert isinstance(refused.exception, UsageError)
        assert "penstock" in refused.exception.next_step
    assert not (tmp_path / "none").exists()


def test_a_thing_called_like_a_command_is_shown_by_show(ledger: SqlGraph) -> None:
    assert graph("show", "Diabetes").output == graph("Diabetes").output
    assert isinstance(graph("show", "export").exception, NotFound)


def test_the_whole_graph_is_exported_to_where_it_says(ledger: SqlGraph) -> None:
    done = graph("export", "--format", "csv", "--out", "mine")
    assert done.exit_code == 0, done.output
    assert done.output == "wrote mine: 3 nodes, 3 edges, 3 evidence\n"
    assert sorted(file.name for file in Path("mine").iterdir()) == ["edges.csv", "evidence.csv", "nodes.csv"]
    assert graph("export", "--format", "graphml").exit_code == 0
    assert graph("export", "--format", "graphml", "--out", "-").output == Path("graph.graphml").read_text()
    assert "csv is a folder" in str(graph("export", "--format", "csv", "--out", "-").exception)
    assert Path("graph.graphml").read_bytes().startswith(b"<?xml")
    assert "one of csv, cypher, graphml, jsonld" in str(graph("export", "--format", "gexf").exception.next_step)


def test_a_name_is_set_apart_in_a_document_and_joined_again(ledger: SqlGraph, tmp_path: Path) -> None:
    place = Locator(payload="b" * 64, pointer="/conditions/0")
    proof = Evidence(field="condition", quote="Diabetes insipidus", locator=place)
    entities = (Entity(key="c", type="Condition", name="Diabetes"),)
    claims = (Claim(subject="c", predicate="is_due_to", value="vasopressin", evidence=(proof,)),)
    knowledge = Knowledge(entities=entities, claims=claims, extractor="structured", version="7")
    ledger.replace([(StageContext("default", "d2", "c", {"generation": 1, "token": 1}), knowledge)])
    facts = {"tenant": "default", "source": "files", "kind": "k", "content": b"", "generation": 1}
    facts |= {"fingerprint": "", "pipeline": "", "created_at": 0, "updated_at": 0}
    database = Database(f"sqlite:///{tmp_path}/ledger.db")
    with database.write() as connection:
        rows = [facts | {"doc_id": f"d{n}", "source_id": f"notes/{n}.md"} for n in (1, 2)]
        connection.execute(insert(documents), rows)
    before = graph("Diabetes").output
    assert "Diabetes  Condition, in 2 documents" in before

    done = graph("apart", "diabetes", "--in", "notes/2.md", "--as", "insipidus", "--type", "condition")
    assert done.output == "diabetes is 'insipidus' in 1 document; penstock graph NAME shows what is one now\n"
    both = graph("Diabetes").output
    assert both.count("Condition diabetes was set apart as 'insipidus' in d2") == 2
    one = json.loads(graph("diabetes [Insipidus]", "--json").output)["nodes"]
    assert [node["name"] for node in one] == ["Diabetes [insipidus]"]
    assert one[0]["apart"] == [{"name": "diabetes", "type": "Condition", "as": "insipidus", "documents": ["d2"]}]
    assert [edge["value"] for edge in one[0]["edges"]] == ["vasopressin"]

    assert "no document is called 'd9'" in str(graph("rejoin", "diabetes", "--in", "d9").exception)
    assert "was not set apart so" in str(graph("rejoin", "diabetes", "--in", "d1").exception)
    assert graph("rejoin", "Diabetes").output == "Diabetes is again what others call so, in 1 document\n"
    assert graph("Diabetes").output == before


def test_setting_apart_what_is_not_there_is_refused(ledger: SqlGraph) -> None:
    assert "which sense?" in str(graph("apart", "Diabetes", "--in", "d1", "--as", "[]").exception)
    refused = graph("apart", "Diabetes", "--in", "d1", "--as", "x").exception
    assert isinstance(refused, NotFound)
    assert "no document is called 'd1'" in str(refused)
    assert "'Diabetes' was not set apart so" in str(graph("rejoin", "Diabetes").exception)


def test_a_page_is_written_for_one_node_and_refused_where_it_makes_no_sense(ledger: SqlGraph) -> None:
    done = graph("Metformin", "--html", "m.html")
    assert "2 edges" in done.output
    assert Path("m.html").read_text().startswith("<!doctype html>")
    assert isinstance(graph("Metformin", "--html", "m.html", "--json").exception, UsageError)
    assert "can't write" in str(graph("Metformin", "--html", f"{Path(__file__)}/m.html").exception)
