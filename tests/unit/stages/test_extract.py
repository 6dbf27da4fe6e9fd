"""The structured extractor, over documents put together by hand in the shapes that the parsers give."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from penstock.ir import Chunk, Claim, Document, Evidence, Field, Identifier, Knowledge, Origin, RawPayload, StageContext
from penstock.ir.knowledge import TYPES
from penstock.stages.contracts import Extractable, ExtractStage
from penstock.stages.extract import StructuredExtractor
from penstock.stages.parse.builder import DocumentBuilder

CTX = StageContext("default", "doc-1", "c-1", {"generation": 1, "token": 1})


def builder(kind: str, source_id: str = "X1") -> DocumentBuilder:
    payload = RawPayload(
        source="files",
        source_id=source_id,
        kind=kind,
        origin=Origin(uri=f"/in/{source_id}", key=source_id),
        content=source_id.encode(),
    )
    return DocumentBuilder(CTX, payload, parser="test", version="1")


def chunks_of(document: Document) -> list[Chunk]:
    return [
        Chunk(
            chunk_id=f"{document.doc_id}:{ordinal}",
            ordinal=ordinal,
            start=block.start,
            end=block.end,
            text=document.text[block.start : block.end],
        )
        for ordinal, block in enumerate(document.blocks)
    ]


def extract(document: Document, **options: object) -> Knowledge:
    stage = StructuredExtractor(StructuredExtractor.Options.model_validate(options))
    knowledge = stage.execute(CTX, Extractable(document, chunks_of(document)))
    for evidence in all_evidence(knowledge):
        if evidence.start is not None:
            assert document.text[evidence.start : evidence.end] == evidence.quote
            assert evidence.chunk_id is not None
        assert evidence.quote
        assert evidence.locator.payload == document.provenance.payload
    return knowledge


def all_evidence(knowledge: Knowledge) -> Iterator[Evidence]:
    for claim in knowledge.claims:
        assert claim.evidence, claim
        yield from claim.evidence
    for entity in knowledge.entities:
        assert entity.type in TYPES
        yield from entity.evidence


def said(knowledge: Knowledge) -> set[tuple[str, str, str]]:
    """(subject name, predicate, object name or value) of every claim."""
    names = {entity.key: entity.name for entity in knowledge.entities}
    return {(names[c.subject], c.predicate, names[c.object] if c.object else c.value or "") for c in knowledge.claims}


def claim(knowledge: Knowledge, predicate: str, target: str) -> Claim:
    names = {entity.key: entity.name for entity in knowledge.entities}
    return next(
        c for c in knowledge.claims if c.predicate == predicate and (names.get(c.object or "") or c.value) == target
    )


def trial() -> Document:
    b = builder("clinicaltrials-study", "NCT90000001")
    b.title = "Metformin in Type 2 Diabetes"
    b.block(b.title, b.pointer("title"), "title")
    b.block(
        "Background matters, e.g. to readers. Metformin is compared with placebo in adults with type 2 diabetes. "
        "Nothing else is said.",
        b.pointer("summary"),
    )
    b.identifier("nct", "NCT90000001")
    b.identifier("doi", "10.5555/not-a-study-identifier")
    b.field("condition", "Type 2 Diabetes", b.pointer("conditions", 0))
    b.field("condition", "Prediabetes", b.pointer("conditions", 1))
    b.field("intervention", "Metformin", b.pointer("arms", 0, "name"), attributes={"type": "DRUG"})
    b.field("intervention", "Placebo tablet", b.pointer("arms", 1, "name"), attributes={"type": "drug"})
    b.field("intervention", "Diet", b.pointer("arms", 2, "name"), attributes={"type": "behavioral"})
    mesh = [Identifier(scheme="mesh", value="D008687")]
    b.field("mesh", "Metformin", b.pointer("mesh", 0), identifiers=mesh, attributes={"about": "intervention"})
    b.field("sponsor", "Example University", b.pointer("sponsor"), attributes={"class": "OTHER"})
    b.field("collaborator", "Example Pharma", b.pointer("collaborator"), attributes={"class": "INDUSTRY"})
    b.field("phase", "PHASE3", b.pointer("phase"))
    b.reference("Doe J. Earlier work. 2019.", [Identifier(scheme="pmid", value="90000001")], b.pointer("refs", 0))
    return b.build()


def label() -> Document:
    b = builder("openfda-drug-label", "set-1")
    b.title = "Glucophage"
    b.block(
        "1 INDICATIONS AND USAGE Glucophage is indicated to improve glycemic control. It is not for type 1 diabetes.",
        b.pointer("indications_and_usage", 0),
    )
    b.block("WARNING: LACTIC ACIDOSIS Cases have been fatal.", b.pointer("boxed_warning", 0))
    b.identifier("spl-set-id", "0a0a0a0a-0000-4000-8000-000000000001")
    b.field("brand_name", "Glucophage", b.pointer("openfda", "brand_name", 0))
    b.field("generic_name", "Metformin Hydrochloride", b.pointer("openfda", "generic_name", 0))
    unii = [Identifier(scheme="unii", value="786Z46389E")]
    b.field("ingredient", "METFORMIN HYDROCHLORIDE", b.pointer("openfda", "substance_name", 0), identifiers=unii)
    b.field("manufacturer", "Example Labs", b.pointer("openfda", "manufacturer_name", 0))
    b.field("pharm_class", "Biguanide [EPC]", b.pointer("openfda", "pharm_class_epc", 0), attributes={"type": "EPC"})
    b.field(
        "indication",
        "1 INDICATIONS AND USAGE Glucophage is indicated to improve glycemic control. It is not for type 1 diabetes.",
        b.pointer("indications_and_usage", 0),
    )
    b.field(
        "warning",
        "WARNING: LACTIC ACIDOSIS Cases have been fatal.",
        b.pointer("boxed_warning", 0),
        attributes={"type": "boxed"},
    )
    return b.build()


def test_a_study_says_what_it_studies_tests_and_who_answers_for_it() -> None:
    knowledge = extract(trial())
    title = "Metformin in Type 2 Diabetes"
    assert {
        (title, "studies", "Type 2 Diabetes"),
        (title, "studies", "Prediabetes"),
        (title, "tests", "Metformin"),
        (title, "tests", "Diet"),
        (title, "sponsored_by", "Example University"),
        (title, "sponsored_by", "Example Pharma"),
        (title, "cites", "Doe J. Earlier work. 2019."),
        ("Metformin", "investigated_for", "Type 2 Diabetes"),
    } <= said(knowledge)


def test_the_evidence_is_the_sentence_of_the_prose_that_names_both() -> None:
    found = claim(extract(trial()), "investigated_for", "Type 2 Diabetes").evidence[0]
    assert found.quote == "Metformin is compared with placebo in adults with type 2 diabetes."
    assert found.chunk_id == "doc-1:1"
    assert (found.locator.pointer, found.locator.start) == ("/summary", 37)


def test_where_no_sentence_names_both_the_field_is_the_evidence() -> None:
    found = claim(extract(trial()), "studies", "Prediabetes").evidence[0]
    assert (found.field, found.quote, found.start) == ("condition", "Prediabetes", None)
    assert found.locator.pointer == "/conditions/1"


def test_a_placebo_is_no_drug_and_is_investigated_for_nothing() -> None:
    knowledge = extract(trial())
    kinds = {entity.name: entity.type for entity in knowledge.entities}
    assert (kinds["Placebo tablet"], kinds["Diet"]) == ("Concept", "Concept")
    assert not any(s == "Placebo tablet" for s, _, _ in said(knowledge))


def test_a_name_found_as_intervention_and_as_descriptor_is_one_entity_with_the_identifier() -> None:
    drugs = [entity for entity in extract(trial()).entities if entity.type == "Drug"]
    assert [(drug.name, drug.identifiers) for drug in drugs] == [
        ("Metformin", (Identifier(scheme="mesh", value="D008687"),))
    ]


def test_a_document_keeps_only_the_identifiers_its_own_type_goes_by() -> None:
    study = extract(trial()).entities[0]
    assert study.type == "Study"
    assert [one.scheme for one in study.identifiers] == ["nct"]


def test_roles_and_facts_stand_in_the_claims_attributes() -> None:
    knowledge = extract(trial())
    assert claim(knowledge, "sponsored_by", "Example Pharma").attributes == {
        "role": "collaborator",
        "class": "INDUSTRY",
    }
    assert claim(knowledge, "investigated_for", "Type 2 Diabetes").attributes == {"phase": "PHASE3"}


def test_a_label_says_what_the_drug_is_for_in_its_own_sentences() -> None:
    knowledge = extract(label())
    assert {
        ("Glucophage", "labels", "Metformin Hydrochloride"),
        ("Glucophage", "made_by", "Example Labs"),
        ("Metformin Hydrochloride", "has_brand_name", "Glucophage"),
        ("Metformin Hydrochloride", "in_class", "Biguanide [EPC]"),
        ("Metformin Hydrochloride", "indicated_for", "Glucophage is indicated to improve glycemic control."),
        ("Metformin Hydrochloride", "indicated_for", "It is not for type 1 diabetes."),
        ("Metformin Hydrochloride", "has_boxed_warning", "WARNING: LACTIC ACIDOSIS Cases have been fatal."),
    } <= said(knowledge)
    found = claim(knowledge, "indicated_for", "Glucophage is indicated to improve glycemic control.").evidence[0]
    assert (found.field, found.locator.pointer, found.locator.start) == ("indication", "/indications_and_usage/0", 24)


def test_a_drug_is_not_its_own_ingredient() -> None:
    knowledge = extract(label())
    assert not any(predicate == "has_ingredient" for _, predicate, _ in said(knowledge))
    drug = next(e for e in knowledge.entities if e.type == "Drug" and e.name == "Metformin Hydrochloride")
    assert drug.identifiers == (Identifier(scheme="unii", value="786Z46389E"),)


def test_a_label_section_that_is_not_in_the_text_is_quoted_from_its_field() -> None:
    b = builder("openfda-drug-label")
    b.block("Something else.", b.pointer("description", 0))
    b.field("generic_name", "Apixaban", b.pointer("openfda", "generic_name", 0))
    b.field("indication", "For atrial fibrillation.", b.pointer("indications_and_usage", 0))
    found = claim(extract(b.build()), "indicated_for", "For atrial fibrillation.").evidence[0]
    assert (found.start, found.locator.pointer) == (None, "/indications_and_usage/0")


def paper() -> Document:
    b = builder("pubmed-article", "PMID90000002")
    b.title = "Statins"
    b.block("Statins", b.xpath("/a/t"), "title")
    b.block("Atorvastatin lowers cholesterol.", b.xpath("/a/p"))
    b.identifier("pmid", "90000002")
    for name, qualifiers in (
        ("Heart Failure", "drug therapy; mortality"),
        ("Atorvastatin", "therapeutic use"),
        ("Humans", ""),
    ):
        b.field("mesh", name, b.xpath(f"/a/m[{name!r}]"), attributes={"qualifiers": qualifiers})
    b.field("author", "Wei Wang", b.xpath("/a/w[1]"), identifiers=[Identifier(scheme="orcid", value="0000-0001")])
    b.field("author", "Wei Wang", b.xpath("/a/w[2]"), identifiers=[Identifier(scheme="orcid", value="0000-0002")])
    b.field("affiliation", "Example Hospital", b.xpath("/a/aff"))
    b.field("concept", "Medicine", b.xpath("/a/c[1]"), attributes={"score": "0.9"})
    b.field("concept", "Art", b.xpath("/a/c[2]"), attributes={"score": "0.05"})
    b.field("cites", "NCT90000001", b.xpath("/a/r"), identifiers=[Identifier(scheme="nct", value="NCT90000001")])
    return b.build()


def test_descriptors_are_typed_by_their_qualifiers_and_else_are_concepts() -> None:
    kinds = {entity.name: entity.type for entity in extract(paper()).entities}
    assert (kinds["Heart Failure"], kinds["Atorvastatin"], kinds["Humans"]) == ("Condition", "Drug", "Concept")


def test_two_authors_of_one_name_with_different_orcids_are_two_persons() -> None:
    people = [entity for entity in extract(paper()).entities if entity.type == "Person"]
    assert [person.identifiers[0].value for person in people] == ["0000-0001", "0000-0002"]


def test_an_affiliation_that_names_no_author_of_several_is_the_documents() -> None:
    assert ("Statins", "comes_from", "Example Hospital") in said(extract(paper()))


def test_an_only_author_has_the_affiliation() -> None:
    b = builder("pubmed-article")
    b.block("A text.", b.xpath("/a/p"))
    b.field("author", "Ada Example", b.xpath("/a/w"))
    b.field("affiliation", "Example Hospital", b.xpath("/a/aff"))
    assert ("Ada Example", "affiliated_with", "Example Hospital") in said(extract(b.build()))


def test_concepts_with_a_low_score_are_left_out() -> None:
    found = said(extract(paper()))
    assert ("Statins", "about", "Medicine") in found
    assert not any(target == "Art" for _, _, target in found)


def test_a_cited_registration_number_is_a_study() -> None:
    cited = claim(extract(paper()), "cites", "nct:NCT90000001")
    assert cited.object is not None
    assert cited.object.startswith("Study:")


@pytest.mark.parametrize("kind", ["html", "markdown", "text", "unheard-of"])
def test_a_file_is_a_page_unless_it_states_a_publications_identifier(kind: str) -> None:
    b = builder(kind, "notes/a.md")
    b.block("A text.", b.span_of_bytes(0, 7))
    page = extract(b.build()).entities[0]
    assert (page.type, page.identifiers) == ("Page", (Identifier(scheme="source", value="files:notes/a.md"),))
    b.identifier("doi", "10.5555/1")
    assert extract(b.build()).entities[0].type == "Publication"


def test_names_are_found_as_whole_words_only() -> None:
    b = builder("clinicaltrials-study")
    b.block("The heart is an organ.", b.pointer("summary"))
    b.field("condition", "ART", b.pointer("conditions", 0))
    assert claim(extract(b.build()), "studies", "ART").evidence[0].start is None


def test_letters_that_grow_in_lower_case_do_not_shift_the_spans() -> None:
    b = builder("clinicaltrials-study")
    b.block("İİİİ İstanbul. The asthma is severe.", b.pointer("summary"))
    b.field("condition", "Asthma", b.pointer("conditions", 0))
    assert claim(extract(b.build()), "studies", "Asthma").evidence[0].quote == "The asthma is severe."


def test_a_row_is_the_sentence_of_a_table() -> None:
    b = builder("clinicaltrials-study")
    b.table([["arm", "disease"], ["one", "asthma"], ["two", "none"]], b.pointer("t"), header_rows=1)
    b.field("condition", "Asthma", b.pointer("conditions", 0))
    assert claim(extract(b.build()), "studies", "Asthma").evidence[0].quote == "one\tasthma"


def test_a_sentence_without_end_is_not_quoted() -> None:
    b = builder("clinicaltrials-study")
    b.block("word " * 50_000 + "asthma " + "word " * 50_000, b.pointer("summary"))
    b.field("condition", "Asthma", b.pointer("conditions", 0))
    assert claim(extract(b.build()), "studies", "Asthma").evidence[0].start is None


def test_what_is_taken_of_one_field_is_bounded() -> None:
    b = builder("clinicaltrials-study")
    b.block("A text.", b.pointer("summary"))
    for n in range(30):
        b.field("condition", f"condition {n}", b.pointer("conditions", n))
        b.field("intervention", f"drug {n}", b.pointer("drugs", n), attributes={"type": "drug"})
    found = extract(b.build(), limit=10)
    assert len([c for c in found.claims if c.predicate == "studies"]) == 10
    assert len([c for c in found.claims if c.predicate == "investigated_for"]) == 10


def test_the_same_document_gives_the_same_knowledge() -> None:
    assert extract(trial()) == extract(trial())


def test_every_document_gives_at_least_itself() -> None:
    b = builder("text")
    b.block("Nothing in fields.", b.span_of_bytes(0, 18))
    knowledge = extract(b.build())
    assert [entity.type for entity in knowledge.entities] == ["Page"]
    assert knowledge.claims == ()


def test_it_is_an_extract_stage_and_takes_no_unknown_option() -> None:
    assert isinstance(StructuredExtractor(StructuredExtractor.Options()), ExtractStage)
    with pytest.raises(ValueError, match="sentense"):
        StructuredExtractor.Options.model_validate({"sentense": 1})


def test_fields_with_blank_edges_and_long_values_stay_within_bounds() -> None:
    b = builder("clinicaltrials-study")
    b.block("A text.", b.pointer("summary"))
    document = b.build()
    long = Field(name="condition", value="x" * 5_000, locator=b.pointer("conditions", 0))
    knowledge = extract(document.model_copy(update={"fields": (long,)}))
    assert max(len(entity.name) for entity in knowledge.entities) == 1_000
    assert max(len(evidence.quote) for evidence in all_evidence(knowledge)) == 1_000
