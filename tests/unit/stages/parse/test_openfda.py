from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from json_cases import assert_leads_back, assert_survives, drifted, kept, parse, readable, real, truncations
from penstock.errors import BadInput

KIND = "openfda-drug-label"
TABLE = (
    "<table><caption>Doses</caption><thead><tr><th>Age</th><th>Dose</th></tr></thead>"
    "<tr><td rowspan=2>adult</td><td>1 <b>mg</b></td></tr><tr><td>2 mg</td></tr></table>"
)
LABEL: dict[str, Any] = {
    "spl_product_data_elements": ["Drugol drugolum DRUGOLUM"],
    "dosage_and_administration_table": [TABLE],
    "dosage_and_administration": ["Take one."],
    "drug_interactions": ["None known."],
    "indications_and_usage": ["For pain.\n\nAnd fever."],
    "boxed_warning": ["Beware."],
    "clinical_studies_table": [TABLE],
    "version": "3",
    "set_id": "ABC-1",
    "id": "v-1",
    "effective_time": "20240229",
    "@epoch": 1.5,
    "openfda": {
        "brand_name": ["Drugol"],
        "generic_name": ["DRUGOLUM"],
        "substance_name": ["DRUGOLUM"],
        "unii": ["U1"],
        "rxcui": ["1", "2"],
        "manufacturer_name": ["Maker"],
        "route": ["ORAL"],
        "pharm_class_epc": ["Painkiller [EPC]"],
        "is_original_packager": [True],
        "application_number": ["NDA1"],
    },
}


def test_every_real_label_leads_back_to_its_bytes_and_keeps_its_words(data: Path) -> None:
    labels = list(readable(real(data / "openfda", KIND)))
    assert len(labels) == 4
    for record, document, payload in labels:
        assert_leads_back(document, payload.content)
        assert document.title == record["openfda"]["brand_name"][0]
        texts = [text for key, value in record.items() if isinstance(value, list) for text in value if "<" not in text]
        assert kept(texts, document) == 1.0
        tables = [text for key, value in record.items() if key.endswith("_table") for text in value]
        assert Counter(table.html for table in document.tables) == Counter(tables)


def test_the_most_telling_sections_come_first_and_tables_with_theirs() -> None:
    document = parse(KIND, LABEL)
    assert [section.heading for section in document.sections] == [
        "Product",
        "Boxed warning",
        "Indications and usage",
        "Dosage and administration",
        "Drug interactions",
        "Clinical studies",
        "Product data elements",
    ]
    dosage = document.sections[3]
    assert document.text[dosage.start : dosage.end] == "Take one.\n\nDoses\nAge\tDose\nadult\t1 mg\nadult\t2 mg"
    assert (document.tables[0].caption, document.tables[0].header_rows) == ("Doses", 1)


def test_a_label_says_in_fields_what_it_says_in_fields() -> None:
    document = parse(KIND, LABEL)
    said = [(f.name, f.value, [(i.scheme, i.value) for i in f.identifiers], f.attributes) for f in document.fields]
    assert said == [
        ("brand_name", "Drugol", [], {}),
        ("generic_name", "DRUGOLUM", [], {}),
        ("ingredient", "DRUGOLUM", [("unii", "U1"), ("rxcui", "1"), ("rxcui", "2")], {}),
        ("manufacturer", "Maker", [], {}),
        ("route", "ORAL", [], {}),
        ("pharm_class", "Painkiller [EPC]", [], {"type": "EPC"}),
        ("warning", "Beware.", [], {"type": "boxed"}),
        ("indication", "For pain.\n\nAnd fever.", [], {}),
        ("interaction", "None known.", [], {}),
    ]
    assert {(i.scheme, i.value) for i in document.identifiers} == {
        ("spl-set-id", "abc-1"),
        ("spl-id", "v-1"),
        ("fda-application", "NDA1"),
    }
    assert [(date.kind, date.value) for date in document.dates] == [("published", "2024-02-29")]


def test_codes_are_not_guessed_where_a_product_has_several_substances() -> None:
    openfda = {**LABEL["openfda"], "substance_name": ["A", "B"], "unii": ["UB", "UA"]}
    document = parse(KIND, {**LABEL, "openfda": openfda})
    assert [f.identifiers for f in document.fields if f.name == "ingredient"] == [(), ()]


def test_a_label_without_its_openfda_block_still_has_a_name() -> None:
    document = parse(KIND, {"spl_product_data_elements": ["Aspirin " * 40], "warnings": ["Reye's syndrome"]})
    assert document.title == " ".join(["Aspirin"] * 12)
    assert "Reye's syndrome" in document.text


def test_a_section_may_be_a_bare_string() -> None:
    assert parse(KIND, {"warnings": "Careful."}).fields[0].locator.pointer == "/warnings"


def test_a_label_that_says_nothing_is_empty() -> None:
    for record in ({}, {"openfda": {}}, {"set_id": "x", "version": "1"}):
        with pytest.raises(BadInput) as caught:
            parse(KIND, record)
        assert caught.value.reason == "empty"


@pytest.mark.parametrize(
    "markup", ["", "<<<", "no table, <b>words</b>", "<table>", "<table><tr><td colspan=99999>x", "\x00"]
)
def test_a_table_that_is_none_does_no_harm(markup: str) -> None:
    document = parse(KIND, {"warnings": ["Careful."], "warnings_table": [markup]})
    assert document.text.startswith("Careful.")
    assert ("words" in document.text) == ("words" in markup)


def test_every_way_a_value_can_change_its_type_is_borne_or_named() -> None:
    for content in drifted(LABEL):
        assert_survives(KIND, content)


def test_every_real_label_cut_short_is_refused_and_nothing_worse(data: Path) -> None:
    for payload in real(data / "openfda", KIND):
        for content in truncations(payload.content):
            assert_survives(KIND, content)
