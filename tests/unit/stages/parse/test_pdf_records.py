"""The records that say where a PDF may be had: Unpaywall's, CORE's and PMC's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from json_cases import assert_survives, drifted, kept, parse, real, truncations
from locators import untrue_blocks, untrue_fields
from penstock.errors import BadInput
from penstock.ir import Document

UNPAYWALL: dict[str, Any] = {
    "doi": "10.1000/ABC",
    "title": "On  drugs",
    "genre": "journal-article",
    "published_date": "2020-02-03",
    "year": 2020,
    "updated": "2025-05-24T02:33:38Z",
    "journal_name": "Journal",
    "journal_issns": "0028-0836,1476-4687",
    "best_oa_location": {"license": "cc-by", "url_for_pdf": "https://a.org/1.pdf"},
    "oa_locations": [],
    "z_authors": [
        {"raw_author_name": "Ada L", "author_position": "first", "raw_affiliation_strings": ["Uni", "Uni"]},
        {
            "given": "Grace",
            "family": "H",
            "ORCID": "http://orcid.org/0000-0002-1825-0097",
            "affiliation": [{"name": "Navy"}],
        },
        {"family": "Consortium"},
    ],
}
CORE: dict[str, Any] = {
    "id": 7,
    "doi": "10.1000/ABC",
    "arxivId": "1904.10788",
    "pubmedId": "77",
    "title": "On drugs",
    "abstract": "First.\n\nSecond.",
    "language": {"code": "en", "name": "English"},
    "authors": [{"name": "L, Ada"}, {"name": "H, Grace"}],
    "publishedDate": "2019-05-09T01:00:00",
    "yearPublished": 2018,
    "updatedDate": "2021-08-10T16:23:19",
    "documentType": "research",
    "journals": [{"title": "Journal", "identifiers": ["issn:0028-0836", "x"]}],
    "license": "CC-BY",
    "downloadUrl": "",
    "dataProviders": [],
}
PMC: dict[str, Any] = {
    "pmcid": "PMC7",
    "version": 2,
    "pmid": 77,
    "doi": "10.1000/ABC",
    "title": "On drugs",
    "citation": "Chic Med Exam. 1867 Jan;8(1):54-64.",
    "is_pmc_openaccess": True,
    "is_retracted": True,
    "license_code": "CC BY-NC",
}
RECORDS = {"unpaywall-record": UNPAYWALL, "core-work": CORE, "pmc-record": PMC}
FOLDERS = {
    "unpaywall-record": "scholarly/unpaywall",
    "core-work": "scholarly/core",
    "pmc-record": "jats_pubmed/pmc_oa",
}


def said(document: Document) -> list[tuple[Any, ...]]:
    return [(f.name, f.value, [(i.scheme, i.value) for i in f.identifiers], f.attributes) for f in document.fields]


def named(document: Document) -> set[tuple[str, str]]:
    return {(i.scheme, i.value) for i in document.identifiers}


def dated(document: Document) -> list[tuple[str, str]]:
    return [(date.kind, date.value) for date in document.dates]


def test_what_unpaywall_says_of_an_article() -> None:
    document = parse("unpaywall-record", UNPAYWALL)
    assert (document.title, document.text) == ("On drugs", "On  drugs")
    assert named(document) == {("doi", "10.1000/abc")}
    assert dated(document) == [("published", "2020-02-03"), ("updated", "2025-05-24")]
    assert said(document) == [
        ("author", "Ada L", [], {"position": "first"}),
        ("affiliation", "Uni", [], {}),
        ("author", "Grace H", [("orcid", "0000-0002-1825-0097")], {"position": "middle"}),
        ("affiliation", "Navy", [], {}),
        ("author", "Consortium", [], {"position": "last"}),
        ("journal", "Journal", [("issn", "0028-0836"), ("issn", "1476-4687")], {}),
        ("publication_type", "journal-article", [], {}),
        ("licence", "cc-by", [], {}),
    ]
    closed = {**UNPAYWALL, "published_date": None, "best_oa_location": None, "z_authors": None, "journal_issns": None}
    assert dated(parse("unpaywall-record", closed))[0] == ("published", "2020")


def test_what_core_says_of_a_work() -> None:
    document = parse("core-work", CORE)
    assert (document.title, document.text, document.language) == ("On drugs", "On drugs\n\nFirst.\n\nSecond.", "en")
    (abstract,) = document.sections
    assert document.text[abstract.start : abstract.end] == "First.\n\nSecond."
    assert named(document) == {("core", "7"), ("arxiv", "1904.10788"), ("doi", "10.1000/abc"), ("pmid", "77")}
    assert dated(document) == [("published", "2019-05-09"), ("updated", "2021-08-10")]
    assert said(document) == [
        ("author", "L, Ada", [], {"position": "first"}),
        ("author", "H, Grace", [], {"position": "last"}),
        ("journal", "Journal", [("issn", "0028-0836")], {}),
        ("publication_type", "research", [], {}),
        ("licence", "CC-BY", [], {}),
    ]


def test_what_pmc_says_of_an_article() -> None:
    document = parse("pmc-record", PMC)
    assert named(document) == {("pmcid", "PMC7"), ("pmid", "77"), ("doi", "10.1000/abc")}
    assert dated(document) == [("published", "1867-01")]
    assert said(document) == [
        ("journal", "Chic Med Exam", [], {}),
        ("licence", "CC BY-NC", [], {}),
        ("status", "retracted", [], {}),
    ]


@pytest.mark.parametrize(
    ("citation", "journal", "published"),
    [
        ("PLoS Biol. 2003 Oct 18; 1(1):e5", "PLoS Biol", "2003-10-18"),
        ("J. Biol. Chem. 1998;8:1", "J. Biol. Chem", "1998"),
        ("Nature. 2020.", "Nature", "2020"),
        ("Cancer Res. Author manuscript; Available in PMC 2011 Jun 15.", None, None),
        ("", None, None),
        (". " * 5_000, None, None),
    ],
)
def test_a_citation_says_journal_and_date_unless_it_is_a_manuscripts(
    citation: str, journal: str | None, published: str | None
) -> None:
    document = parse("pmc-record", {**PMC, "citation": citation})
    assert next((f.value for f in document.fields if f.name == "journal"), None) == journal
    assert next((date.value for date in document.dates), None) == published


@pytest.mark.parametrize(("kind", "count"), [("unpaywall-record", 6), ("core-work", 1), ("pmc-record", 1)])
def test_every_recorded_record_leads_back_to_its_bytes(data: Path, kind: str, count: int) -> None:
    payloads = real(data / FOLDERS[kind], kind)
    assert len(payloads) == count
    for payload in payloads:
        record = json.loads(payload.content)
        document = parse(kind, payload.content)
        assert document.title == " ".join(record["title"].split())
        assert kept([record["title"], record.get("abstract") or ""], document) == 1.0
        assert ("doi", record["doi"].lower()) in named(document)
        authors = record.get("z_authors") or record.get("authors") or []
        assert len([f for f in document.fields if f.name == "author"]) == len(authors)
        assert untrue_blocks(payload.content, document) == []
        joined = {f"{each.get('given')} {each.get('family')}" for each in authors}
        assert [item for item in untrue_fields(payload.content, document) if item[1] not in joined] == []


@pytest.mark.parametrize("kind", RECORDS)
def test_a_record_without_words_is_empty(kind: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse(kind, {**RECORDS[kind], "title": None, "abstract": None})
    assert caught.value.reason == "empty"


@pytest.mark.parametrize("kind", RECORDS)
def test_every_way_a_value_can_change_its_type_is_borne_or_named(kind: str) -> None:
    exact = {key: value for key, value in RECORDS[kind].items() if key != "is_retracted"}
    if kind == "unpaywall-record":  # a name put together of two stands nowhere as it reads
        exact["z_authors"] = exact["z_authors"][:1]
    for content in drifted(exact):
        assert_survives(kind, content)


@pytest.mark.parametrize("author", [{"given": 7}, {"family": []}, {"ORCID": {}}, {"affiliation": "x"}, "Ada L"])
def test_an_author_of_another_shape_is_refused(author: object) -> None:
    with pytest.raises(BadInput, match="/z_authors/0") as caught:
        parse("unpaywall-record", {**UNPAYWALL, "z_authors": [author]})
    assert caught.value.reason == "schema"


@pytest.mark.parametrize("kind", RECORDS)
def test_a_record_cut_short_is_refused(kind: str) -> None:
    for content in truncations(json.dumps(RECORDS[kind]).encode()):
        with pytest.raises(BadInput) as caught:
            parse(kind, content)
        assert caught.value.reason in ("truncated", "malformed", "empty")
