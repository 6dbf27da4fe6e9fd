"""Every recorded output, in each of the formats that it has."""

from __future__ import annotations

from collections import Counter
from difflib import SequenceMatcher
from pathlib import Path

import pytest

from mineru_results import folder, said, shown, words
from penstock.workers.assemble import check_pages
from penstock.workers.mineru import read_files
from penstock.workers.parsed import Parsed

JEDI = "00-Jedi-Entropy-based-Localization-and-Remo"
NOISY = "05-Leveraging-Inter-rater-Agreement-for-Cla"
DATASHEET = "local-svolt-datasheet"
V1, V2 = "content_list.json", "content_list_v2.json"
FORMATS = {
    JEDI: ("layout.json", V2, V1),
    "03-Cross-Domain-Image-Captioning-with-Discr": (V2, V1),
    "04-Revisiting-Temporal-Modeling-for-CLIP-ba": (V2, V1),
    NOISY: ("layout.json", V2, V1),
    "09-Positive-Augmented-Contrastive-Learning": (V2, V1),
    DATASHEET: ("_middle.json", V1),
}
RECORDED = [(name, ending) for name, endings in FORMATS.items() for ending in endings]


@pytest.fixture
def read(data: Path):
    def read_one(name: str, ending: str) -> Parsed:
        return read_files(folder(data / "mineru" / name, ending))

    return read_one


def in_order(expected: list[str], found: list[str]) -> float:
    """How many of the words are there, in the same order."""
    blocks = SequenceMatcher(None, expected, found, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks) / len(expected)


def test_these_are_all_that_were_recorded(data: Path) -> None:
    folders = {path.name for path in (data / "mineru").iterdir() if path.is_dir()}
    assert folders == set(FORMATS)


@pytest.mark.parametrize(("name", "ending"), RECORDED)
def test_the_words_of_its_markdown_are_there_in_order(read, data: Path, name: str, ending: str) -> None:
    markdown = next((data / "mineru" / name).glob("*.md")).read_text()
    expected, found = words(shown(markdown)), words(said(read(name, ending)))
    assert (Counter(expected) & Counter(found)).total() / len(expected) >= 0.995
    assert in_order(expected, found) >= 0.975  # a few tables have their caption below


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_of_a_document_says_the_same(read, name: str) -> None:
    best, *others = (words(said(read(name, ending))) for ending in FORMATS[name])
    for other in others:
        assert in_order(best, other) >= 0.995


@pytest.mark.parametrize(("name", "ending"), RECORDED)
def test_pages_and_places_are_those_of_the_document(read, name: str, ending: str) -> None:
    parsed = read(name, ending)
    check_pages(parsed)
    assert [page.number for page in parsed.pages] == list(range(1, len(parsed.pages) + 1))
    assert {page.kind for page in parsed.pages} == {"text"}
    assert {element.page for element in parsed.elements} <= {page.number for page in parsed.pages}
    assert not any(element.box == (0, 0, 1, 1) for element in parsed.elements)
    assert not any("<sup>" in element.text or "\\*" in element.text for element in parsed.elements)
    with_size = [page.width > 0 < page.height for page in parsed.pages]
    assert all(with_size) if ending.endswith(("layout.json", "middle.json")) else not any(with_size)


@pytest.mark.parametrize("ending", FORMATS[JEDI])
def test_a_paper_in_two_columns(read, ending: str) -> None:
    parsed = read(JEDI, ending)
    assert parsed.title == "Jedi: Entropy-based Localization and Removal of Adversarial Patches"
    headings = [(element.level, element.text) for element in parsed.elements if element.kind == "heading"]
    assert headings[:5] == [
        (1, "Abstract"),
        (1, "1. Introduction"),
        (1, "2. Preliminaries: Entropy Analysis"),
        (1, "3. Proposed Approach"),
        (2, "3.1. Locating high entropy kernels"),
    ]
    tables = [element for element in parsed.elements if element.kind == "table"]
    assert tables[0].caption == "Table 1. Patch localization performance"
    assert tables[0].rows[0] == ("Dataset", "Jedi (ours)", "LGS", "Jujutsu")
    assert tables[0].text.splitlines()[1] == "Imagenet + [14]\t87.20%\t44.50%\t10.85%"
    formula = next(element for element in parsed.elements if element.kind == "formula")
    assert formula.text.startswith("t h r = \\mu _ { c l e a n }")
    assert "$" not in formula.text
    figures = [element for element in parsed.elements if element.kind == "figure"]
    assert figures[0].caption.startswith("Figure 1. Illustration on a patch attack")
    assert all(figure.image and parsed.images[figure.image].startswith(b"\xff\xd8\xff") for figure in figures)
    references = [element.text for element in parsed.elements if element.reference]
    assert len(references) == 27
    assert references[2].startswith("[3] Tom B. Brown")
    assert any(element.text.startswith("1We use the name Jedi") for element in parsed.elements)
    assert any("create $5 0 \\times 5 0$ pixel sub-images" in element.text for element in parsed.elements)
    code = next(element for element in parsed.elements if element.kind == "code")
    assert code.text.startswith("Algorithm 1 Low entropy patch generation algorithm")


def test_what_goes_on_in_another_place_stands_there(read) -> None:
    parsed = read(JEDI, "layout.json")
    goes_on = [number for number, element in enumerate(parsed.elements) if element.continues]
    first, second = parsed.elements[goes_on[1] - 1 : goes_on[1] + 1]
    assert (first.page, second.page) == (1, 2)
    assert first.text.endswith("train a GAN to generate naturalistic")
    assert second.text.startswith("patches, matching the visual properties of normal images")
    assert second.box[2] < 0.5  # the left column


def test_a_table_over_two_pages_stands_on_both(read) -> None:
    parts = [element for element in read(DATASHEET, "_middle.json").elements if element.kind == "table"]
    assert [part.page for part in parts[:4]] == [3, 4, 5, 6]
    assert parts[0].rows[0] == ("术语 Terms", "定义 Definitions")
    assert parts[1].rows[0][0] == ""  # its first row goes on with the last on the page before
    whole = [element for element in read(DATASHEET, V1).elements if element.kind == "table"]
    assert [part.page for part in whole[:2]] == [3, 5]  # the flat list has only the first, with all rows
    assert len(whole[0].rows) >= len(parts[0].rows) + len(parts[1].rows) - 1


def test_headings_without_levels_get_those_of_their_numbers(read) -> None:
    parsed = read(DATASHEET, "_middle.json")
    levels = {element.text.split()[0]: element.level for element in parsed.elements if element.kind == "heading"}
    assert (levels["1"], levels["1.2"], levels["1.2.1"], levels["警告"]) == (1, 2, 3, 1)
    assert parsed.title == ""


def test_a_table_of_contents_is_a_list_with_each_line_in_its_place(read) -> None:
    items = [element for element in read(DATASHEET, "_middle.json").elements if element.kind == "list_item"]
    assert items[1].text.startswith("1 样品电性能指标 Cell Performance")
    assert items[0].box[3] <= items[1].box[1] + 0.01


def test_the_best_of_several_files_is_read(data: Path) -> None:
    parsed = read_files(folder(data / "mineru" / JEDI, ".json"))
    assert parsed.producer == "MinerU 3.4.4 pipeline"
