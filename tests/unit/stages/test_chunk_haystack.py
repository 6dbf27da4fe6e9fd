from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from haystack import Document as HaystackDocument
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from penstock.errors import InvalidOutput, UsageError
from penstock.ir import Chunk, Document, Provenance, Section, StageContext
from penstock.stages.chunk_haystack import HaystackChunker, SplitterOptions, adapt
from penstock.stages.haystack_component import ComponentOptions

CONTEXT = StageContext("default", "d", "c")


def document(text: str, *sections: Section) -> Document:
    provenance = Provenance(parser="test", version="1", payload="0")
    return Document(
        doc_id="d",
        source="s",
        source_id="1",
        kind="text",
        title="t",
        text=text,
        sections=sections,
        provenance=provenance,
    )


def chunks_of(text: str, **options: Any) -> list[Chunk]:
    chunks = HaystackChunker(SplitterOptions(**options)).execute(CONTEXT, document(text))
    assert all(text[chunk.start : chunk.end] == chunk.text for chunk in chunks)
    return chunks


def adapted(component: str, text: str, **options: Any) -> list[Chunk]:
    stage = adapt(f"{__name__}.{component}")(ComponentOptions(**options))
    chunks: list[Chunk] = stage.execute(CONTEXT, document(text))  # type: ignore[attr-defined]
    assert all(text[chunk.start : chunk.end] == chunk.text for chunk in chunks)
    return chunks


def test_words_are_counted_off() -> None:
    chunks = chunks_of("one two three four five", split_length=2)
    assert [chunk.text for chunk in chunks] == ["one two", "three four", "five"]
    assert [chunk.chunk_id for chunk in chunks] == ["d:0", "d:1", "d:2"]


def test_passages_and_pages_are_split() -> None:
    assert [c.text for c in chunks_of("a b\n\nc\n\nd", split_by="passage", split_length=1)] == ["a b", "c", "d"]
    assert [c.start for c in chunks_of("a b\fc\fd", split_by="page", split_length=2)] == [0, 6]


def test_text_that_repeats_itself_is_told_apart() -> None:
    assert [chunk.start for chunk in chunks_of("a a a a a a", split_length=2)] == [0, 4, 8]
    assert [chunk.start for chunk in chunks_of("a a a a", split_length=2, split_overlap=1)] == [0, 2, 4]


@pytest.mark.parametrize("text", ["", "  \n\n "])
def test_a_blank_text_has_no_chunks(text: str) -> None:
    assert chunks_of(text) == []


@settings(max_examples=50)
@given(st.text(alphabet="ab \n\f.", max_size=80), st.integers(1, 5), st.integers(0, 4), st.integers(0, 3))
def test_every_character_is_found_again(text: str, length: int, overlap: int, threshold: int) -> None:
    options = {"split_length": length, "split_overlap": min(overlap, length - 1), "split_threshold": threshold}
    chunks = chunks_of(text, **options)
    at = 0
    for chunk in chunks:
        assert not text[at : chunk.start].strip()
        at = max(at, chunk.end)
    assert not text[at:].strip()


def test_the_heading_is_of_sections_that_hold_the_whole_chunk() -> None:
    text = "one two three four"
    sections = Section(heading="All", level=1, start=0, end=18), Section(heading="Half", level=2, start=0, end=7)
    chunks = HaystackChunker(SplitterOptions(split_length=2)).execute(CONTEXT, document(text, *sections))
    assert [chunk.heading for chunk in chunks] == [("All", "Half"), ("All",)]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"split_by": "sentence"}, "NLTK"),
        ({"respect_sentence_boundary": True}, "NLTK"),
        ({"split_by": "token"}, "tiktoken"),
        ({"split_by": "function"}, "splitter of your own"),
        ({"split_by": "chapter"}, "passage"),
        ({"split_length": 5, "split_overlap": 5}, "not less"),
        ({"length": 5}, "Extra"),
    ],
)
def test_what_needs_a_download_or_makes_no_sense_is_refused_with_the_reason(options: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        SplitterOptions(**options)


class Pieces:
    """A splitter with a mind of its own: gives the pieces it was made with."""

    def __init__(self, pieces: list[str | None]) -> None:
        self.pieces = pieces

    def run(self, documents: list[HaystackDocument]) -> dict[str, list[HaystackDocument]]:
        return {"documents": [replace(documents[0], id=str(n), content=piece) for n, piece in enumerate(self.pieces)]}


class Keyed(Pieces):
    def __init__(self, api_key: Any) -> None:
        super().__init__([api_key.resolve_value()])


def test_a_splitter_by_dotted_name_has_its_chunks_found_in_the_text() -> None:
    chunks = adapted("Pieces", "a b a b c", pieces=["a b", " a b ", "", None, "b c"])
    assert [chunk.start for chunk in chunks] == [0, 4, 6]
    assert [chunk.ordinal for chunk in chunks] == [0, 1, 2]


def test_haystacks_own_splitter_goes_by_its_dotted_name_too() -> None:
    stage = adapt("haystack.components.preprocessors.DocumentSplitter")(ComponentOptions(split_length=1))
    assert len(stage.execute(CONTEXT, document("a b c"))) == 3  # type: ignore[attr-defined]


@pytest.mark.parametrize("pieces", [["A B"], ["b", "a"]])
def test_a_splitter_that_changes_or_shuffles_the_text_is_refused(pieces: list[str]) -> None:
    with pytest.raises(InvalidOutput, match="not in the document"):
        adapted("Pieces", "a b", pieces=pieces)


def test_a_splitter_that_needs_what_is_not_installed_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="nltk"):
        adapt("haystack.components.preprocessors.DocumentSplitter")(ComponentOptions(split_by="sentence"))


def test_a_secret_is_taken_from_the_environment_and_left_out_of_dumps(monkeypatch: pytest.MonkeyPatch) -> None:
    reference = {"type": "env_var", "env_vars": ["SPLIT_KEY"]}
    monkeypatch.setenv("SPLIT_KEY", "canary")
    assert [chunk.text for chunk in adapted("Keyed", "the canary sings", api_key=reference)] == ["canary"]
    options = ComponentOptions(api_key=reference, size=3)
    assert options.model_dump() == {"size": 3}
    assert options.model_dump_json() == '{"size":3}'


def test_a_secret_that_is_not_set_is_a_usage_error_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPLIT_KEY", raising=False)
    with pytest.raises(UsageError, match="SPLIT_KEY"):
        adapted("Keyed", "text", api_key={"type": "env_var", "env_vars": ["SPLIT_KEY"]})


@pytest.mark.parametrize("value", ["canary", {"type": "token", "token": "canary"}])
def test_a_secret_written_down_in_the_options_is_refused_without_repeating_it(value: Any) -> None:
    with pytest.raises(ValidationError, match="not written down") as caught:
        ComponentOptions(api_key=value)
    assert "canary" not in str(caught.value)
