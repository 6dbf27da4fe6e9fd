from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from json_cases import (
    assert_leads_back,
    assert_survives,
    drifted,
    kept,
    parse,
    prose_under,
    readable,
    real,
    truncations,
)
from penstock.errors import BadInput

KIND = "clinicaltrials-study"
PROSE = frozenset(
    {
        *("briefTitle", "officialTitle", "briefSummary", "detailedDescription", "description", "eligibilityCriteria"),
        *("studyPopulation", "genderDescription", "interventionModelDescription", "maskingDescription", "conditions"),
        *("keywords", "otherNames", "measure", "populationDescription", "preAssignmentDetails", "recruitmentDetails"),
        *("groupDescription", "estimateComment", "accessCriteria"),
    }
)
STUDY: dict[str, Any] = {
    "protocolSection": {
        "identificationModule": {"nctId": "NCT00000001", "briefTitle": "Drug A for B", "orgStudyIdInfo": {"id": "X-1"}},
        "statusModule": {
            "overallStatus": "COMPLETED",
            "startDateStruct": {"date": "2020-01"},
            "studyFirstPostDateStruct": {"date": "2019-12-31"},
            "completionDateStruct": {"date": "soon"},
        },
        "sponsorCollaboratorsModule": {"leadSponsor": {"name": "Sponsor", "class": "INDUSTRY"}},
        "descriptionModule": {"briefSummary": "One.\n\nTwo \ud800 \x00."},
        "conditionsModule": {"conditions": ["B "], "keywords": ["k"]},
        "designModule": {"phases": ["PHASE2"], "enrollmentInfo": {"count": 12, "type": "ACTUAL"}},
        "armsInterventionsModule": {
            "armGroups": [{"label": "Arm", "type": "EXPERIMENTAL", "description": "What is done"}],
            "interventions": [{"type": "DRUG", "name": "Drug A", "otherNames": ["A"]}],
        },
        "outcomesModule": {"primaryOutcomes": [{"measure": "Pain", "timeFrame": "1 year"}]},
        "eligibilityModule": {"eligibilityCriteria": "Inclusion Criteria:\n\n* adults\n\nExclusion Criteria:\n\n* no"},
        "contactsLocationsModule": {"locations": [{"country": "France"}, {"country": "France"}, {"country": "Chad"}]},
        "referencesModule": {"references": [{"pmid": "123", "type": "RESULT", "citation": "Some work."}]},
    },
    "derivedSection": {
        "conditionBrowseModule": {"meshes": [{"id": "D000003924", "term": "Diabetes Mellitus, Type 2"}]},
        "interventionBrowseModule": {"meshes": [{"id": "D000077205", "term": "Liraglutide"}]},
    },
}


def test_every_real_study_leads_back_to_its_bytes_and_keeps_its_words(data: Path) -> None:
    studies = list(readable(real(data / "ctgov", KIND)))
    assert len(studies) == 181
    for record, document, payload in studies:
        assert_leads_back(document, payload.content)
        title = record["protocolSection"]["identificationModule"]["briefTitle"]
        assert document.title == " ".join(title.split())
        assert kept(list(prose_under(record, PROSE)), document) >= 0.95, payload.origin
        said = {(field.name, field.value) for field in document.fields}
        protocol = record["protocolSection"]
        assert {("condition", c.strip()) for c in protocol["conditionsModule"]["conditions"]} <= said
        assert ("sponsor", protocol["sponsorCollaboratorsModule"]["leadSponsor"]["name"].strip()) in said


def test_real_results_come_as_tables(data: Path) -> None:
    for record, document, _ in readable(real(data / "ctgov", KIND)):
        results = record.get("resultsSection")
        if results:
            captions = {table.caption for table in document.tables}
            cells = {cell for table in document.tables for row in table.rows for cell in row}
            assert cells >= {g["title"] for g in results["participantFlowModule"]["groups"]}
            events = results.get("adverseEventsModule", {}).get("otherEvents", [])
            assert ("Other adverse events" in captions) == bool(events)
            assert cells >= {event["term"] for event in events}
            for table in document.tables:
                assert len({len(row) for row in table.rows}) == 1
                assert document.text[table.start : table.end].count("\n") >= len(table.rows) - 1


def test_a_study_says_in_fields_what_it_says_in_fields() -> None:
    document = parse(KIND, STUDY)
    fields = {field.name: field for field in document.fields}
    assert fields["condition"].value == "B"
    assert fields["intervention"].attributes == {"type": "DRUG"}
    assert fields["outcome"].attributes == {"rank": "primary", "time_frame": "1 year"}
    assert fields["enrollment"].value == "12"
    assert [field.value for field in document.fields if field.name == "country"] == ["France", "Chad"]
    assert [(date.kind, date.value) for date in document.dates] == [("published", "2019-12-31"), ("start", "2020-01")]
    assert {(i.scheme, i.value) for i in document.identifiers} == {("nct", "NCT00000001"), ("org-study-id", "X-1")}
    assert [identifier.value for identifier in document.references[0].identifiers] == ["123"]


def test_mesh_numbers_that_the_registry_padded_are_unpadded() -> None:
    mesh = [field for field in parse(KIND, STUDY).fields if field.name == "mesh"]
    assert [(field.identifiers[0].value, field.attributes["about"]) for field in mesh] == [
        ("D003924", "condition"),
        ("D000077205", "intervention"),
    ]


def test_criteria_are_sections_of_their_own() -> None:
    document = parse(KIND, STUDY)
    sections = {section.heading: document.text[section.start : section.end] for section in document.sections}
    assert sections["Inclusion Criteria:"] == "Inclusion Criteria:\n\n* adults"
    assert sections["Eligibility"].endswith("* no")


def test_unstorable_characters_are_replaced_one_for_one() -> None:
    assert "Two \ufffd \ufffd." in parse(KIND, STUDY).text


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ({"protocolSection": []}, "/protocolSection is missing"),
        (
            {"protocolSection": {"conditionsModule": {"conditions": "B"}}},
            "/protocolSection/conditionsModule/conditions",
        ),
        ({"protocolSection": {"conditionsModule": [1]}}, "/protocolSection/conditionsModule should be an object"),
    ],
)
def test_a_changed_schema_is_refused_by_its_place(record: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says) as caught:
        parse(KIND, record)
    assert caught.value.reason == "schema"


def test_every_way_a_value_can_change_its_type_is_borne_or_named() -> None:
    for content in drifted(STUDY):
        assert_survives(KIND, content)


def test_every_real_study_cut_short_is_refused_and_nothing_worse(data: Path) -> None:
    for payload in real(data / "ctgov", KIND)[::4]:
        for content in truncations(payload.content):
            assert_survives(KIND, content)


@pytest.mark.parametrize(
    "content", [b"[" * 100_000, b'{"protocolSection":' * 100_000, b'{"protocolSection": NaN}', b"\x00"]
)
def test_hostile_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(BadInput) as caught:
        parse(KIND, content)
    assert caught.value.reason == "malformed"
