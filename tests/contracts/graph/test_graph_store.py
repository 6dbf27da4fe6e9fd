"""What every graph store keeps to, on SQLite and on a real PostgreSQL alike."""

from __future__ import annotations

import random
import threading

import pytest
from sqlalchemy import delete, select, update

from graph_knowledge import Item, proof, says, silent
from penstock.errors import InvalidOutput
from penstock.ir import Claim, Entity, Identifier, Knowledge, StageContext
from penstock.ledger.database import Database
from penstock.ledger.graph import SqlGraph
from penstock.ledger.graph_schema import (
    graph_claims,
    graph_entities,
    graph_evidence,
    graph_identifiers,
    graph_mentions,
)
from penstock.stages.contracts import KGStage
from penstock.stages.kg import LedgerGraph

MESH = (Identifier(scheme="mesh", value="D008687"),)
METFORMIN = ("Metformin", "treats", "Diabetes")
ASPIRIN = ("Aspirin", "treats", "Pain")


def test_a_document_stands_with_what_it_says(graph: SqlGraph) -> None:
    (receipt,) = graph.replace([says("d1", METFORMIN, ASPIRIN, generation=3, token=7)])
    assert (receipt.entities, receipt.claims, receipt.accepted) == (4, 2, True)
    assert (receipt.generation, receipt.token, receipt.store) == (3, 7, graph.store_id())
    assert graph.standing("t", "d1") == receipt
    assert graph.standing("other", "d1") is None


def test_the_same_claim_from_two_documents_is_one_claim_with_two_evidences(graph: SqlGraph) -> None:
    graph.replace([says("d1", METFORMIN), says("d2", ("metformin", "treats", "DIABETES"))])
    counts = graph.counts()
    assert (counts["entities"], counts["claims"], counts["evidence"]) == (2, 1, 2)


def test_a_claim_goes_when_its_last_evidence_goes_and_not_before(graph: SqlGraph) -> None:
    graph.replace([says("d1", METFORMIN, ASPIRIN), says("d2", METFORMIN)])
    graph.replace([says("d1", ASPIRIN, generation=2)])
    assert graph.counts() | {"mentions": 4} == {
        "documents": 2, "entities": 4, "mentions": 4, "identifiers": 0, "claims": 2, "evidence": 2,
    }  # fmt: skip
    graph.replace([silent("d2", generation=2)])
    counts = graph.counts()
    assert (counts["entities"], counts["claims"], counts["evidence"]) == (2, 1, 1)


def test_an_older_generation_or_token_changes_nothing(graph: SqlGraph) -> None:
    (stands,) = graph.replace([says("d1", METFORMIN, generation=2, token=5)])
    before = graph.digest()
    late = [says("d1", ASPIRIN, generation=1, token=9), says("d1", ASPIRIN, generation=2, token=4)]
    for receipt in graph.replace(late):
        assert not receipt.accepted
        assert (receipt.generation, receipt.token, receipt.claims) == (2, 5, 1)
    assert graph.digest() == before
    assert graph.standing("t", "d1") == stands


def test_the_same_write_again_is_accepted_and_changes_nothing(graph: SqlGraph) -> None:
    item = says("d1", METFORMIN)
    graph.replace([item])
    before, counts = graph.digest(), graph.counts()
    assert graph.replace([item])[0].accepted
    assert (graph.digest(), graph.counts()) == (before, counts)


def test_one_refused_document_does_not_hold_up_its_group(graph: SqlGraph) -> None:
    graph.replace([says("d1", METFORMIN, generation=5)])
    receipts = graph.replace([says("d0", ASPIRIN), says("d1", ASPIRIN, generation=4), says("d2", METFORMIN)])
    assert [receipt.accepted for receipt in receipts] == [True, False, True]


def test_a_document_twice_in_a_group_ends_as_the_later_says(graph: SqlGraph) -> None:
    receipts = graph.replace([says("d1", METFORMIN), says("d1", ASPIRIN, generation=2)])
    assert [receipt.accepted for receipt in receipts] == [True, True]
    alone = graph.digest()
    graph.remove("t", ["d1"])
    graph.replace([says("d1", ASPIRIN, generation=2)])
    assert graph.digest() == alone


def test_removing_a_document_leaves_nothing_of_it(graph: SqlGraph) -> None:
    empty = graph.digest()
    graph.replace([says("d1", METFORMIN, identifiers={"Metformin": MESH})])
    assert graph.remove("t", ["d1", "unknown"]) == 1
    assert (graph.digest(), set(graph.counts().values())) == (empty, {0})


def test_tenants_share_nothing(graph: SqlGraph) -> None:
    graph.replace(
        [says("d1", METFORMIN, tenant="a"), says("d1", METFORMIN, tenant="b"), says("d2", ASPIRIN, tenant="a")]
    )
    assert graph.counts()["claims"] == 3
    graph.remove("a", ["d1", "d2"])
    counts = graph.counts()
    assert (counts["documents"], counts["entities"], counts["claims"]) == (1, 2, 1)


def history(seed: int) -> list[Item]:
    """Documents d0..d19, each with a few of the same claims; some come in several generations."""
    source = random.Random(seed)
    drugs, conditions = [f"drug {n}" for n in range(8)], [f"condition {n}" for n in range(6)]
    items = []
    for number in range(20):
        for generation in range(1, source.randint(2, 4)):
            triples = [(source.choice(drugs), "treats", source.choice(conditions)) for _ in range(source.randint(0, 6))]
            ids = {name: (Identifier(scheme="mesh", value=f"D{ord(name[-1]) % 4}"),) for name, _, _ in triples[:2]}
            items.append(says(f"d{number}", *triples, generation=generation, identifiers=ids))
    return items


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_ingestion_does_not_matter(graph: SqlGraph, seed: int) -> None:
    items = history(seed)
    graph.replace(items)
    first = graph.digest()
    counts = graph.counts()
    graph.remove("t", [f"d{number}" for number in range(20)])
    random.Random(seed).shuffle(items)
    for start in range(0, len(items), 5):
        graph.replace(items[start : start + 5])
    assert (graph.digest(), graph.counts()) == (first, counts)


def test_every_database_has_the_same_digest(graph: SqlGraph) -> None:
    """Written once from SQLite; a change of what the digest is made of changes it here too."""
    graph.replace(
        [says("d1", METFORMIN, ASPIRIN, identifiers={"Metformin": MESH}), says("d2", METFORMIN, generation=4)]
    )
    assert graph.digest() == "a18bf7cd22a490c845c99a7497196ba2bdd6b80d16f6637e1afd0b48e9dc40fa"


def test_any_changed_row_changes_the_digest(database: Database, graph: SqlGraph) -> None:
    ids = {"Metformin": MESH}
    graph.replace([says("d1", METFORMIN, ASPIRIN, identifiers=ids), says("d2", METFORMIN)])
    seen = {graph.digest()}
    with database.read() as connection:
        some = connection.execute(select(graph_entities.c.id)).scalars().first()
    changes = [
        update(graph_evidence).values(quote="other").where(graph_evidence.c.ordinal == 0),
        update(graph_mentions).values(name="other"),
        update(graph_claims).values(predicate="harms"),
        update(graph_identifiers).values(value="D1"),
        update(graph_entities).values(type="Concept").where(graph_entities.c.id == some),
        delete(graph_identifiers),
        delete(graph_evidence),
        delete(graph_mentions),
        delete(graph_claims),
    ]
    for change in changes:
        with database.write() as connection:
            connection.execute(change)
        seen.add(graph.digest())
    assert len(seen) == len(changes) + 1


def test_an_individual_is_its_identifier_and_a_kind_is_its_name(graph: SqlGraph) -> None:
    def named(doc_id: str, type: str, identifier: str) -> Item:
        entity = Entity(
            key="x", type=type, name="One Name", identifiers=(Identifier(scheme="orcid", value=identifier),)
        )
        ctx = StageContext("t", doc_id, "c", {"generation": 1, "token": 1})
        return ctx, Knowledge(entities=(entity,), extractor="by hand", version="1")

    graph.replace([named("d1", "Person", "0000-1"), named("d2", "Person", "0000-2")])
    assert graph.counts()["entities"] == 2
    graph.replace([named("d3", "Drug", "1"), named("d4", "Drug", "2")])
    assert graph.counts()["entities"] == 3


def test_names_and_texts_of_any_length_and_script_are_kept(graph: SqlGraph) -> None:
    long = "δ-ενδοτοξίνη " * 2_000
    (receipt,) = graph.replace([says("d1", (long, "treats", "?!"), ("", "treats", "痛み"))])
    assert (receipt.entities, receipt.claims) == (4, 2)
    assert graph.replace([says("d1", (long, "treats", "?!"), ("", "treats", "痛み"))])[0].accepted


@pytest.mark.parametrize(
    "broken",
    [
        Claim(subject="nobody", predicate="treats", value="x", evidence=(proof(),)),
        Claim(subject="a", predicate="treats", object="nobody", evidence=(proof(),)),
        Claim(subject="a", predicate="treats", value="x", evidence=()),
        Claim(subject="a", predicate="treats", evidence=(proof(),)),
        Claim(subject="a", predicate="treats", object="a", value="x", evidence=(proof(),)),
    ],
)
def test_knowledge_that_breaks_its_contract_is_refused_before_anything_is_written(
    graph: SqlGraph, broken: Claim
) -> None:
    entity = Entity(key="a", type="Drug", name="A")
    ctx = StageContext("t", "d2", "c", {"generation": 1, "token": 1})
    bad = (ctx, Knowledge(entities=(entity,), claims=(broken,), extractor="by hand", version="1"))
    with pytest.raises(InvalidOutput):
        graph.replace([says("d1", METFORMIN), bad])
    assert graph.counts()["documents"] == 0


def test_the_same_evidence_twice_is_kept_once(graph: SqlGraph) -> None:
    entities = (Entity(key="a", type="Drug", name="A"),)
    twice = Claim(subject="a", predicate="is", value="x", evidence=(proof(), proof(), proof("another")))
    ctx = StageContext("t", "d", "c", {"generation": 1, "token": 1})
    graph.replace([(ctx, Knowledge(entities=entities, claims=(twice, twice), extractor="by hand", version="1"))])
    assert graph.counts()["evidence"] == 2


def test_a_group_larger_than_a_transaction_is_written_in_several(
    graph: SqlGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.ledger.graph.MAX_TRANSACTION", 2_000)
    receipts = graph.replace([says(f"d{n}", METFORMIN, ASPIRIN) for n in range(20)])
    assert [receipt.accepted for receipt in receipts] == [True] * 20
    assert graph.counts()["documents"] == 20


def test_more_names_than_one_statement_takes(graph: SqlGraph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.ledger.graph.SLICE", 7)
    many = [(f"drug {number}", "treats", f"condition {number}") for number in range(40)]
    (receipt,) = graph.replace([says("d1", *many)])
    assert (receipt.entities, graph.counts()["entities"], graph.counts()["claims"]) == (80, 80, 40)
    graph.replace([says("d1", *many[:3], generation=2)])
    assert (graph.counts()["entities"], graph.counts()["claims"]) == (6, 3)
    assert graph.remove("t", [f"d{number}" for number in range(20)]) == 1
    assert graph.counts()["entities"] == 0


def test_the_store_has_one_id_for_good(database: Database, graph: SqlGraph) -> None:
    assert graph.store_id() == graph.store_id() == SqlGraph(database).store_id()


def test_writers_side_by_side_neither_duplicate_nor_deadlock_nor_lose(database: Database) -> None:
    """They take away and put back the very same entities all the time, in opposite orders."""
    SqlGraph(database).store_id()
    errors: list[BaseException] = []

    def write(documents: list[str]) -> None:
        own = Database(database.url.render_as_string(hide_password=False))
        graph = SqlGraph(own)
        try:
            for generation in range(1, 13):
                triples = [METFORMIN, ASPIRIN] if generation % 2 == 0 else []
                graph.replace([says(doc_id, *triples, generation=generation) for doc_id in documents])
        except BaseException as error:
            errors.append(error)
        finally:
            own.close()

    names = [f"d{n}" for n in range(12)]
    writers = [threading.Thread(target=write, args=(order,)) for order in (names[:8], names[4:][::-1], names[2:10])]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert not errors
    graph = SqlGraph(database)
    alone = graph.digest()
    assert {name: graph.counts()[name] for name in ("documents", "entities", "mentions", "claims", "evidence")} == {
        "documents": 12, "entities": 4, "mentions": 48, "claims": 2, "evidence": 24,
    }  # fmt: skip
    graph.remove("t", names)
    graph.replace([says(name, METFORMIN, ASPIRIN, generation=12) for name in names])
    assert graph.digest() == alone


def test_the_stage_hands_documents_to_the_store_and_answers_its_receipts(graph: SqlGraph) -> None:
    stage = LedgerGraph(LedgerGraph.Options(), graph=graph)
    assert isinstance(stage, KGStage)
    assert stage.store_id() == graph.store_id()
    assert [receipt.claims for receipt in stage.execute([says("d1", METFORMIN), silent("d2", 1)])] == [1, 0]
    assert list(stage.execute([])) == []
