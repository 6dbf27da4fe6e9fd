"""What becomes of pages that a MinerU server parsed: ranges joined, none unaccounted for."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

from mineru_double import Mineru, parse, result, text, written
from mineru_results import JPEG, as_zip, middle
from penstock.workers.engines.mineru_raw import RawPart, kept


def test_a_long_pdf_goes_in_ranges_that_are_joined(mineru: Mineru, tmp_path: Path) -> None:
    picture = {"type": "image_body", "image_path": "images/p.jpg", "content": ""}

    def makes(first: int, last: int) -> bytes:
        image = {"type": "image", "content": [picture]}
        return result(first, last, text(f"from {first}"), image, **{"images/p.jpg": JPEG + bytes([first])})

    mineru.makes = makes
    told: list[tuple[int, int]] = []
    path = written(tmp_path, 5)
    parsed = parse(path, lambda *said: told.append(said), pages_per_job=2)
    assert [job["files"][0]["page_range"] for job in mineru.jobs()] == ["1-2", "3-4", "5-5"]
    assert [page.number for page in parsed.pages] == [1, 2, 3, 4, 5]
    assert [e.text for e in parsed.elements if e.kind == "paragraph"] == [f"from {n}" for n in (1, 1, 3, 3, 5)]
    assert len(parsed.images) == 3
    assert {e.image for e in parsed.elements if e.kind == "figure"} == set(parsed.images)
    assert told == sorted(told)
    assert set(told) >= {(n, 5) for n in range(1, 6)}
    with ZipFile(BytesIO(parsed.raw or b"")) as raw:
        assert raw.namelist() == ["pages-00001-00002.zip", "pages-00003-00004.zip", "pages-00005-00005.zip"]
        assert raw.read("pages-00003-00004.zip") == kept([RawPart(3, 4, makes(3, 4))])
    assert parse(path, pages_per_job=2).raw == parsed.raw


def test_what_a_later_range_takes_for_the_title_is_a_heading(mineru: Mineru, tmp_path: Path) -> None:
    mineru.makes = lambda first, last: result(first, last, text(f"Title {first}", "doc_title", level=1), text("x"))
    parsed = parse(written(tmp_path, 2), pages_per_job=1)
    assert [(e.kind, e.text) for e in parsed.elements if e.level or e.kind == "title"] == [
        ("title", "Title 1"),
        ("heading", "Title 2"),
    ]
    assert parsed.title == "Title 1"


def test_a_page_that_the_server_leaves_out_is_missing(mineru: Mineru, tmp_path: Path) -> None:
    mineru.states, mineru.makes = ["partial"], lambda first, last: result(first, last - 1)
    parsed = parse(written(tmp_path, 3))
    assert [page.kind for page in parsed.pages] == ["text", "text", "missing"]
    assert (parsed.pages[2].width, parsed.pages[2].height) == (612, 792)


def test_a_page_without_text_is_blank_only_if_nothing_is_on_it(mineru: Mineru, tmp_path: Path) -> None:
    mineru.makes = lambda first, last: as_zip(middle([text("one")], [], []))
    parsed = parse(written(tmp_path, 2, empty=1))
    assert [page.kind for page in parsed.pages] == ["text", "missing", "blank"]


def test_what_is_said_of_pages_that_were_not_asked_for_is_left_out(mineru: Mineru, tmp_path: Path) -> None:
    mineru.makes = lambda first, last: as_zip(middle([text("one")], [text("two")], [text("three")]))
    parsed = parse(written(tmp_path, 2), pages_per_job=1)
    assert [(e.page, e.text) for e in parsed.elements] == [(1, "one"), (2, "two")]
