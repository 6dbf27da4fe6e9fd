from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from penstock.ir import Block, Chunk, Document, Locator, Provenance, Section, StageContext
from penstock.ir.documents import BlockKind
from penstock.stages import chunk as module
from penstock.stages.chunk import ChunkOptions, SentenceChunker

CONTEXT = StageContext("default", "d", "c")
SENTENCE = "Some {0} people were given a small daily dose. "
Part = tuple[BlockKind, str]


def document(*parts: Part | str, sections: Iterable[tuple[int, int, int, str]] = ()) -> Document:
    """Blocks joined by blank lines; a section is (level, first block, last block, heading)."""
    blocks: list[Block] = []
    texts: list[str] = []
    at = 0
    for part in parts:
        kind, text = ("paragraph", part) if isinstance(part, str) else part
        at += 2 if texts else 0
        texts.append(text)
        blocks.append(Block(kind=kind, start=at, end=at + len(text), locator=Locator(payload="0")))  # type: ignore[arg-type]
        at += len(text)
    return plain(
        "\n\n".join(texts),
        blocks=tuple(blocks),
        sections=tuple(
            Section(level=level, start=blocks[first].start, end=blocks[last].end, heading=heading)
            for level, first, last, heading in sections
        ),
    )


def plain(text: str, **more: object) -> Document:
    provenance = Provenance(parser="test", version="1", payload="0")
    return Document(
        doc_id="d",
        source="s",
        source_id="1",
        kind="text",
        title="t",
        text=text,
        provenance=provenance,
        **more,  # type: ignore[arg-type]
    )


def chunks_of(document: Document, **options: int) -> list[Chunk]:
    chunks = SentenceChunker(ChunkOptions(**options)).execute(CONTEXT, document)
    assert [chunk.ordinal for chunk in chunks] == list(range(len(chunks)))
    assert [chunk.chunk_id for chunk in chunks] == [f"d:{n}" for n in range(len(chunks))]
    assert all(document.text[chunk.start : chunk.end] == chunk.text for chunk in chunks)
    return chunks


def texts(document: Document, **options: int) -> list[str]:
    return [chunk.text for chunk in chunks_of(document, **options)]


def test_whole_sentences_are_packed_up_to_the_size() -> None:
    assert texts(plain("One two three. Four five. Six seven. Eight nine ten."), size=5) == [
        "One two three. Four five.",
        "Six seven. Eight nine ten.",
    ]


def test_a_text_without_blocks_or_sections_is_chunked_too() -> None:
    (chunk,) = chunks_of(plain("  Some text.  "))
    assert (chunk.start, chunk.end, chunk.heading) == (2, 12, ())


@pytest.mark.parametrize("text", ["", " \n\n\t "])
def test_a_text_without_a_word_has_no_chunks(text: str) -> None:
    assert chunks_of(plain(text)) == []


def test_a_section_begins_a_chunk_and_its_path_is_the_heading() -> None:
    body = SENTENCE.format("old") * 3
    parts = (("heading", "Methods"), body, ("heading", "Drugs"), body, ("heading", "Results"), body)
    sections = [(1, 0, 3, "Methods"), (2, 2, 3, "Drugs"), (1, 4, 5, "Results")]
    chunks = chunks_of(document(*parts, sections=sections), size=100)  # type: ignore[arg-type]
    assert [chunk.heading for chunk in chunks] == [("Methods",), ("Methods", "Drugs"), ("Results",)]
    assert [chunk.text.split("\n")[0] for chunk in chunks] == ["Methods", "Drugs", "Results"]


def test_tiny_sections_are_packed_together_under_the_path_they_share() -> None:
    parts = (("heading", "Safety"), ("heading", "Nausea"), "Rare.", ("heading", "Pain"), "Common.")
    sections = [(1, 0, 4, "Safety"), (2, 1, 2, "Nausea"), (2, 3, 4, "Pain")]
    (chunk,) = chunks_of(document(*parts, sections=sections), size=100)  # type: ignore[arg-type]
    assert chunk.heading == ("Safety",)
    assert len(chunks_of(document(*parts, sections=sections), size=100, min_size=0)) == 2  # type: ignore[arg-type]


def test_a_section_named_by_its_field_alone_gives_its_heading() -> None:
    body = SENTENCE.format("old") * 3
    chunks = chunks_of(document(body, body, sections=[(1, 0, 0, "Uses"), (1, 1, 1, "Warnings")]), size=100)
    assert [chunk.heading for chunk in chunks] == [("Uses",), ("Warnings",)]


def test_a_heading_goes_with_what_follows_it() -> None:
    first, second = "One two three four five.", "Six seven eight."
    assert texts(document(first, ("heading", "Part"), ("heading", "Sub"), second), size=6) == [
        first,
        f"Part\n\nSub\n\n{second}",
    ]


def test_a_title_goes_with_the_first_section_under_that_ones_heading() -> None:
    (chunk,) = chunks_of(
        document(("title", "A Trial"), ("heading", "Aim"), "To see.", sections=[(1, 1, 2, "Aim")]), size=50
    )
    assert chunk.text.startswith("A Trial")
    assert chunk.heading == ("Aim",)


def test_a_document_of_headings_alone_is_chunked() -> None:
    assert texts(document(("title", "One"), ("heading", "Two")), size=5) == ["One\n\nTwo"]
    assert texts(document(("title", "one two three four five six seven")), size=5) == [
        "one two three four five",
        "six seven",
    ]


def test_a_small_table_stays_whole_and_a_large_one_splits_between_rows() -> None:
    table = "\n".join(f"Row. {n}\t5. Mg\tonce" for n in range(4))
    before = "One two three four."
    assert texts(document(before, ("table", table)), size=20) == [before, table]
    rows = texts(document(("heading", "Doses"), ("table", table)), size=11)
    assert rows[0].startswith("Doses")
    assert all(line.startswith("Row.") and line.endswith("once") for row in rows[1:] for line in row.split("\n"))


def test_a_long_sentence_is_cut_after_a_clause_or_else_a_word() -> None:
    assert texts(plain("a b c d, e f g h i j k"), size=6) == ["a b c d,", "e f g h i j", "k"]


def test_a_run_without_blanks_counts_as_many_words_and_is_cut() -> None:
    assert [len(text) for text in texts(plain("A" * 450), size=2)] == [200, 200, 50]
    assert [len(text) for text in texts(plain("薬" * 10), size=4)] == [4, 4, 2]


def test_a_word_that_straddles_two_windows_of_a_long_text_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "alpha beta 薬薬 gamma delta epsilon zeta。 eta"
    whole = texts(plain(text), size=1)
    for window in range(1, len(text)):
        monkeypatch.setattr(module, "_WINDOW", window)
        assert texts(plain(text), size=1) == whole


def test_the_last_two_chunks_of_a_section_share_what_is_left() -> None:
    sizes = [len(text.split()) for text in texts(plain("Two words. " * 51), size=100)]
    assert sizes == [50, 52] or sizes == [52, 50]


def test_overlap_repeats_whole_sentences_within_a_section_only() -> None:
    body = "A one. B two. C three. D four."
    chunks = chunks_of(document(body, body, sections=[(1, 0, 0, "X"), (1, 1, 1, "Y")]), size=4, overlap=2, min_size=0)
    pairs = ["A one. B two.", "B two. C three.", "C three. D four."]
    assert [chunk.text for chunk in chunks] == pairs * 2


def test_sharing_what_is_left_never_makes_a_chunk_of_overlap_alone() -> None:
    assert texts(document("1", "1 1 1", "1 1 1", "1 1 1 1 1 1 1"), size=12, overlap=6, min_size=3) == [
        "1\n\n1 1 1\n\n1 1 1",
        "1 1 1\n\n1 1 1 1 1 1 1",
    ]


@pytest.mark.parametrize(
    "options", [{"size": 0}, {"size": 10, "overlap": 6}, {"size": 10, "min_size": 11}, {"sise": 10}]
)
def test_impossible_options_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        ChunkOptions(**options)


WORDS = st.text(alphabet="ab.,!? \n\t。薬ก😀-1", max_size=60)
KINDS = st.sampled_from(["paragraph", "heading", "title", "table", "list_item", "caption"])


@st.composite
def documents(draw: st.DrawFn) -> Document:
    parts = draw(st.lists(st.tuples(KINDS, WORDS), max_size=8))
    if not parts:
        return plain(draw(WORDS))
    last = len(parts) - 1
    spans = st.tuples(st.integers(1, 3), st.integers(0, last), st.integers(0, last))
    sections = [(level, min(a, b), max(a, b), f"{level}{a}{b}") for level, a, b in draw(st.lists(spans, max_size=4))]
    return document(*parts, sections=sections)


def words_of(document: Document, chunk: Chunk) -> int:
    starts = module._Words(document.text).starts
    return sum(chunk.start <= start < chunk.end for start in starts)


@given(documents(), st.integers(1, 12))
def test_without_overlap_every_character_is_in_exactly_one_chunk_in_order(document: Document, size: int) -> None:
    at = 0
    for chunk in chunks_of(document, size=size):
        assert at <= chunk.start < chunk.end
        assert not document.text[at : chunk.start].strip()
        assert chunk.text == chunk.text.strip()
        at = chunk.end
    assert not document.text[at:].strip()


@given(documents(), st.integers(1, 12), st.integers(0, 6), st.integers(0, 12))
def test_no_chunk_is_larger_than_the_size_and_each_brings_something_new(
    document: Document, size: int, overlap: int, min_size: int
) -> None:
    chunks = chunks_of(document, size=size, overlap=min(overlap, size // 2), min_size=min(min_size, size))
    assert all(words_of(document, chunk) <= size for chunk in chunks)
    assert all(a.start < b.start and a.end < b.end for a, b in pairwise(chunks))


@given(documents(), st.integers(1, 12))
def test_a_heading_path_names_only_sections_that_hold_the_chunks_end(document: Document, size: int) -> None:
    for chunk in chunks_of(document, size=size):
        for heading in chunk.heading:
            assert any(s.heading == heading and s.start < chunk.end <= s.end for s in document.sections)


@pytest.mark.parametrize("text", ["word " * 60_000, "." * 300_000, "x" * 300_000, ". " * 30_000, "\n1." * 30_000])
def test_hostile_text_is_chunked_in_linear_time(text: str) -> None:
    assert chunks_of(plain(text))
