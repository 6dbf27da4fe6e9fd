"""`penstock explain` as a person meets it; what it tells is tested in tests/unit/explain."""

from __future__ import annotations

from pathlib import Path

import pytest

from command import Penstock


@pytest.fixture
def ran(penstock: Penstock, notes: Path) -> Penstock:
    penstock("run", "auto", "notes")
    return penstock


def test_a_document_is_told_within_eighty_columns(ran: Penstock) -> None:
    said = ran("explain", "a.md")
    assert said.status == 0
    assert max(map(len, said.out.splitlines())) <= 80
    for part in ("notes/a.md", "sha256", "searchable yes", "sentences 1, size=200", "batch 1 (submission 1)"):
        assert part in said.out


def test_a_dead_letter_says_that_it_is_not_searchable_why_and_what_next(ran: Penstock) -> None:
    said = ran("explain", "notes/c.json")
    flat = " ".join(said.out.split())
    assert "searchable no: dead-lettered at parse (truncated)" in flat
    assert "next mend the input" in flat
    assert "dead letter at parse, round 1" in flat


def test_a_search_hit_is_told_by_its_chunk(ran: Penstock) -> None:
    hit = ran("search", "apixaban strokes", "--json").json["hits"][0]
    said = ran("explain", hit["chunk_id"])
    assert "Apixaban prevents strokes" in said.out
    assert "the very same text stands there" in said.out
    assert not [line for line in said.out.splitlines() if line.isspace()]
    assert ran("explain", hit["chunk_id"], "--json").json["document"]["source_id"].endswith("/notes/b.txt")
    assert ran("explain", hit["chunk_id"], "--raw").out == "Apixaban prevents strokes in atrial fibrillation.\n"


def test_raw_gives_the_bytes_and_nothing_else_even_of_dead_letters(ran: Penstock, notes: Path) -> None:
    assert ran("explain", "c.json", "--raw").out == (notes / "c.json").read_text()


NOT_THERE = (
    ((), "explain what?"),
    (("a.md", "--edge", "x"), "explain a.md or the edge? (name one of them: DOC, or --edge ID)"),
    (("--edge", "x", "--raw"), "--raw is for a document"),
    (("a.mdd",), "nothing is called 'a.mdd' (near it: {notes}/a.md)"),
    (("a.md:99",), "there is no chunk 'a.md:99': the document has 1 (its chunks are a.md:0 to a.md:0)"),
    (("c.json:0",), "there is no chunk 'c.json:0': the document has none (penstock explain c.json says why)"),
    (("--edge", "zzz"), "edge 'zzz': no claim has that id"),
)


def test_what_is_not_there_is_one_line_with_what_is_near(ran: Penstock, notes: Path) -> None:
    for arguments, message in NOT_THERE:
        said = ran("explain", *arguments)
        assert (said.status, said.out) == (2, ""), arguments
        assert said.err.startswith(message.format(notes=notes)), arguments


def test_of_a_changed_file_it_says_that_it_looked_at_what_was_kept(ran: Penstock, notes: Path) -> None:
    assert "it has the same bytes still" in ran("explain", "notes/b.txt:0").out
    (notes / "b.txt").write_text("Other words.\n")
    said = ran("explain", "notes/b.txt:0").out
    assert "the very same text stands there" in said
    assert "other bytes stand there by now" in said


def test_without_a_ledger_none_is_made(penstock: Penstock, tmp_path: Path) -> None:
    said = penstock("explain", "a.md")
    assert (said.status, said.err.startswith("no ledger at ")) == (2, True)
    assert not (tmp_path / ".penstock").exists()
