"""The flat list of MinerU 2 and 3, and the paged one of 3."""

from __future__ import annotations

from typing import Any

import pytest

from mineru_results import as_zip, spans
from penstock.errors import BadInput
from penstock.workers.assemble import check_pages
from penstock.workers.mineru import read_output
from penstock.workers.parsed import Parsed


def flat(*blocks: dict[str, Any]) -> Parsed:
    return read_output(as_zip([{"page_idx": 0, **block} for block in blocks], "a_content_list.json"))


def paged(*pages: list[dict[str, Any]]) -> Parsed:
    return read_output(as_zip(list(pages), "a_content_list_v2.json"))


def test_boxes_in_thousandths_are_fractions() -> None:
    assert flat({"type": "text", "text": "a", "bbox": [100, 200, 300, 1004]}).elements[0].box == (0.1, 0.2, 0.3, 1)


def test_early_versions_say_no_more_than_the_page() -> None:
    assert flat({"type": "text", "text": "a", "page_idx": 2}).elements[0].box == (0, 0, 1, 1)


def test_pages_that_are_not_spoken_of_are_blank() -> None:
    parsed = flat({"type": "text", "text": "a", "page_idx": 2})
    assert [(page.number, page.kind, page.width) for page in parsed.pages] == [
        (1, "blank", 0),
        (2, "blank", 0),
        (3, "text", 0),
    ]


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        (r"\# of 3\* at \$5 and \$6", "# of 3* at $5 and $6"),
        (r"at $x \_ 1$ it\_is", r"at $x \_ 1$ it_is"),
        ("Jedi<sup>1</sup>", "Jedi1"),
    ],
)
def test_markdown_is_taken_for_the_text_it_shows(markdown: str, text: str) -> None:
    assert flat({"type": "text", "text": markdown}).elements[0].text == text


def test_hard_line_breaks_are_a_list() -> None:
    parsed = flat({"type": "text", "text": "1 Valves ... 3  \n1.1 Brass ... 4 "})
    assert [(e.kind, e.text) for e in parsed.elements] == [
        ("list_item", "1 Valves ... 3"),
        ("list_item", "1.1 Brass ... 4"),
    ]


def test_a_table_without_rows_or_picture_was_merged_into_the_one_before() -> None:
    html = "<table><tr><td>a</td></tr></table>"
    first = flat(
        {"type": "table", "table_body": html, "table_caption": ["Table 1"]},
        {"type": "table", "img_path": "", "table_caption": [], "table_footnote": [], "page_idx": 1},
    )
    second = paged(
        [{"type": "table", "content": {"html": html, "table_caption": spans("Table 1")}}],
        [{"type": "table", "content": {"html": "", "image_source": {"path": "images/"}, "table_caption": []}}],
    )
    for parsed in (first, second):
        assert [(e.kind, e.text, e.caption) for e in parsed.elements if e.text] == [("table", "a", "Table 1")]
        assert [page.kind for page in parsed.pages] == ["text", "text"]
        check_pages(parsed)


@pytest.mark.parametrize(
    "body",
    [
        "```python\nif a < b:\n    close()\n```",
        '<div class="mineru-algorithm" style="white-space: pre-wrap;">\nif a &lt; b:\n    close()\n</div>',
        "if a < b:\n    close()",
    ],
)
def test_code_is_taken_out_of_what_is_around_it(body: str) -> None:
    assert flat({"type": "code", "code_body": body, "sub_type": "code"}).elements[0].text == "if a < b:\n    close()"


def test_the_flat_list_says_what_the_paged_one_says() -> None:
    first = flat(
        {"type": "text", "text": "On Valves", "text_level": 1},
        {"type": "text", "text": "Tests", "text_level": 2},
        {"type": "text", "text": "at $x$, it"},
        {"type": "equation", "text": "$$\nx = 1\n$$", "text_format": "latex"},
        {
            "type": "image",
            "img_path": "images/a.jpg",
            "image_caption": ["Figure 1", "a valve"],
            "image_footnote": ["n"],
        },
        {"type": "list", "sub_type": "ref_text", "list_items": ["[1] Miller."]},
        {"type": "header", "text": "Journal"},
        {"type": "page_footnote", "text": "1 A note."},
    )
    second = paged(
        [
            {"type": "title", "content": {"title_content": spans("On Valves"), "level": 1}},
            {"type": "title", "content": {"title_content": spans("Tests"), "level": 2}},
            {
                "type": "paragraph",
                "content": {
                    "paragraph_content": [*spans("at "), {"type": "equation_inline", "content": "x"}, *spans(", it")]
                },
            },
            {"type": "equation_interline", "content": {"math_content": "x = 1", "math_type": "latex"}},
            {
                "type": "image",
                "content": {
                    "image_source": {"path": "images/a.jpg"},
                    "image_caption": [*spans("Figure 1"), *spans("a valve")],
                    "image_footnote": spans("n"),
                },
            },
            {
                "type": "list",
                "content": {"list_type": "reference_list", "list_items": [{"item_content": spans("[1] Miller.")}]},
            },
            {"type": "page_header", "content": {"page_header_content": spans("Journal")}},
            {"type": "page_footnote", "content": {"page_footnote_content": spans("1 A note.")}},
        ]
    )
    assert first.elements == second.elements
    assert first.title == "On Valves"
    assert len(first.elements) == 8


def test_lists_in_lists_are_read() -> None:
    inner = {"item_content": spans("of brass")}
    block = {"type": "list", "content": {"list_items": [{"item_content": spans("valves"), "list_items": [inner]}]}}
    assert [element.text for element in paged([block]).elements] == ["valves", "of brass"]


@pytest.mark.parametrize(
    ("blocks", "where"),
    [
        ([{"type": "title", "content": {"level": "1"}}], "/0/0/content/level should be a heading's level"),
        ([{"type": "paragraph", "content": "a"}], "/0/0/content should be an object, but is a string"),
        ([3], "/0/0 should be an object, but is a number"),
    ],
)
def test_what_is_not_as_it_should_be_is_named(blocks: list[Any], where: str) -> None:
    with pytest.raises(BadInput) as caught:
        paged(blocks)
    assert caught.value.reason == "schema"
    assert where in caught.value.message


def test_a_result_without_pages_is_refused() -> None:
    with pytest.raises(BadInput, match="no pages") as caught:
        flat()
    assert caught.value.reason == "no-pages"
