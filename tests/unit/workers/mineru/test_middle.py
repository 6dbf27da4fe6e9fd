"""What MinerU 4 writes."""

from __future__ import annotations

from typing import Any

import pytest

from mineru_results import JPEG, as_zip, middle, spans
from penstock.errors import BadInput
from penstock.workers.mineru import read_output
from penstock.workers.parsed import Element, Parsed

HERE, THERE = [0.1, 0.1, 0.45, 0.9], [0.55, 0.1, 0.9, 0.9]


def read(*pages: list[dict[str, Any]], **files: bytes) -> Parsed:
    return read_output(as_zip(middle(*pages), **files))


def only(block: dict[str, Any], **files: bytes) -> Element:
    (element,) = read([block], **files).elements
    return element


def text(content: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "content": spans(content), **more}


def test_pages_have_their_size_and_what_wrote_them_is_named() -> None:
    parsed = read([text("a")], [])
    assert parsed.producer == "MinerU 4.0.12 standard"
    assert [(page.number, page.width, page.height) for page in parsed.pages] == [(1, 612, 792), (2, 612, 792)]


def test_pages_of_a_range_keep_their_numbers() -> None:
    result = middle([text("of the eighth page")])
    result["pages"][0]["page_idx"] = 7
    result["extensions"]["docvortex_layout"]["pages"][0]["page_idx"] = 7
    parsed = read_output(as_zip(result))
    assert [page.number for page in parsed.pages] == [8]
    assert parsed.pages[0].width == 612
    assert parsed.elements[0].page == 8


def test_a_page_is_text_or_blank_or_missing() -> None:
    picture = {"type": "image", "content": [{"type": "image_body", "content": "", "image_path": "images/a.jpg"}]}
    number = {"type": "page_number", "content": spans("4")}
    parsed = read([text("a")], [], [picture, number], [number], [{"type": "header", "content": spans("Journal")}])
    assert [page.kind for page in parsed.pages] == ["text", "blank", "missing", "blank", "blank"]
    assert [element.kind for element in parsed.elements] == ["paragraph", "figure"]


def test_the_title_is_none_of_the_headings() -> None:
    parsed = read(
        [
            {"type": "doc_title", "level": 1, "content": spans("On Valves")},
            {"type": "doc_title", "level": 1, "content": spans("A. Miller and B. Smith")},
            {"type": "paragraph_title", "level": 2, "content": spans("Introduction")},
            {"type": "paragraph_title", "level": 3, "content": spans("Before")},
        ]
    )
    assert parsed.title == "On Valves"
    assert [(element.kind, element.level) for element in parsed.elements] == [
        ("title", 0),
        ("paragraph", 0),
        ("heading", 1),
        ("heading", 2),
    ]


def test_levels_do_not_depend_on_what_else_a_page_range_has() -> None:
    parsed = read([{"type": "paragraph_title", "level": 3, "content": spans("2. Before")}])
    assert [(element.kind, element.level) for element in parsed.elements] == [("heading", 2)]


def test_without_a_title_on_its_pages_the_pdf_says_it() -> None:
    result = middle([text("a")])
    result["metadata"]["document"] = {"title": " On Valves "}
    assert read_output(as_zip(result)).title == "On Valves"


def test_text_is_what_its_spans_say() -> None:
    content = [
        {"type": "text", "content": "Flow "},
        {"type": "text", "content": "rises", "styles": ["bold"]},
        {"type": "text", "content": " by"},
        {"type": "equation_inline", "content": "v ^ 2"},
        {"type": "text", "content": ", see"},
        {"type": "hyperlink", "url": "https://x.org", "content": [{"type": "text", "content": " the site"}]},
        {"type": "code_inline", "content": " run()"},
    ]
    assert only({"type": "text", "content": content}).text == "Flow rises by $v ^ 2$, see the site run()"


def test_a_sentence_that_goes_on_follows_its_beginning_whatever_stands_between() -> None:
    parsed = read(
        [text("A valve that is", bbox=HERE), {"type": "page_footnote", "content": spans("1 A note.")}],
        [
            {"type": "image", "content": [{"type": "image_caption", "content": spans("Figure 1")}]},
            text("closed does not leak.", bbox=THERE, continues_prev=True),
        ],
    )
    assert [(e.kind, e.text or e.caption, e.page, e.continues) for e in parsed.elements] == [
        ("paragraph", "A valve that is", 1, False),
        ("paragraph", "closed does not leak.", 2, True),
        ("paragraph", "1 A note.", 1, False),
        ("figure", "Figure 1", 2, False),
    ]
    assert parsed.elements[1].box == (0.55, 0.1, 0.9, 0.9)


def test_a_list_is_its_items_each_in_its_place() -> None:
    inner = {"type": "list", "content": [text("of brass")]}
    block = {"type": "list", "sub_type": "text", "bbox": HERE, "content": [text("valves", bbox=THERE), inner]}
    parsed = read([block, text("and steel", continues_prev=True)])
    assert [(e.kind, e.text, e.box[0]) for e in parsed.elements[:2]] == [
        ("list_item", "valves", 0.55),
        ("list_item", "of brass", 0.1),
    ]
    assert parsed.elements[2].continues


def test_references_are_items_that_say_so() -> None:
    entry = {"type": "ref_text", "content": spans("[1] Miller. Valves.")}
    parsed = read(
        [
            {"type": "list", "sub_type": "ref_text", "content": [entry]},
            {"type": "ref_text", "content": spans("[2] Smith. Pumps and")},
            {"type": "text", "content": spans("Figures follow.")},
            {"type": "ref_text", "content": spans("pipes."), "continues_prev": True},
        ]
    )
    assert [(e.text, e.reference, e.continues) for e in parsed.elements] == [
        ("[1] Miller. Valves.", True, False),
        ("[2] Smith. Pumps and", True, False),
        ("pipes.", True, True),
        ("Figures follow.", False, False),
    ]


def test_a_table_is_html_and_cells_with_what_is_written_about_it() -> None:
    body = (
        "<table><thead><tr><th>Valve</th><th colspan='2'>Flow</th></tr></thead><tbody>"
        "<tr><td rowspan='2'>A</td><td>1</td><td><eq>x &lt; 2</eq></td></tr>"
        "<tr><td>3</td><td>4</td></tr></tbody></table>"
    )
    parsed = read(
        [
            {
                "type": "table",
                "content": [
                    {"type": "table_caption", "content": spans("Table 1:")},
                    {"type": "table_caption", "content": spans("flows")},
                    {"type": "table_body", "content": body, "image_path": "images/a.jpg"},
                    {"type": "table_footnote", "content": spans("* measured"), "bbox": THERE},
                ],
            }
        ],
        **{"images/a.jpg": JPEG},
    )
    table, note = parsed.elements
    assert table.rows == (("Valve", "Flow", "Flow"), ("A", "1", "$x < 2$"), ("A", "3", "4"))
    assert table.text == "Valve\tFlow\tFlow\nA\t1\t$x < 2$\nA\t3\t4"
    assert (table.kind, table.header_rows, table.caption, table.html) == ("table", 1, "Table 1: flows", body)
    assert table.image is None  # its cells say it all
    assert (note.kind, note.text, note.box[0]) == ("paragraph", "* measured", 0.55)


def test_a_figure_has_its_picture_its_caption_and_what_can_be_read_in_it() -> None:
    parts = [
        {"type": "chart_body", "content": "| a | b |\n|---|---|", "image_path": "images/page_0_chart_0.jpg"},
        {"type": "chart_caption", "content": spans("Figure 2: flow")},
    ]
    figure = only({"type": "chart", "content": parts}, **{"images/page_0_chart_0.jpg": JPEG})
    assert (figure.kind, figure.caption, figure.text) == ("figure", "Figure 2: flow", "| a | b |\n|---|---|")
    assert figure.image


def test_a_chart_in_html_is_read_as_cells() -> None:
    body = {"type": "chart_body", "content": "<table><tr><td>a</td><td>b</td></tr></table>"}
    assert only({"type": "chart", "content": [body]}).text == "a\tb"


@pytest.mark.parametrize("latex", ["E = m c ^ 2", " $$\nE = m c ^ 2\n$$ "])
def test_a_formula_is_latex_without_delimiters(latex: str) -> None:
    formula = only({"type": "equation", "content": latex, "image_path": "images/a.jpg"}, **{"images/a.jpg": JPEG})
    assert (formula.kind, formula.text, formula.image) == ("formula", "E = m c ^ 2", None)


@pytest.mark.parametrize(
    "block",
    [
        {"type": "equation", "content": "", "image_path": "images/a.jpg"},
        {"type": "table", "content": [{"type": "table_body", "content": "", "image_path": "images/a.jpg"}]},
        {"type": "table", "content": [{"type": "table_body", "content": "<td> ", "image_path": "images/a.jpg"}]},
    ],
)
def test_what_was_only_pictured_is_a_figure(block: dict[str, Any]) -> None:
    parsed = read([block], **{"images/a.jpg": JPEG})
    (figure,) = parsed.elements
    assert (figure.kind, figure.text) == ("figure", "")
    assert figure.image in parsed.images
    assert parsed.pages[0].kind == "missing"


def test_a_table_of_which_nothing_is_there_is_missing() -> None:
    parsed = read([{"type": "table", "content": [{"type": "table_body", "content": ""}]}])
    assert [element.kind for element in parsed.elements] == ["figure"]
    assert parsed.pages[0].kind == "missing"


def test_code_keeps_its_lines() -> None:
    code = only(
        {
            "type": "code",
            "sub_type": "code",
            "content": [
                {"type": "code_caption", "content": spans("Listing 1")},
                {"type": "code_body", "content": "if open:\n    close()  \n"},
            ],
        }
    )
    assert (code.kind, code.text, code.caption) == ("code", "if open:\n    close()", "Listing 1")


def test_a_block_of_a_kind_that_is_not_known_is_a_paragraph() -> None:
    assert only({"type": "stamp", "content": spans("Received")}).kind == "paragraph"


@pytest.mark.parametrize("change", [{"schema_version": "3.0"}, {"schema": "docvortex.model"}])
def test_another_schema_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(BadInput, match=r"middle_json\.json: /schema should be docvortex.middle of schema_version 2\.0"):
        read_output(as_zip(middle([text("a")]) | change))


@pytest.mark.parametrize(
    ("block", "where"),
    [
        ({"type": "text", "content": 3}, "/pages/0/blocks/0/content should be an array"),
        ({"type": "text", "content": [{"type": "text", "content": []}]}, "/content/0/content should be a string"),
        ({"type": "text", "content": spans("a"), "bbox": [0, 0, 1]}, "/bbox should be four numbers"),
        ({"type": "text", "content": spans("a"), "bbox": ["0", 0, 1, 1]}, "/bbox/0 should be a number"),
        ({"type": "text", "content": spans("a"), "bbox": [0, 0, 10**400, 1]}, "/bbox/2 should be a number"),
        ({"type": "doc_title", "content": spans("a")}, "/level should be a heading's level, but is nothing"),
        ({"type": ["text"], "content": spans("a")}, "/type should be a string"),
    ],
)
def test_what_is_not_as_it_should_be_is_named_in_one_line(block: dict[str, Any], where: str) -> None:
    with pytest.raises(BadInput) as caught:
        read([block])
    assert caught.value.reason == "schema"
    assert where in caught.value.message
    assert "\n" not in caught.value.message


def test_boxes_are_brought_onto_the_page() -> None:
    assert only(text("a", bbox=[-0.2, 0.5, 1.5, 0.4])).box == (0, 0.4, 1, 0.5)


def test_lists_in_lists_without_end_are_refused() -> None:
    block: dict[str, Any] = text("deep")
    for _ in range(100):
        block = {"type": "list", "content": [block]}
    with pytest.raises(BadInput, match="a list in fewer lists"):
        read([block])
