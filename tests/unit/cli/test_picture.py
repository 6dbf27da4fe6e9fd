"""`penstock picture`, and pages in `penstock search` and `penstock explain`."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from command import Penstock

NAME = "ketoacidosis-fourteen-cases.pdf"


@pytest.fixture
def ran(penstock: Penstock, root: Path, tmp_path: Path) -> Penstock:
    """A paper of two pages and a note, searchable."""
    (tmp_path / "papers").mkdir()
    shutil.copy(root / "examples-pdf" / NAME, tmp_path / "papers")
    (tmp_path / "note.md").write_text("# Ketones\n\nKetones are measured at home.\n")
    penstock("run", "auto", "note.md")
    penstock("run", "pdf-two-phase", "papers")
    penstock("worker", "pdf", "--engine", "cpu", "--slots", "1", "--once")
    assert penstock("run", "pdf-two-phase", "--resume").status == 0
    return penstock


def test_a_hit_names_its_page_and_with_json_its_boxes(ran: Penstock) -> None:
    words = "milder cases treated at home"
    assert f"papers/{NAME} · p. 2 · files · pdf" in ran("search", words).out
    hits = ran("search", words, "--json").json["hits"]
    paged, plain = (next(hit for hit in hits if hit["kind"] == kind) for kind in ("pdf", "markdown"))
    (place,) = paged["pages"]
    assert place["page"] == 2
    assert all(0 <= side <= 1 for box in place["boxes"] for side in box)
    assert plain["pages"] == []


def test_without_the_ledger_hits_are_found_and_have_no_pages(ran: Penstock, tmp_path: Path) -> None:
    for path in (tmp_path / ".penstock").glob("ledger.db*"):
        path.unlink()
    said = ran("search", "milder cases treated at home", "--json")
    assert said.status == 0
    assert said.json["hits"][0]["pages"] == []
    assert not (tmp_path / ".penstock/ledger.db").exists()


def test_with_a_ledger_that_is_damaged_hits_are_found_and_it_is_said(ran: Penstock, tmp_path: Path) -> None:
    for path in (tmp_path / ".penstock").glob("ledger.db*"):
        path.unlink()
    (tmp_path / ".penstock/ledger.db").write_text("no database" * 100)
    said = ran("search", "milder cases treated at home", "--json")
    assert said.status == 0
    assert said.json["hits"]
    assert "on which pages they are is not known" in said.json["note"]


def test_explain_says_where_a_chunk_stands_and_how_to_look_at_it(ran: Penstock) -> None:
    chunk = ran("search", "milder cases treated at home", "--json").json["hits"][0]["chunk_id"]
    said = ran("explain", chunk)
    assert "stands on  p. 2" in said.out
    assert f"look at it penstock picture {chunk}" in said.out
    assert "place      page 2, box 0." in said.out
    assert max(map(len, said.out.splitlines())) <= 80
    assert ran("explain", chunk, "--json").json["pages"][0]["page"] == 2


def test_the_picture_is_written_where_it_is_wanted(ran: Penstock, tmp_path: Path) -> None:
    chunk = ran("search", "milder cases treated at home", "--json").json["hits"][0]["chunk_id"]
    said = ran("picture", chunk, "-o", "deep/down/page.png", "--dpi", "72")
    assert (said.status, said.out) == (0, "deep/down/page.png\n")
    assert Image.open(tmp_path / "deep/down/page.png").size == (612, 792)
    named = ran("picture", f"{NAME}:0")
    assert (named.status, named.out) == (0, "ketoacidosis-fourteen-cases-0.png\n")
    assert Image.open(tmp_path / "ketoacidosis-fourteen-cases-0.png").format == "PNG"


MISTAKES = (
    ((NAME,), f"'{NAME}' is no chunk ({NAME}:0 is the first one of a document of that name)"),
    ((f"{NAME}:99",), f"there is no chunk '{NAME}:99'"),
    (("note.md:0",), "note.md:0 stands on no page: its document is markdown, not a PDF with pages"),
    ((f"{NAME}:0", "-o", "note.md/x.png"), "note.md/x.png can't be written: "),
)


def test_a_mistake_is_one_line(ran: Penstock) -> None:
    for arguments, message in MISTAKES:
        said = ran("picture", *arguments)
        assert (said.status, said.out, said.err.count("\n")) == (2, "", 1), arguments
        assert said.err.startswith(message), arguments
