from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.errors import UsageError
from penstock.stores.search_index import SqliteSearchIndex
from penstock.stores.search_query import MAX_CHARACTERS, MAX_TERMS

NASTY = st.text(alphabet=st.one_of(st.characters(), st.sampled_from('"*^:(){}+-, ANDORNEAT\x00\ud800é語')))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SqliteSearchIndex:
    from penstock.ir import Chunk
    from penstock.stores.search_rows import IndexedDocument

    index = SqliteSearchIndex(tmp_path_factory.mktemp("index") / "index.db")
    chunk = Chunk(chunk_id="d:0", ordinal=0, start=0, end=22, text="COVID-19 and near NOTHING")
    index.replace([IndexedDocument("t", "d", 1, 1, "s", "i", "k", "", [chunk])])
    return index


@given(text=NASTY)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
def test_nothing_a_person_can_type_is_an_error(small, text):
    query = small.query(text)
    hits = small.bm25("t", query, 5)
    assert bool(query.expression) != (query.note == "the query has no words to look for")
    assert query.expression or not hits


@pytest.mark.parametrize(
    "text",
    [
        "NEAR(a b)",
        "a AND",
        "text: covid",
        "-covid",
        "covid*",
        "^covid",
        'cov"id',
        '"covid',
        "NOT",
        "a:b",
        "{x} : y",
        "'",
    ],
)
def test_fts_syntax_is_only_text(small, text):
    small.bm25("t", text, 5)


@pytest.mark.parametrize("text", ["", "   ", '""', "—", "?!", '"" ...'])
def test_an_empty_query_says_why_it_finds_nothing(small, text):
    query = small.query(text)
    assert (query.expression, query.note) == ("", "the query has no words to look for")
    assert small.bm25("t", query, 5) == []


def test_little_words_are_passed_over_unless_there_are_no_others(small):
    assert small.query("What is the role of nothing?").terms == (("role",), ("noth",))
    assert small.query("what is it").terms == (("what",), ("is",), ("it",))
    assert small.query("WHO guideline").terms == (("who",), ("guidelin",))


def test_a_hyphenated_word_is_a_phrase(small):
    assert small.query("covid-19").terms == (("covid", "19"),)
    assert small.bm25("t", "covid-19", 5)


def test_a_word_said_twice_counts_twice_but_is_one_term(small):
    query = small.query("fever fevers cough")
    assert query.terms == (("fever",), ("cough",))
    assert query.expression.count("fever") == 2


def test_a_pasted_abstract_is_cut_and_that_is_said(small):
    query = small.query(" ".join(f"word{n}" for n in range(MAX_TERMS + 50)))
    assert len(query.terms) == MAX_TERMS
    assert str(MAX_TERMS) in query.note
    small.bm25("t", query, 5)
    with pytest.raises(UsageError, match="characters"):
        small.query("x" * (MAX_CHARACTERS + 1))


def test_as_many_phrases_as_may_be_are_no_error(small):
    small.bm25("t", " ".join(f'"phrase number {n}"' for n in range(MAX_TERMS + 5)), 5)


def test_places_of_words_are_characters_whatever_their_bytes(small):
    text = "Ménière’s 語 disease 🩺 heart"
    places = [(text[start:end], stem) for start, end, stem in small.tokenizer()(text)]
    assert ("Ménière", "menier") in places
    assert ("disease", "diseas") in places
    assert ("heart", "heart") in places
