"""When names and identifiers are the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.ir import Identifier
from penstock.ledger.graph_names import MAX_NAME, canonical, fold, identity, key_of


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Metformin", "METFORMIN"),
        ("  type 2\ndiabetes ", "Type 2 Diabetes"),
        ("Alzheimer's Disease", "Alzheimer’s disease"),
        ("Lipitor®", "Lipitor"),
        ("Lipitor™", "LIPITOR"),
        ("COVID-19", "COVID‑19"),
        ("non-small cell", "Non small-cell"),
        ("Diabetes Mellitus, Type 2", "diabetes mellitus type 2"),
        ("ﬁbrosis", "fibrosis"),
        ("Straße", "STRASSE"),
        ("Inc.", "Inc"),
    ],
)
def test_spellings_of_one_name_fold_to_one(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("CD4+", "CD4"),
        ("1.5 mg", "15 mg"),
        ("vitamin B1", "vitamin B12"),
        ("a/b", "ab"),
        ("痛み", "痛"),
        ("?", "!"),
        ("café", "cafe"),
    ],
)
def test_different_names_stay_different(one: str, other: str) -> None:
    assert fold(one) != fold(other)


@given(st.text(max_size=400))
def test_folding_is_bounded_and_never_loses_a_whole_name(name: str) -> None:
    assert len(fold(name)) <= MAX_NAME
    assert bool(fold(name)) == bool(name)


@pytest.mark.parametrize(
    ("scheme", "value", "wanted"),
    [
        ("DOI", " 10.5555/ABC ", ("doi", "10.5555/abc")),
        ("nct", "nct90000001", ("nct", "NCT90000001")),
        ("orcid", "0000-0002-1825-009x", ("orcid", "0000-0002-1825-009X")),
        ("openalex", "keywords/metformin", ("openalex", "keywords/metformin")),
        ("local", "MixedCase", ("local", "MixedCase")),
        ("mesh", " ", None),
        ("mesh", "D" * 400, None),
    ],
)
def test_identifiers_have_one_form(scheme: str, value: str, wanted: tuple[str, str] | None) -> None:
    assert canonical(Identifier(scheme=scheme, value=value)) == wanted


def test_a_person_with_an_identifier_is_that_person_and_a_drug_is_its_name() -> None:
    assert identity("Person", "Wei Wang", [("orcid", "0000-2"), ("openalex", "A1")]) == "openalex:A1"
    assert identity("Person", "Wei  WANG", []) == "wei wang"
    assert identity("Drug", "Metformin", [("mesh", "D008687")]) == "metformin"


def test_keys_tell_absent_from_empty_and_one_part_from_two() -> None:
    parts: list[tuple[str | None, ...]] = [("a", None), ("a", ""), ("a",), ("", "a"), ("a", "b"), ("ab",), ("a1:b",)]
    assert len({key_of(*part) for part in parts}) == len(parts)
    assert key_of("Drug", "metformin") == "i4fgek4scoy2mxiw"
