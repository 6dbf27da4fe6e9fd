"""The example PDFs are what their sources say, and what they are made for: to be parsed, but for two of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.errors import BadInput
from penstock.workers.engines.cpu import CpuEngine, CpuOptions
from penstock.workers.parsed import Parsed
from typeset import PAPERS, Paper, examples

EXAMPLES = Path(__file__).resolve().parents[2] / "examples-pdf"
BROKEN = {"referral-letter-scan.pdf", "apixaban-dialysis-dosing.pdf"}
GOOD = sorted(path.name for path in EXAMPLES.iterdir() if path.name not in BROKEN)


def parsed(name: str) -> Parsed:
    return CpuEngine(CpuOptions()).parse(EXAMPLES / name, lambda done, total: None)


def words(text: str) -> list[str]:
    return "".join(letter if letter.isalnum() else " " for letter in text).lower().split()


def test_they_are_set_from_their_sources_byte_for_byte() -> None:
    """If not: python tests/typeset.py."""
    assert {path.name: path.read_bytes() for path in EXAMPLES.iterdir()} == examples()


def test_they_are_small_and_as_many_as_the_readme_says() -> None:
    assert len(GOOD) == 11
    assert max(path.stat().st_size for path in EXAMPLES.iterdir()) < 40_000


@pytest.mark.parametrize("name", GOOD)
def test_an_example_says_in_order_what_its_source_says(name: str) -> None:
    paper = Paper.read(PAPERS / f"{Path(name).stem}.md")
    found = parsed(name)
    assert found.title == paper.title
    shown = words(" ".join(f"{element.caption} {element.text}" for element in found.elements))
    for line in paper.body[1:]:
        wanted = words(line)
        if line[:1] != "|":
            assert any(shown[at : at + len(wanted)] == wanted for at in range(len(shown))), line
    headings = [line[3:] for line in paper.body if line.startswith("## ")]
    known = [element.text for element in found.elements if element.kind == "heading"]
    assert known in (headings, headings[1:]), "the first one may be taken for a part of the paper's head"


def test_some_have_two_columns_and_some_two_pages() -> None:
    pages = {name: len(parsed(name).pages) for name in GOOD}
    assert sorted(pages.values())[-2:] == [2, 2]
    columns = [Paper.read(PAPERS / f"{Path(name).stem}.md").columns for name in GOOD]
    assert columns.count(2) >= 5


def test_the_scan_has_nothing_to_read_and_the_landing_page_is_none() -> None:
    with pytest.raises(BadInput) as scan:
        parsed("referral-letter-scan.pdf")
    assert scan.value.reason == "no-text-layer"
    with pytest.raises(BadInput) as page:
        parsed("apixaban-dialysis-dosing.pdf")
    assert page.value.reason == "corrupt"
