from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from json_cases import assert_leads_back, assert_survives, drifted, kept, parse, readable, real, truncations
from penstock.errors import BadInput

KIND = "openalex-work"
WORK: dict[str, Any] = {
    "id": "https://openalex.org/W1",
    "doi": "https://doi.org/10.1000/ABC",
    "title": "On  <i>drugs</i>",
    "display_name": "Another name",
    "language": "en",
    "publication_date": "2020-02-03",
    "updated_date": "2021-01-01T10:00:00",
    "ids": {"pmid": "https://pubmed.ncbi.nlm.nih.gov/77", "pmcid": "https://www.ncbi.nlm.nih.gov/pmc/articles/88"},
    "abstract_inverted_index": {"is": [1], "This": [0], "good": [3, 9_000_000_000_000], "very": [2]},
    "authorships": [
        {
            "author_position": "first",
            "author": {
                "display_name": "Ada L",
                "id": "https://openalex.org/A1",
                "orcid": "https://orcid.org/0000-0001",
            },
            "institutions": [{"display_name": "Uni", "id": "https://openalex.org/I1", "ror": "https://ror.org/05abc"}],
        },
        {"author": {"display_name": None}, "raw_author_name": "Raw N", "institutions": [{"display_name": "Uni"}]},
    ],
    "concepts": [
        {
            "display_name": "C",
            "id": "https://openalex.org/C1",
            "wikidata": "https://www.wikidata.org/wiki/Q5",
            "score": 0.5,
        }
    ],
    "mesh": [
        {"descriptor_ui": "D1", "descriptor_name": "Mesh", "is_major_topic": True, "qualifier_name": "q"},
        {"descriptor_ui": "", "descriptor_name": "Minor", "is_major_topic": False, "qualifier_name": None},
    ],
    "primary_location": {"source": {"display_name": "Journal", "issn": ["1234-5678"]}},
    "grants": [{"funder": "https://openalex.org/F1", "funder_display_name": "Fund", "award_id": "G-1"}],
    "awards": [{"funder_id": "https://openalex.org/F2", "funder_display_name": "Trust", "funder_award_id": "G-2"}],
    "type": "article",
    "is_retracted": True,
    "referenced_works": ["https://openalex.org/W2"],
}


def restored(index: dict[str, list[int]] | None) -> str:
    places = {place: word for word, at in (index or {}).items() for place in at}
    return " ".join(places[place] for place in sorted(places))


def test_every_real_work_leads_back_to_its_bytes_and_keeps_its_words(data: Path) -> None:
    works = list(readable(real(data / "openalex", KIND)))
    assert len(works) == 206
    for record, document, payload in works:
        assert_leads_back(document, payload.content)
        abstract = restored(record.get("abstract_inverted_index"))
        assert document.title == " ".join((record["title"] or abstract[:200]).split())
        assert kept([record["title"] or "", abstract], document) == 1.0
        if abstract.strip():
            section = next(section for section in document.sections if section.heading == "Abstract")
            assert document.text[section.start : section.end] == abstract
        assert [f.value for f in document.fields if f.name == "cites"] == record["referenced_works"]
        assert len([f for f in document.fields if f.name == "author"]) == len(record["authorships"])


def test_a_work_says_in_fields_what_it_says_in_fields() -> None:
    document = parse(KIND, WORK)
    assert document.title == "On <i>drugs</i>"
    assert document.text == "On  <i>drugs</i>\n\nThis is very good good"
    said = [(f.name, f.value, [(i.scheme, i.value) for i in f.identifiers], f.attributes) for f in document.fields]
    assert said == [
        ("author", "Ada L", [("orcid", "0000-0001"), ("openalex", "A1")], {"position": "first"}),
        ("affiliation", "Uni", [("ror", "05abc"), ("openalex", "I1")], {}),
        ("author", "Raw N", [], {}),
        ("concept", "C", [("openalex", "C1"), ("wikidata", "Q5")], {"score": "0.5"}),
        ("mesh", "Mesh", [("mesh", "D1")], {"major": "yes", "qualifiers": "q"}),
        ("mesh", "Minor", [], {}),
        ("funder", "Fund", [("openalex", "F1")], {"grant": "G-1"}),
        ("funder", "Trust", [("openalex", "F2")], {"grant": "G-2"}),
        ("journal", "Journal", [("issn", "1234-5678")], {}),
        ("publication_type", "article", [], {}),
        ("status", "retracted", [], {}),
        ("cites", "https://openalex.org/W2", [("openalex", "W2")], {}),
    ]
    assert {(i.scheme, i.value) for i in document.identifiers} == {
        ("openalex", "W1"),
        ("doi", "10.1000/abc"),
        ("pmid", "77"),
        ("pmcid", "PMC88"),
    }
    assert [(d.kind, d.value) for d in document.dates] == [("published", "2020-02-03"), ("updated", "2021-01-01")]


def test_an_abstract_is_not_said_to_stand_in_the_bytes_as_it_reads() -> None:
    block = parse(KIND, WORK).blocks[-1]
    assert not block.exact
    assert block.locator.pointer == "/abstract_inverted_index"


def test_a_work_without_title_or_abstract_is_empty() -> None:
    with pytest.raises(BadInput) as caught:
        parse(KIND, {**WORK, "title": None, "display_name": "", "abstract_inverted_index": None})
    assert caught.value.reason == "empty"


def test_every_way_a_value_can_change_its_type_is_borne_or_named() -> None:
    for content in drifted(WORK):
        assert_survives(KIND, content)


def test_every_real_work_cut_short_is_refused_and_nothing_worse(data: Path) -> None:
    for payload in real(data / "openalex", KIND)[::4]:
        for content in truncations(payload.content):
            assert_survives(KIND, content)


@pytest.mark.parametrize(
    ("index", "reason"),
    [({"a": ["x"]}, "schema"), ({"a": 1}, "schema"), ([], "schema"), ("text", "schema"), ({"a": [1.5]}, "schema")],
)
def test_a_broken_index_is_refused(index: object, reason: str) -> None:
    with pytest.raises(BadInput, match="/abstract_inverted_index") as caught:
        parse(KIND, json.dumps({**WORK, "abstract_inverted_index": index}).encode())
    assert caught.value.reason == reason
