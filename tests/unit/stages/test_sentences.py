from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.stages.sentences import sentence_ends, sentences


def split(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


@pytest.mark.parametrize(
    "text",
    [
        "It was given, e.g. to adults, i.e. those over 18.",
        "Smith et al. (2019) found 0.5 mg enough.",
        "Smith et al. [12] and Jones et al. 2020 agree.",
        "Fig. 2 and Figs. 3 and Eq. 4 show it.",
        "Dr. Jones asked Prof. Smith.",
        "Drug vs. placebo, approx. half.",
        "See No. 5 of Vol. 12, pp. 3 to Sect. 4.",
        "Seen on Jan. 5 in clinics.",
        "By J. R. Smith in print.",
        "E. coli and S. aureus grew.",
        "Given b.i.d. with food.",
        "In the U.S. Food and Drug Administration files.",
        "It rose (p < .05) by 1.5-fold.",
        "They asked why? and went on.",
        "A line that was\nwrapped hard\nby someone.",
        "Seen twice (see ref. 3).",
        "So it goes ... and on.",
        "Contents ........ 5",
        "Aspirin, metformin, etc. were given.",
        "The pH was 7.4 at 37.5 °C.",
    ],
)
def test_what_is_one_sentence_stays_one(text: str) -> None:
    assert split(text) == [text]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("One is here. Two is there.", ["One is here.", "Two is there."]),
        ("Really?! Yes. No.", ["Really?!", "Yes.", "No."]),
        ("“It works.” He left.", ["“It works.”", "He left."]),
        ("(It works.) He left.", ["(It works.)", "He left."]),
        ("It fell to 5. Then it rose.", ["It fell to 5.", "Then it rose."]),
        ("By Smith et al. The trial ended.", ["By Smith et al.", "The trial ended."]),
        ("They took vitamin C. The effect was small.", ["They took vitamin C.", "The effect was small."]),
        ("In the U.S. The rate fell.", ["In the U.S.", "The rate fell."]),
        ("It fell. mRNA was found.", ["It fell.", "mRNA was found."]),
        ("It works.12,13 The rest failed.", ["It works.12,13", "The rest failed."]),
        ("It works.[4–6] The rest failed.", ["It works.[4–6]", "The rest failed."]),
        ("Is it? No. It is not.", ["Is it?", "No.", "It is not."]),
        ("So... It ended.", ["So...", "It ended."]),
        ("1. Adults only. 2. No children.", ["1. Adults only.", "2. No children."]),
        ("Criteria:\n1. Adults\n2. No children", ["Criteria:", "1. Adults", "2. No children"]),
        ("Both:\n* 1. Adults\n* 2. Not pregnant", ["Both:", "* 1. Adults", "* 2. Not pregnant"]),
        ("Given:\n- one\n• two\n(a) three", ["Given:", "- one", "• two", "(a) three"]),
        ("No stop here\n\nNew paragraph", ["No stop here", "New paragraph"]),
        ("No stop here\r\n\r\nNew paragraph", ["No stop here", "New paragraph"]),
        ("薬を飲む。次に休む！終わり？はい", ["薬を飲む。", "次に休む！", "終わり？", "はい"]),
        ("「行く。」彼は言った。", ["「行く。」", "彼は言った。"]),
        ("यह है। वह है।", ["यह है।", "वह है।"]),
        ("هل هذا؟ نعم.", ["هل هذا؟", "نعم."]),
        ("", []),
        (" \n\n ", []),
    ],
)
def test_sentences_end_where_they_should(text: str, parts: list[str]) -> None:
    assert split(text) == parts


def test_a_span_within_a_text_is_looked_at_alone() -> None:
    text = "One. Two. Three."
    assert [text[a:b] for a, b in sentences(text, 5, 9)] == ["Two."]
    assert list(sentence_ends(text, 5, 9)) == []


@given(st.text(alphabet='aB1. \n!?…)"[](-。।\u00a0,;', max_size=200))
def test_spans_are_in_order_trimmed_and_leave_out_only_white_space(text: str) -> None:
    at = 0
    for start, end in sentences(text):
        assert at <= start < end <= len(text)
        assert not text[at:start].strip()
        assert text[start:end] == text[start:end].strip()
        at = end
    assert not text[at:].strip()


@pytest.mark.parametrize(
    "text",
    ["." * 300_000, "." + ")" * 300_000, "\n " * 150_000, ".[" + "1" * 300_000, "." + " " * 300_000, "a" * 300_000],
)
def test_hostile_text_takes_no_longer_than_any_other(text: str) -> None:
    """With a quadratic pattern each of these takes minutes."""
    assert len(list(sentences(text))) <= 1
