from __future__ import annotations

import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from penstock.retrieval.highlight import highlights, snippet


def tokenize(text: str) -> list[tuple[int, int, str]]:
    return [(m.start(), m.end(), m.group().lower().rstrip("s")) for m in re.finditer(r"\w+", text)]


def marked(text: str, *terms: tuple[str, ...]) -> list[str]:
    return [text[start:end] for start, end in highlights(text, terms, tokenize)]


def test_what_matched_is_marked_whatever_its_ending():
    assert marked("Statins and a statin", ("statin",)) == ["Statins", "statin"]


def test_a_phrase_is_one_span_and_only_where_it_stands_in_full():
    assert marked("heart failure; failing heart, heart", ("heart", "failure")) == ["heart failure"]
    assert marked("heart", ("heart", "failure")) == []


def test_spans_that_overlap_become_one():
    assert marked("type 2 diabetes", ("type", "2"), ("2", "diabete"), ("diabete",)) == ["type 2 diabetes"]


@given(st.text("ab c", max_size=60), st.lists(st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=3)))
def test_spans_are_in_order_and_apart(text, terms):
    spans = highlights(text, [tuple(term) for term in terms], tokenize)
    assert all(start < end for start, end in spans)
    assert all(one[1] <= other[0] for one, other in pairwise(spans))


def test_a_short_text_is_shown_whole():
    assert snippet("short", [(0, 5)]) == (0, 5)


def test_the_part_with_the_most_matches_is_shown_in_whole_words():
    text = "match " + "filler " * 100 + "match match near the match " + "filler " * 100
    spans = [(m.start(), m.end()) for m in re.finditer("match", text)]
    start, end = snippet(text, spans, 80)
    assert text[start:end].count("match") == 3
    assert text[start - 1] == " "
    assert text[end] == " "


@given(st.text("ab ", max_size=900), st.integers(10, 100))
def test_any_part_shown_lies_within_the_text_and_is_of_about_the_width(text, width):
    spans = [(m.start(), m.end()) for m in re.finditer("a+b", text)]
    start, end = snippet(text, spans, width)
    assert 0 <= start <= end <= len(text)
    assert end - start <= max(len(text) if len(text) <= width else 0, 4 * width)
