"""The dictionary extractor: what a vocabulary's names in a text say, alone and after the structured extractor."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from contextlib import closing
from importlib.metadata import EntryPoint
from pathlib import Path
from threading import Event

import pytest

from penstock.errors import AttemptTimeout, ConfigError, UsageError
from penstock.ir import Chunk, Claim, Document, Entity, Identifier, Knowledge, Origin, RawPayload, StageContext
from penstock.ledger.database import Database
from penstock.ledger.graph import SqlGraph
from penstock.ledger.graph_read import GraphReader
from penstock.ledger.migrate import migrate
from penstock.pipelines.loader import load_pipeline
from penstock.resilience.policy import Policy
from penstock.resilience.timeout import call_within
from penstock.runner.identity import options_identity
from penstock.stages.contracts import Extractable, ExtractStage, check_knowledge
from penstock.stages.extract import StructuredExtractor
from penstock.stages.extract.dictionary import LOOKED_AT, DictionaryExtractor, _Matchers
from penstock.stages.extract.matching import Matcher, Rules
from penstock.stages.extract.vocabulary import read_vocabulary
from penstock.stages.parse.builder import DocumentBuilder
from penstock.stages.registry import STAGES, EntryPointCatalogue

CTX = StageContext("default", "doc-1", "c-1", {"generation": 1, "token": 1})
VOCABULARY = """\
id,name,synonyms,type
mesh:D008687,Metformin,Glucophage|dimethylbiguanide,Drug
mesh:D003924,"Diabetes Mellitus, Type 2",type 2 diabetes|T2D,Disease
mesh:D000140,"Acidosis, Lactic",lactic acidosis,Disease
,kidney function,renal function,Concept
"""
PIPELINE = """\
version: "1.0"
name: both
applicable_sources: [files]
stages:
  - {name: ingest, type: IngestStage}
  - {name: parse, type: ParseStage, depends_on: [ingest]}
  - {name: chunk, type: ChunkStage, depends_on: [parse]}
  - {name: extract, type: ExtractStage, depends_on: [chunk]}
  - {name: mentions, type: ExtractStage, use: dictionary, with: {vocabulary: VOCABULARY}, depends_on: [extract]}
  - {name: kg, type: KGStage, depends_on: [mentions]}
"""


@pytest.fixture
def vocabulary(tmp_path: Path) -> Path:
    path = tmp_path / "vocabulary.csv"
    path.write_text(VOCABULARY)
    return path


@pytest.fixture
def graph(tmp_path: Path) -> Iterator[tuple[SqlGraph, GraphReader]]:
    with closing(Database(f"sqlite:///{tmp_path}/ledger.db")) as database:
        migrate(database)
        yield SqlGraph(database), GraphReader(database)


def builder(kind: str = "text", source_id: str = "X1") -> DocumentBuilder:
    origin = Origin(uri=f"/in/{source_id}", key=source_id)
    payload = RawPayload(source="files", source_id=source_id, kind=kind, origin=origin, content=source_id.encode())
    return DocumentBuilder(CTX, payload, parser="test", version="1")


def prose(*paragraphs: str) -> Document:
    b = builder()
    for number, paragraph in enumerate(paragraphs):
        b.block(paragraph, b.pointer(number))
    return b.build()


def trial() -> Document:
    b = builder("clinicaltrials-study", "NCT90000001")
    b.title = "A trial"
    b.block("Glucophage in adults with type 2 diabetes.", b.pointer("summary"))
    b.identifier("nct", "NCT90000001")
    b.field("condition", "Type 2 Diabetes", b.pointer("conditions", 0))
    b.field("intervention", "Dimethylbiguanide", b.pointer("arms", 0), attributes={"type": "drug"})
    return b.build()


def extractor(vocabulary: Path, **options: object) -> DictionaryExtractor:
    return DictionaryExtractor(DictionaryExtractor.Options.model_validate({"vocabulary": vocabulary, **options}))


def chunks_of(document: Document) -> list[Chunk]:
    return [
        Chunk(chunk_id=f"c{number}", ordinal=number, start=b.start, end=b.end, text=document.text[b.start : b.end])
        for number, b in enumerate(document.blocks)
    ]


def extract(vocabulary: Path, document: Document, earlier: Knowledge | None = None, **options: object) -> Knowledge:
    item = Extractable(document, chunks_of(document), earlier)
    knowledge = extractor(vocabulary, **options).execute(CTX, item)
    for holder in (*knowledge.entities, *knowledge.claims):
        for evidence in holder.evidence:
            if evidence.start is not None:
                assert document.text[evidence.start : evidence.end] == evidence.quote
                assert evidence.chunk_id is not None
    assert check_knowledge(item, knowledge) is None
    return knowledge


def both(vocabulary: Path, document: Document) -> Knowledge:
    structured = StructuredExtractor(StructuredExtractor.Options())
    first = structured.execute(CTX, Extractable(document, chunks_of(document)))
    return extract(vocabulary, document, first)


def places(knowledge: Knowledge, name: str) -> list[str]:
    (entity,) = (entity for entity in knowledge.entities if entity.name == name)
    return [evidence.quote for evidence in entity.evidence]


def mentioned(knowledge: Knowledge) -> dict[str, list[str]]:
    """Name → the sentences that mention it."""
    names = {entity.key: entity.name for entity in knowledge.entities}
    claims = [claim for claim in knowledge.claims if claim.predicate == "mentions"]
    return {names[claim.object or ""]: [evidence.quote for evidence in claim.evidence] for claim in claims}


TEXT = (
    "Metformin is given in type 2 diabetes. Renal function matters; lactic acidosis is rare. Glucophage is metformin.",
    "Nothing here.",
)


def test_the_document_mentions_what_its_sentences_name(vocabulary: Path) -> None:
    knowledge = extract(vocabulary, prose(*TEXT))
    first, second, third = "Metformin is given in type 2 diabetes.", TEXT[0][39:87], "Glucophage is metformin."
    assert mentioned(knowledge) == {
        "Metformin": [first, third],
        "Diabetes Mellitus, Type 2": [first],
        "kidney function": [second],
        "Acidosis, Lactic": [second],
    }
    assert (knowledge.extractor, knowledge.version) == ("dictionary", "1")


def test_an_entity_has_its_id_its_preferred_name_and_every_place(vocabulary: Path) -> None:
    knowledge = extract(vocabulary, prose(*TEXT))
    (metformin,) = (entity for entity in knowledge.entities if entity.type == "Drug")
    assert metformin.identifiers == (Identifier(scheme="mesh", value="D008687"),)
    assert places(knowledge, "Metformin") == ["Metformin", "Glucophage", "metformin"]
    (claim,) = (claim for claim in knowledge.claims if claim.object == metformin.key)
    assert claim.attributes == {"count": "3"}


def test_at_most_so_many_places_are_kept_and_all_are_counted(vocabulary: Path) -> None:
    knowledge = extract(vocabulary, prose("Metformin. " * 9), limit=2)
    assert len(places(knowledge, "Metformin")) == 2
    assert [claim.attributes for claim in knowledge.claims] == [{"count": "9"}]


def test_no_name_goes_from_one_block_or_cell_into_the_next(vocabulary: Path) -> None:
    b = builder()
    b.block("On type 2", b.pointer(0), "heading")
    b.block("diabetes and renal\nfunction", b.pointer(1))
    b.table([["lactic", "acidosis"], ["type 2", "renal"], ["function", "lactic acidosis"]], b.pointer(2))
    knowledge = extract(vocabulary, b.build())
    assert set(mentioned(knowledge)) == {"kidney function", "Acidosis, Lactic"}
    assert places(knowledge, "kidney function") == ["renal\nfunction"]


def test_a_sentence_too_long_to_quote_gives_the_name_alone(vocabulary: Path) -> None:
    knowledge = extract(vocabulary, prose("word " * 300 + "metformin " + "word " * 300))
    assert mentioned(knowledge) == {"Metformin": ["metformin"]}


def test_a_text_that_names_nothing_gives_the_document_itself(vocabulary: Path) -> None:
    knowledge = extract(vocabulary, prose("Nothing of the kind."))
    assert [entity.type for entity in knowledge.entities] == ["Page"]
    assert knowledge.claims == ()


def test_what_fields_say_stays_and_gets_the_vocabularys_ids(vocabulary: Path) -> None:
    knowledge = both(vocabulary, trial())
    assert (knowledge.extractor, knowledge.version) == ("structured+dictionary", "1+1")
    ids = {entity.name: [one.value for one in entity.identifiers] for entity in knowledge.entities}
    assert ids == {
        "A trial": ["NCT90000001"],
        "Type 2 Diabetes": ["D003924"],
        "Dimethylbiguanide": ["D008687"],
        "Metformin": ["D008687"],
        "Diabetes Mellitus, Type 2": ["D003924"],
    }
    said = {(claim.subject, claim.predicate) for claim in knowledge.claims}
    study = knowledge.entities[0].key
    assert {(study, "tests"), (study, "studies"), (study, "mentions")} <= said
    assert [entity.type for entity in knowledge.entities].count("Study") == 1


def test_a_field_and_a_text_that_name_one_thing_are_one_node(
    vocabulary: Path, graph: tuple[SqlGraph, GraphReader]
) -> None:
    store, reader = graph
    store.replace([(CTX, both(vocabulary, trial()))])
    (node,) = reader.find("default", "dimethylbiguanide")
    assert reader.find("default", "metformin") == [node]
    assert node.merged_by == (("mesh", "D008687"),)
    around = reader.neighbourhood("default", node, limit=50)
    assert {edge.predicate for edge in around.edges} >= {"tests", "mentions"}


def test_ids_go_only_to_what_may_be_the_same_thing(vocabulary: Path) -> None:
    people = Entity(key="p", type="Person", name="Metformin")
    keyword = Entity(key="k", type="Concept", name="glucophage")
    substance = Entity(key="s", type="Substance", name="metformin")
    earlier = Knowledge(entities=(people, keyword, substance), extractor="other", version="7")
    knowledge = extract(vocabulary, prose("Nothing."), earlier)
    assert {entity.key: len(entity.identifiers) for entity in knowledge.entities[:3]} == {"p": 0, "k": 1, "s": 1}


def test_the_structured_extractor_keeps_what_came_before_it_too(vocabulary: Path) -> None:
    document = trial()
    item = Extractable(document, chunks_of(document), extract(vocabulary, document))
    knowledge = StructuredExtractor(StructuredExtractor.Options()).execute(CTX, item)
    assert check_knowledge(item, knowledge) is None
    assert {claim.predicate for claim in knowledge.claims} >= {"tests", "mentions"}


def test_an_extractor_that_loses_what_it_was_given_breaks_its_contract(vocabulary: Path) -> None:
    document = prose(*TEXT)
    given = extract(vocabulary, document)
    item = Extractable(document, [], given)
    assert check_knowledge(item, Knowledge(extractor="x", version="1")) == (
        "it leaves out entities that the extractor before it gave"
    )
    silent = given.model_copy(update={"claims": ()})
    assert check_knowledge(item, silent) == "it leaves out claims that the extractor before it gave"
    assert check_knowledge(Extractable(document, []), silent) is None


def test_claims_of_another_extractor_stay_as_they_are(vocabulary: Path) -> None:
    document = prose(*TEXT)
    proof = extract(vocabulary, document).claims[0].evidence[0]
    twice = [Claim(subject="a", predicate="is", value="b", attributes={"n": n}, evidence=(proof,)) for n in "12"]
    thing = Entity(key="a", type="Concept", name="a")
    earlier = Knowledge(entities=(thing,), claims=tuple(twice), extractor="x", version="1")
    assert extract(vocabulary, document, earlier).claims[:2] == tuple(twice)


def test_a_pipeline_has_both_one_after_the_other(vocabulary: Path, root: Path, tmp_path: Path) -> None:
    declared = tomllib.loads((root / "pyproject.toml").read_text())["project"]["entry-points"]

    def points(group: str) -> list[EntryPoint]:
        return [EntryPoint(name, value, group) for name, value in declared[group].items()]

    assert "ExtractStage.dictionary" in declared[STAGES]
    path = tmp_path / "both.yaml"
    path.write_text(PIPELINE.replace("VOCABULARY", str(vocabulary)))
    topology = load_pipeline(path, EntryPointCatalogue(points), {"default": Policy()}, Policy)
    assert topology.stage("mentions").inputs == {"document": "parse", "chunks": "chunk", "knowledge": "extract"}
    assert topology.stage("extract").inputs == {"document": "parse", "chunks": "chunk"}
    assert topology.stage("kg").inputs == {"knowledge": "mentions"}
    path.write_text(PIPELINE.replace("VOCABULARY", "missing.csv"))
    with pytest.raises(ConfigError, match=r"both.yaml:9:\d+: there is no file missing.csv"):
        load_pipeline(path, EntryPointCatalogue(points), {"default": Policy()}, Policy)


def test_a_vocabulary_enters_the_stages_identity_by_content(vocabulary: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.csv"
    copy.write_text(VOCABULARY)
    first, second = (options_identity(DictionaryExtractor.Options(vocabulary=path)) for path in (vocabulary, copy))
    assert first == second
    copy.write_text(VOCABULARY + "mesh:D1,other,,Drug\n")
    assert options_identity(DictionaryExtractor.Options(vocabulary=copy)) != first


def test_one_content_is_made_ready_once_and_rules_apart(vocabulary: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.csv"
    copy.write_text(VOCABULARY)
    one = extractor(vocabulary).matcher()
    assert extractor(copy, limit=3).matcher() is one
    assert extractor(vocabulary, fold_plurals=False).matcher() is not one


def test_a_vocabulary_is_read_when_first_needed_and_must_be_the_one_the_run_began_with(vocabulary: Path) -> None:
    vocabulary.write_text("id,name\nx:1,something else\n")
    stage = extractor(vocabulary)
    vocabulary.write_text("id,name\nx:1,another thing\n")
    with pytest.raises(UsageError, match="has changed since this run began"):
        stage.execute(CTX, Extractable(prose(*TEXT), []))


def test_one_that_takes_longer_than_an_attempt_is_there_for_the_next(vocabulary: Path) -> None:
    matchers, ready, made = _Matchers(), Event(), list[Matcher]()

    def make() -> Matcher:
        ready.wait()
        made.append(Matcher(read_vocabulary(vocabulary, vocabulary.read_bytes()), Rules()))
        return made[-1]

    with pytest.raises(AttemptTimeout):
        call_within(0.05, lambda: matchers.get("key", make))
    ready.set()
    assert matchers.get("key", make) is matchers.get("key", make)
    assert len(made) == 1


def test_one_that_could_not_be_made_is_tried_again(vocabulary: Path) -> None:
    stage = extractor(vocabulary, limit=7, stop=["not read before"])
    vocabulary.rename(vocabulary.with_name("away"))
    with pytest.raises(UsageError, match="can't be read: No such file"):
        stage.matcher()
    vocabulary.with_name("away").rename(vocabulary)
    assert stage.matcher().find("metformin")


def test_only_the_last_vocabularies_are_kept(vocabulary: Path) -> None:
    first = extractor(vocabulary, min_length=3).matcher()
    for length in (4, 5):
        extractor(vocabulary, min_length=length).matcher()
    assert extractor(vocabulary, min_length=3).matcher() is not first


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("id,name\nD1,metformin\n", "vocabulary.csv:2:1: the id 'D1' names no scheme"),
        ("id,title\nmesh:D1,metformin\n", "vocabulary.csv:1:1: there is no column 'name'"),
        ("id,name\n", "vocabulary.csv:1:1: nothing follows the column names"),
        ("", "vocabulary.csv:1:1: there is no column 'name'"),
    ],
)
def test_a_wrong_vocabulary_is_told_where_the_pipeline_is_checked(
    vocabulary: Path, tmp_path: Path, content: str, told: str
) -> None:
    vocabulary.write_text(content)
    path = tmp_path / "both.yaml"
    path.write_text(PIPELINE.replace("VOCABULARY", str(vocabulary)))
    with pytest.raises(ConfigError) as caught:
        load_pipeline(path, EntryPointCatalogue(), {"default": Policy()}, Policy)
    (problem,) = caught.value.problems
    assert told in str(problem)
    assert problem.fix


def test_a_mistake_far_down_is_told_when_the_vocabulary_is_needed(vocabulary: Path) -> None:
    rows = "".join(f"mesh:D{n},name {n}\n" for n in range(LOOKED_AT))
    vocabulary.write_text(f"id,name\n{rows}D1,metformin\n")
    stage = extractor(vocabulary)
    with pytest.raises(ConfigError, match=r"vocabulary.csv:1002:1: the id 'D1' names no scheme"):
        stage.execute(CTX, Extractable(prose(*TEXT), []))


def test_an_extractor_whose_knowledge_no_graph_takes_is_warned_of(vocabulary: Path, tmp_path: Path) -> None:
    path = tmp_path / "both.yaml"
    pipeline = PIPELINE.replace("VOCABULARY", str(vocabulary))
    path.write_text(pipeline)
    assert not load_pipeline(path, EntryPointCatalogue(), {"default": Policy()}, Policy).warnings
    path.write_text("".join(line for line in pipeline.splitlines(True) if "KGStage" not in line))
    (warning,) = load_pipeline(path, EntryPointCatalogue(), {"default": Policy()}, Policy).warnings
    assert warning.message == "stage 'mentions' gives Knowledge, which no stage takes: it is made for nothing"
    assert warning.fix == "put a stage of type KGStage after it, or delete it"


def test_words_of_a_list_are_not_looked_for(vocabulary: Path, tmp_path: Path) -> None:
    stop = tmp_path / "stop.txt"
    stop.write_text("Renal Function\n")
    knowledge = extract(vocabulary, prose(*TEXT), stop=["glucophage"], stop_list=stop)
    assert places(knowledge, "Metformin") == ["Metformin", "metformin"]
    assert "kidney function" not in mentioned(knowledge)


def test_it_is_an_extract_stage_with_options_that_are_checked(vocabulary: Path) -> None:
    assert isinstance(extractor(vocabulary), ExtractStage)
    for wrong in ({"type": "Drugg"}, {"scheme": "a b"}, {"exact_up_to": -1}, {"homonyms": "both"}, {"unknown": 1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            extractor(vocabulary, **wrong)


def test_the_page_shows_a_vocabulary_that_is_one_and_names_every_option(root: Path) -> None:
    page = (root / "docs/extraction.md").read_text()
    (content,) = re.findall(r"```csv\n(.*?)```", page, re.S)
    terms = read_vocabulary(Path("page.csv"), content.encode())
    assert [term.names for term in terms] == [
        ["Metformin", "Glucophage", "dimethylbiguanide"],
        ["Acidosis, Lactic", "lactic acidosis"],
    ]
    rows = re.findall(r"^\| (`.*?`) \| .* \| .* \|$", page, re.M)
    assert {name for row in rows for name in re.findall("`(.*?)`", row)} == set(
        DictionaryExtractor.Options.model_fields
    )
