"""Names found in text: as whole words, however they are spelt, where they stand to the character."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from penstock.errors import UsageError
from penstock.stages.extract.matching import Matcher, Rules
from penstock.stages.extract.vocabulary import Term


def matcher(*names: str | tuple[str, ...], **rules: object) -> Matcher:
    """Of one term for each name or group of them, whose id is the first."""
    groups = [(name,) if isinstance(name, str) else name for name in names]
    return Matcher([Term(f"x:{group[0]}", "Drug", list(group)) for group in groups], Rules(**rules))  # type: ignore[arg-type]


def found(text: str, *names: str | tuple[str, ...], **rules: object) -> list[str]:
    return [text[start:end] for start, end, _ in matcher(*names, **rules).find(text)]


def test_names_are_whole_words() -> None:
    assert found("aspirin, (aspirin) aspirin's; aspirins2 caspirin aspirin_b", "aspirin") == ["aspirin"] * 3
    assert found("no café here, nor cafe\u0301", "cafes and", "cafe two", "cafes") == []


def test_blanks_line_ends_and_hyphens_part_words_alike_and_nothing_else_does() -> None:
    text = "beta-blocker, beta  blocker; Beta\nblockers beta‐blocker"
    assert found(text, "beta blocker") == ["beta-blocker", "beta  blocker", "Beta\nblockers", "beta‐blocker"]
    assert found("lithium. Carbonate, lithium / carbonate lithium\tcarbonate", "lithium carbonate") == []


def test_punctuation_of_a_name_must_be_there() -> None:
    assert found("2,4-D and 2.4-D; IgA(1)", "2,4-D", "IgA(1)", exact_up_to=0) == ["2,4-D", "IgA(1)"]


def test_the_longest_name_counts_and_of_overlapping_ones_the_first() -> None:
    names = ("cancer", "breast cancer", "lung", "cancer of the lung", "of the")
    assert found("breast cancer of the lung", *names) == ["breast cancer", "of the", "lung"]
    assert found("cancer of the liver", *names) == ["cancer", "of the"]
    assert found("breast cancer", *names, longest=False) == ["breast cancer", "cancer"]


def test_case_folds_by_option() -> None:
    assert found("Aspirin ASPIRIN aspirin", "aspirin") == ["Aspirin", "ASPIRIN", "aspirin"]
    assert found("Aspirin ASPIRIN aspirin", "aspirin", fold_case=False) == ["aspirin"]


@pytest.mark.parametrize(
    ("one", "many"),
    [
        ("seizure", "seizures"),
        ("neuropathy", "neuropathies"),
        ("metastasis", "metastases"),
        ("stenosis", "stenoses"),
        ("abscess", "abscesses"),
        ("virus", "viruses"),
        ("headache", "headaches"),
        ("disease", "diseases"),
        ("phosphatase", "phosphatases"),
        ("SEIZURE", "SEIZURES"),
    ],
)
def test_plurals_fold_by_option_and_both_ways(one: str, many: str) -> None:
    assert found(f"a {many} b", one) == [many]
    assert found(f"a {one} b", many) == [one]
    assert found(f"a {many} b", one, fold_plurals=False) == []


def test_an_abbreviation_ending_in_s_is_no_plural() -> None:
    assert found("AIDS aid Aids aids", "AIDS") == ["AIDS"]
    assert found("AID", "AIDS", exact_up_to=0) == []
    assert found("the virus, viru", "virus") == ["virus"]


def test_short_names_keep_their_case_but_for_the_beginning_of_a_sentence_and_a_plural() -> None:
    assert found("ALL. All patients, all PVCs, PVC pvc", "ALL", "PVC") == ["ALL", "PVCs", "PVC"]
    assert found("Gout or gout, not GOUT", "gout") == ["Gout", "gout"]
    assert found("gOut", "gout") == []
    assert found("all ALL pvc", "ALL", "PVC", exact_up_to=2) == ["ALL", "pvc"]


def test_a_name_spelt_like_a_common_word_is_meant_only_in_capitals() -> None:
    assert found("It was so. All patients with WAS and ALL", "was", "all") == ["WAS", "ALL"]


def test_names_too_short_stopped_or_without_letters_are_not_looked_for() -> None:
    assert found("a B 12 50% x", "a", "B", "12", "50%", "x") == []
    assert found("Patient and patients take aspirin", "patient", "aspirin", stop=frozenset({"patient"})) == ["aspirin"]
    assert found("vitamin K", "K", min_length=1) == ["K"]


def test_a_name_of_several_things_is_whose_preferred_name_it_is_else_nobodys() -> None:
    one = matcher(("chorea", "HD disease"), ("haemodialysis", "HD disease"), ("cold", "common cold"), ("flu", "cold"))
    assert [term.id for *_, term in one.find("HD disease, cold and common cold")] == ["x:cold", "x:cold"]
    assert (one.names, one.homonyms) == (5, 1)
    first = matcher(("chorea", "HD disease"), ("haemodialysis", "HD disease"), skip_homonyms=False)
    assert [term.id for *_, term in first.find("HD disease")] == ["x:chorea"]


def test_a_name_that_is_nobodys_hides_the_shorter_ones_in_it() -> None:
    names = (("one", "heart block"), ("two", "heart block"), ("heart",))
    assert found("heart block, heart", *names) == ["heart"]


def test_a_short_name_in_the_wrong_case_hides_nothing() -> None:
    assert found("t 3 deficiency", "T-3", "3 deficiency") == ["3 deficiency"]


def test_a_whole_name_is_looked_up_as_text_is() -> None:
    one = matcher("acetylsalicylic acid", "acid")
    term = one.term("Acetylsalicylic-acids")
    assert term is not None
    assert term.id == "x:acetylsalicylic acid"
    assert one.term("acetylsalicylic acid tablet") is None


def test_no_names_and_no_text_are_found_nowhere() -> None:
    assert found("aspirin") == []
    assert found("", "aspirin") == []


def test_more_words_than_the_characters_before_the_surrogates() -> None:
    names = [f"word{number}" for number in range(60_000)]
    assert found(" ".join(names), *names) == names


def test_more_words_than_there_are_characters_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.stages.extract.matching._MOST_WORDS", 2)
    assert found("aspirin gout", "aspirin", "gout") == ["aspirin", "gout"]
    with pytest.raises(UsageError, match="more than 2 different words"):
        matcher("aspirin", "gout", "fever")


LETTERS = st.text(st.sampled_from("aAsSßẞİiıIéÉe\u0301ﬁΣςσ-’' .\t\n()12"), max_size=12)


@given(st.lists(LETTERS, max_size=6), st.lists(LETTERS, max_size=6), st.booleans(), st.booleans())
@example(["straße"], ["İ STRASSE strasse Straße"], True, True)
def test_every_mention_slices_out_words_that_fold_to_one_of_its_terms_names(
    names: list[str], pieces: list[str], fold_case: bool, longest: bool
) -> None:
    rules = Rules(fold_case=fold_case, fold_plurals=False, longest=longest, min_length=1, exact_up_to=0)
    terms = [Term(f"x:{number}", "Drug", [name]) for number, name in enumerate(names)]
    text = " ".join((*pieces, *names))
    reached = 0
    for start, end, term in Matcher(terms, rules).find(text):
        assert same(text[start:end], fold_case) == same(term.names[0], fold_case)
        assert not (text[start - 1 : start] + text[start]).isalnum() or start == 0
        assert end == len(text) or not (text[end - 1] + text[end]).isalnum()
        assert start >= reached
        reached = end if longest else 0


def same(name: str, fold_case: bool) -> list[str]:
    """The name's words, as far as they count."""
    words = "".join(" " if letter.isspace() or letter == "-" else letter for letter in name)
    composed = unicodedata.normalize("NFC", words).replace("’", "'")
    return "".join((composed.casefold() if fold_case else composed).split(" ")).split()


@given(st.lists(st.sampled_from(["breast cancer", "cancer", "İstanbul fever", "straße", "Type 2"]), min_size=1))
@example(["İstanbul fever", "straße", "cancer"])
def test_each_name_put_into_a_text_is_found_where_it_was_put(names: list[str]) -> None:
    text = "; ".join(f"ẞ {name.upper()} ﬁ" for name in names)
    finds = matcher(*dict.fromkeys(names)).find(text)
    assert [text[start:end] for start, end, _ in finds] == [name.upper() for name in names]
    assert [term.names[0] for *_, term in finds] == names
