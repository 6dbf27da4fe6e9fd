"""What MinerU 2 and 3 wrote as their middle file."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from mineru_results import as_zip
from penstock.errors import BadInput
from penstock.workers.assemble import check_pages
from penstock.workers.mineru import read_output
from penstock.workers.parsed import Parsed

BOX = [60, 80, 300, 100]


def read(*pages: dict[str, Any], **files: bytes) -> Parsed:
    result = {"pdf_info": list(pages), "_backend": "vlm", "_version_name": "3.0.1"}
    return read_output(as_zip(result, "paper_middle.json", **files))


def page(*blocks: dict[str, Any], at: int = 0, **more: Any) -> dict[str, Any]:
    return {"page_idx": at, "page_size": [600, 800], "para_blocks": list(blocks), **more}


def line(*contents: str, **more: Any) -> dict[str, Any]:
    """A line of text spans; what begins with a dollar is a formula."""
    return {
        "bbox": BOX,
        "spans": [
            {"type": "inline_equation", "content": content[1:]}
            if content.startswith("$")
            else {"type": "text", "content": content}
            for content in contents
        ],
        **more,
    }


def block(*lines: dict[str, Any], kind: str = "text", **more: Any) -> dict[str, Any]:
    return {"type": kind, "bbox": BOX, "lines": list(lines), **more}


def test_boxes_in_points_are_fractions_of_the_page() -> None:
    parsed = read(page(block(line("a"))))
    assert parsed.producer == "MinerU 3.0.1 vlm"
    assert parsed.elements[0].box == (0.1, 0.1, 0.5, 0.125)
    assert (parsed.pages[0].width, parsed.pages[0].height) == (600, 800)


def test_lines_are_running_text() -> None:
    lines = (
        line("A valve of hydro-"),
        line("gen, state-of-the-"),
        line("art, at", "$p ^ 2", ", opens"),
        line("(", "$x", ")"),
    )
    assert read(page(block(*lines))).elements[0].text == (
        "A valve of hydrogen, state-of-the-art, at $p ^ 2$, opens ($x$)"
    )


def test_lines_of_han_have_no_blanks_between_them() -> None:
    assert read(page(block(line("电池自放"), line("电性能"), line("Cell")))).elements[0].text == "电池自放电性能 Cell"


def test_tags_of_its_own_are_taken_off() -> None:
    link = "<hyperlink><text style='bold'>here</text><url>https://x.org</url></hyperlink>"
    text = f"Jedi<sup>1</sup> <eq>a &lt; b</eq> {link} 1<2"
    assert read(page(block(line(text)))).elements[0].text == "Jedi1 $a < b$ here 1<2"


def merged() -> list[dict[str, Any]]:
    """Three parts of a sentence over two pages, merged into the first as MinerU does it."""
    first, second, third = (
        block(line(text), index=at, bbox=[60, 80 + at, 300, 100]) for at, text in enumerate(("A", "valve", "leaks."))
    )
    figure = {"type": "image", "bbox": [0, 0, 9, 9], "index": 9, "blocks": []}
    pages = [page(first, figure, second), page(third, at=1)]
    for one in pages:
        one["preproc_blocks"] = deepcopy(one["para_blocks"])
    first["lines"] += second["lines"] + third["lines"]
    for emptied in (second, third):
        emptied |= {"lines": [], "lines_deleted": True}
    return pages


def test_merged_lines_go_back_to_their_own_places() -> None:
    parsed = read(*merged())
    assert [(e.text, e.page, round(e.box[1] * 800), e.continues) for e in parsed.elements] == [
        ("A", 1, 80, False),
        ("valve", 1, 81, True),
        ("leaks.", 2, 82, True),
    ]


def test_without_the_unmerged_blocks_the_first_has_it_all() -> None:
    parsed = read(*({key: value for key, value in one.items() if key != "preproc_blocks"} for one in merged()))
    assert [(e.text, e.page) for e in parsed.elements if e.text] == [("A valve leaks.", 1)]
    assert [one.kind for one in parsed.pages] == ["text", "text"]
    check_pages(parsed)


def test_a_list_in_lines_and_one_in_blocks() -> None:
    by_lines = block(
        line("1. valves", is_list_start_line=True),
        line("of brass"),
        line("2. pumps", is_list_start_line=True),
        kind="list",
    )
    by_lines["lines"][0]["bbox"] = [60, 40, 300, 60]
    by_blocks = {
        "type": "list",
        "sub_type": "ref_text",
        "bbox": BOX,
        "blocks": [block(line("[1] Miller."), kind="ref_text")],
    }
    parsed = read(page(by_lines, by_blocks))
    assert [(e.kind, e.text, e.reference) for e in parsed.elements] == [
        ("list_item", "1. valves of brass", False),
        ("list_item", "2. pumps", False),
        ("list_item", "[1] Miller.", True),
    ]
    assert parsed.elements[0].box == (0.1, 0.05, 0.5, 0.125)


def test_merged_items_of_a_list_go_back_too() -> None:
    def references(at: int) -> dict[str, Any]:
        item = block(line(f"[{at}] Miller."), kind="ref_text")
        return {"type": "list", "sub_type": "ref_text", "bbox": BOX, "index": at, "blocks": [item]}

    pages = [page(references(1)), page(references(2), at=1)]
    for one in pages:
        one["preproc_blocks"] = deepcopy(one["para_blocks"])
    pages[0]["para_blocks"][0]["blocks"] += pages[1]["para_blocks"][0]["blocks"]
    pages[1]["para_blocks"][0] |= {"blocks": [], "lines_deleted": True}
    assert [(e.text, e.page) for e in read(*pages).elements] == [("[1] Miller.", 1), ("[2] Miller.", 2)]


def test_titles_have_levels_or_are_of_one_level() -> None:
    parsed = read(page(block(line("On Valves"), kind="title", level=1), block(line("Tests"), kind="title", level=2)))
    assert [(e.kind, e.text, e.level) for e in parsed.elements] == [("title", "On Valves", 0), ("heading", "Tests", 1)]
    flat = read(page(block(line("1 Valves"), kind="title"), block(line("1.1 Tests"), kind="title")))
    assert [(e.kind, e.level) for e in flat.elements] == [("heading", 1), ("heading", 2)]


def test_only_footnotes_of_what_was_discarded_are_kept() -> None:
    discarded = [block(line(kind), kind=kind) for kind in ("header", "page_footnote", "page_number", "discarded")]
    parsed = read(page(block(line("a")), discarded_blocks=discarded))
    assert [e.text for e in parsed.elements] == ["a", "page_footnote"]


def test_code_keeps_its_lines() -> None:
    body = block(line("1: open", "$v"), line("2:   close"), kind="code_body")
    caption = block(line("Algorithm 1"), kind="code_caption")
    code = {"type": "code", "sub_type": "algorithm", "bbox": BOX, "blocks": [caption, body]}
    (element,) = read(page(code)).elements
    assert (element.kind, element.text, element.caption) == ("code", "1: open $v$\n2:   close", "Algorithm 1")


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"page_size": [600]}, "/pdf_info/0/page_size should be two lengths"),
        ({"page_size": [600, 0]}, "/pdf_info/0/page_size/1 should be a length"),
        ({"page_idx": -1}, "/pdf_info/0/page_idx should be a page's index below 20000, but is a number"),
        ({"page_idx": True}, "/pdf_info/0/page_idx"),
        ({"para_blocks": {"a": 1}}, "/pdf_info/0/para_blocks should be an array, but is an object"),
    ],
)
def test_what_is_not_as_it_should_be_is_named(change: dict[str, Any], where: str) -> None:
    with pytest.raises(BadInput, match=r"paper_middle\.json") as caught:
        read(page() | change)
    assert caught.value.reason == "schema"
    assert where in caught.value.message
