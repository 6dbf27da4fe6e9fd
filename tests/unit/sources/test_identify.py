from __future__ import annotations

import json

import pytest

from penstock.sources.identify import NO_RECORDS, Identity, identify_json, identify_xml


def study(nct: object) -> dict[str, object]:
    return {"derivedSection": {"nctId": "NCT99999999"}, "protocolSection": {"identificationModule": {"nctId": nct}}}


@pytest.mark.parametrize(
    ("record", "kind", "source_id"),
    [
        (study("NCT01234567"), "clinicaltrials-study", "NCT01234567"),
        (study("not an id"), "clinicaltrials-study", ""),
        (study(["NCT01234567"]), "clinicaltrials-study", ""),
        ({"protocolSection": None}, "clinicaltrials-study", ""),
        ({"FullStudiesResponse": {}}, "clinicaltrials-legacy", ""),
        ({"Rank": 1, "Study": {"ProtocolSection": {}}}, "clinicaltrials-legacy", ""),
        ({"id": "https://openalex.org/W123", "doi": "https://doi.org/10.1000/X"}, "openalex-work", "W123"),
        ({"abstract_inverted_index": None, "doi": "https://doi.org/10.1000/ABC"}, "openalex-work", "10.1000/abc"),
        ({"open_access": {}, "doi": None}, "openalex-work", ""),
        ({"id": "https://openalex.org/A123"}, "openalex-entity", ""),
        ({"meta": {}, "results": [], "group_by": [{"key": "x"}]}, "openalex-groups", ""),
        ({"set_id": "ABC-1", "openfda": {}}, "openfda-drug-label", "abc-1"),
        ({"set_id": "x" * 1000, "openfda": {}}, "openfda-drug-label", ""),
        ({"spl_product_data_elements": ["Aspirin"]}, "openfda-drug-label", ""),
        ({"safetyreportid": "1", "patient": {}}, "openfda-drug-event", ""),
        ({"application_number": "NDA1", "sponsor_name": "X", "products": []}, "openfda-drugsfda", ""),
        ({"product_ndc": "1-2", "labeler_name": "X"}, "openfda-drug-ndc", ""),
        ({"recall_number": "D-1"}, "openfda-enforcement", ""),
        ({"doi": "10.1000/ABC", "oa_locations": [], "best_oa_location": None}, "unpaywall-record", "10.1000/abc"),
        ({"doi": None, "oa_locations": [], "best_oa_location": None}, "unpaywall-record", ""),
        ({"id": 7, "downloadUrl": None, "dataProviders": []}, "core-work", "7"),
        ({"id": [], "downloadUrl": None, "dataProviders": []}, "core-work", ""),
        ({"pmcid": "PMC7", "version": 1, "is_pmc_openaccess": True}, "pmc-record", "PMC7"),
        ({"pmcid": 7, "version": 1, "is_pmc_openaccess": True}, "pmc-record", ""),
        ({"error": {"code": "NOT_FOUND"}}, "api-error", ""),
        ({"error": "x", "message": "y"}, "api-error", ""),
        ({"$schema": "x"}, "json-schema", ""),
        ({}, "json", ""),
        ([1], "json", ""),
        ("words", "json", ""),
    ],
)
def test_a_record_says_what_it_is_and_what_it_is_called(record: object, kind: str, source_id: str) -> None:
    assert identify_json(json.dumps(record).encode()) == Identity(kind, source_id)


@pytest.mark.parametrize("answer", [{"meta": {}, "results": []}, {"studies": []}, {"results": [], "group_by": []}])
def test_an_answer_that_lists_nothing_is_no_document(answer: object) -> None:
    assert identify_json(json.dumps(answer).encode()) is NO_RECORDS


@pytest.mark.parametrize(
    ("content", "kind"), [(b'{"a": ', "truncated"), (b"{a}", "malformed"), (b"[" * 100_000, "malformed")]
)
def test_what_cannot_be_read_is_named_for_its_fault(content: bytes, kind: str) -> None:
    found = identify_json(content)
    assert found.kind == kind
    assert found.note


ARTICLE = b"""<article><front><article-meta>%s</article-meta></front><back><ref>
<article-id pub-id-type="pmc">PMC9</article-id></ref></back></article>"""


@pytest.mark.parametrize(
    ("ids", "source_id"),
    [
        (b'<article-id pub-id-type="pmc">123</article-id>', "PMC123"),
        (b"<article-id custom='1' pub-id-type = 'pmcid'> PMC123 </article-id>", "PMC123"),
        (b'<article-id pub-id-type="pmid">7</article-id><article-id pub-id-type="doi">10.1/A</article-id>', ""),
        (
            b'<article-id pub-id-type="pmid">7</article-id><article-id pub-id-type="doi">10.1000/A&lt;1</article-id>',
            "10.1000/a<1",
        ),
        (b'<article-id pub-id-type="pmid">7</article-id>', ""),
        (b"", ""),
    ],
)
def test_an_article_is_called_by_its_pmcid_else_its_doi(ids: bytes, source_id: str) -> None:
    assert identify_xml(ARTICLE % ids, "jats-article") == Identity("jats-article", source_id)


def test_a_pubmed_record_is_called_by_its_own_pmid_and_not_by_one_it_cites() -> None:
    record = b'<PubmedArticle><PMID Version="1">12</PMID><CommentsCorrections><PMID>99</PMID></CommentsCorrections>'
    assert identify_xml(record, "pubmed-article") == Identity("pubmed-article", "12")
