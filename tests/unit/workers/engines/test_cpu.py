"""The CPU engine on PDFs made for the purpose: what one thing on a page comes to."""

from __future__ import annotations

import pytest

from cpu_read import LEFT, RIGHT, Read, only, table, texts
from pdfs import IMAGE, pdf, text
from penstock.errors import BadInput


def test_a_line_has_its_page_and_box(read: Read) -> None:
    parsed = read(pdf("", text("Hhhh", x=59.5, y=842 - 84.2, size=20)))
    element = only(parsed)
    assert (element.page, element.text, element.kind) == (2, "Hhhh", "paragraph")
    assert element.box == pytest.approx((0.1, 0.083, 0.175, 0.1), abs=0.004)
    assert [page.kind for page in parsed.pages] == ["blank", "text"]
    assert (parsed.pages[0].width, parsed.pages[0].height) == (595, 842)


def test_a_box_is_where_the_crop_box_shows_it(read: Read) -> None:
    content = text("Hhhh", x=159.5, y=742 - 54.2, size=20)
    element = only(read(pdf(content, crop=(100, 200, 500, 742))))
    assert element.box == pytest.approx((0.154, 0.074, 0.262, 0.1), abs=0.004)


@pytest.mark.parametrize(
    ("rotate", "box"),
    [
        (90, (0.9, 0.1, 0.917, 0.175)),
        (180, (0.825, 0.9, 0.9, 0.917)),
        (270, (0.083, 0.825, 0.1, 0.9)),
    ],
)
def test_a_turned_page_has_its_boxes_turned(read: Read, rotate: int, box: tuple[float, ...]) -> None:
    parsed = read(pdf(text("Hhhh", x=59.5, y=842 - 84.2, size=20), rotate=rotate))
    assert only(parsed).box == pytest.approx(box, abs=0.004)
    assert (parsed.pages[0].width < parsed.pages[0].height) == (rotate == 180)


def test_text_that_is_turned_with_its_page_is_read_in_order(read: Read) -> None:
    shown = " T* ".join(f"({line}) Tj" for line in LEFT)
    sideways = f"BT /F1 10 Tf 12 TL 0 1 -1 0 100 72 Tm {shown} ET"
    assert texts(read(pdf(sideways, rotate=90))) == [" ".join(LEFT)]
    assert texts(read(pdf(sideways))) == [" ".join(LEFT)]


def test_what_stands_outside_the_page_is_not_on_it(read: Read) -> None:
    assert texts(read(pdf(text("Seen") + text("Not seen", y=900)))) == ["Seen"]


def test_lines_of_a_paragraph_are_one_and_a_gap_parts_two(read: Read) -> None:
    parsed = read(pdf(text(*LEFT) + text(*RIGHT, y=700)))
    assert texts(parsed) == [" ".join(LEFT), " ".join(RIGHT)]


def test_a_line_that_is_set_in_starts_a_paragraph(read: Read) -> None:
    parsed = read(pdf(text(*LEFT[:3]) + text(LEFT[3], x=84, y=734) + text(*RIGHT, y=722)))
    assert texts(parsed) == [" ".join(LEFT[:3]), " ".join([LEFT[3], *RIGHT])]


def test_a_word_parted_at_a_line_end_is_whole_again_unless_the_hyphen_is_its_own(read: Read) -> None:
    parsed = read(
        pdf(text("It was well-known that the deploy-", "ment of a well-", "known drug, pre-", "and postnatal"))
    )
    assert texts(parsed) == ["It was well-known that the deployment of a well-known drug, pre- and postnatal"]


def test_ligatures_are_letters(read: Read) -> None:
    assert texts(read(pdf(text("a \x01nal re\x02ection", font="F3")))) == ["a final reflection"]


def test_a_column_is_read_before_the_next_whatever_comes_first_in_the_file(read: Read) -> None:
    rows = "".join(
        text(right, x=325, y=600 - 12 * n, size=9) + text(left, y=600 - 12 * n, size=9)
        for n, (left, right) in enumerate(zip(LEFT, RIGHT, strict=True))
    )
    wide = text("A line above both of the columns that goes from the one edge of the page to the other one", y=650)
    parsed = read(pdf(rows + wide))
    assert texts(parsed)[1:] == [" ".join(LEFT), " ".join(RIGHT)]
    assert [element.continues for element in parsed.elements] == [False, False, True]


def test_a_paragraph_goes_on_on_the_next_page(read: Read) -> None:
    parsed = read(pdf(text(*LEFT), text(*RIGHT)))
    assert [(element.page, element.continues) for element in parsed.elements] == [(1, False), (2, True)]
    parsed = read(pdf(text(*LEFT[:3], "there."), text(*RIGHT)))
    assert [element.continues for element in parsed.elements] == [False, False]


NOTE = "1 The book is lost by now."


def test_a_sentence_goes_on_beyond_notes_and_a_table(read: Read) -> None:
    rows = table(("Drug", "Dose"), ("aspirin", "75 mg"), ("warfarin", "5 mg"), x=325, y=600)
    left = text(*LEFT, *RIGHT[:3], "man who never raised his", size=9, y=600) + text(NOTE, size=7, y=480)
    right = rows + text("Table 1. What they took.", x=325, size=9, y=550)
    parsed = read(pdf(left + right + text("voice", *LEFT, size=9, x=325, y=520)))
    first, second, *between = parsed.elements
    assert (first.text.split()[-1], second.text.split()[0], second.continues) == ("his", "voice", True)
    assert [element.text.split()[0] for element in between] == ["1", "Drug"]
    assert not any(element.continues for element in between)


def test_a_sentence_goes_on_beyond_a_note_on_the_page_before(read: Read) -> None:
    parsed = read(pdf(text(*LEFT) + text(NOTE, size=7, y=60), text(*RIGHT)))
    assert texts(parsed) == [" ".join(LEFT), " ".join(RIGHT), NOTE]
    assert [element.continues for element in parsed.elements] == [False, True, False]


def test_no_sentence_goes_on_beyond_text_or_formulas(read: Read) -> None:
    formulas = table(("x", "y"), ("x + 1", "y + 1"), ("x + 2", "y + 2"))
    for between in (text("Nobody knew that.", y=60), formulas):
        parsed = read(pdf(text(*LEFT) + between, text(*RIGHT)))
        assert [element.page for element in parsed.elements] == [1, 1, 2]
        assert not any(element.continues for element in parsed.elements)


def test_running_heads_feet_and_page_numbers_are_dropped(read: Read) -> None:
    words = ["apples", "pears", "plums", "cherries"]
    pages = [
        text(f"Journal of Fruit 12 ({n}) p. {n}", y=810)
        + text(f"The page on {word} says this about them.", y=700)
        + text(f"- {n + 40} -", x=290, y=60)
        for n, word in enumerate(words)
    ]
    assert texts(read(pdf(*pages))) == [f"The page on {word} says this about them." for word in words]


def test_a_head_with_the_pages_number_in_it_is_one_though_its_words_are_not_repeated(read: Read) -> None:
    pages = [text(f"Chapter {n * 'x'} {n + 8}", y=810) + text(f"Body {n}.", y=700) for n in range(1, 5)]
    assert texts(read(pdf(*pages))) == [f"Body {n}." for n in range(1, 5)]


def test_numbers_in_the_text_are_no_page_numbers(read: Read) -> None:
    pages = [text("100", "what they were", "7", "and so on", y=500) for _ in range(3)]
    assert "".join(texts(read(pdf(*pages)))).count("100") == 3


def test_a_page_with_nothing_but_a_head_keeps_it_unless_it_is_a_picture(read: Read) -> None:
    head = text("Kept as it is", y=800)
    assert texts(read(pdf(head, head))) == ["Kept as it is"] * 2
    bodies = [head + text(f"Body {n}.", y=500) for n in range(3)]
    parsed = read(pdf(*bodies, head + IMAGE))
    assert [page.kind for page in parsed.pages] == ["text", "text", "text", "missing"]


RULE = " 72 790 m 500 790 l S "
WHITE = " q 1 g 0 0 595 842 re f Q "


def test_a_rule_or_white_paint_is_nothing_that_text_could_be_missing_of(read: Read) -> None:
    head = text("Kept as it is", y=800)
    bodies = [head + text(f"Body {n}.", y=500) for n in range(3)]
    parsed = read(pdf(*bodies, WHITE + head + RULE, WHITE + RULE))
    assert [page.kind for page in parsed.pages] == ["text", "text", "text", "text", "blank"]


def test_headings_are_what_is_larger_or_bold_and_have_levels(read: Read) -> None:
    page = (
        text("A Report on the Two Wards", size=20, y=780)
        + text("1 The wards", size=14, y=740)
        + text(*LEFT, y=720)
        + text("Who was there", font="F2", y=650)
        + text(*RIGHT, y=630)
        + text("Results", size=14, y=570)
        + text(*LEFT, y=550)
    )
    parsed = read(pdf(page))
    found = [(element.kind, element.level, element.text) for element in parsed.elements]
    assert found[0] == ("title", 0, "A Report on the Two Wards")
    assert [one for one in found if one[0] == "heading"] == [
        ("heading", 1, "1 The wards"),
        ("heading", 2, "Who was there"),
        ("heading", 1, "Results"),
    ]
    assert parsed.title == "A Report on the Two Wards"


def test_what_most_of_the_text_is_like_makes_no_heading(read: Read) -> None:
    bold = text(*LEFT, font="F2") + text("in the first ward", font="F2", y=690) + text(*RIGHT, y=660, size=8)
    assert "heading" not in [element.kind for element in read(pdf(bold)).elements]
    programs = "".join(text(f"run {n} wards", f"see {n}, {n + 1}, {n + 2}", size=8, y=700 - 45 * n) for n in range(14))
    page = text(*LEFT) + programs + text("as they said", y=60)
    assert "heading" not in [element.kind for element in read(pdf(page)).elements]


def test_bold_words_at_the_start_of_a_paragraph_are_no_heading(read: Read) -> None:
    run_in = "BT /F2 10 Tf 72 700 Td (Methods. ) Tj /F1 10 Tf (We asked all of the nurses twice, once in) Tj ET"
    parsed = read(pdf(run_in + text("spring and once in autumn.", y=688)))
    assert texts(parsed) == ["Methods. We asked all of the nurses twice, once in spring and once in autumn."]
    assert only(parsed).kind == "paragraph"


def test_a_bold_item_of_a_list_is_no_heading(read: Read) -> None:
    page = text(*LEFT) + text("- This one is bold", font="F2", y=680) + text("2.1 This one too", font="F2", y=640)
    assert [element.kind for element in read(pdf(page)).elements] == ["paragraph", "list_item", "heading"]


def test_a_title_may_come_from_the_metadata(read: Read) -> None:
    assert read(pdf(text(*LEFT), title="What they said")).title == "What they said"
    assert read(pdf(text(*LEFT), title="What " * 1000)).title == ("What " * 100).strip()
    for none in ("paper final.dvi", "Microsoft Word - a b.doc", "untitled document", "x"):
        assert read(pdf(text(*LEFT), title=none)).title == ""


def test_names_under_a_title_are_no_headings(read: Read) -> None:
    page = text("A Report on the Two Wards", size=20) + text("Ada Lovelace and Max Born", font="F2", size=12, y=740)
    parsed = read(pdf(page + text("Abstract", font="F2", size=12, y=700) + text(*LEFT, y=680)))
    assert [element.kind for element in parsed.elements] == ["title", "paragraph", "heading", "paragraph"]


def test_a_list_of_authors_is_no_end_of_what_stands_under_a_title(read: Read) -> None:
    people = [f"Ada Lovelace, Max Born, Emmy Noether, Lise Meitner and {n} more" for n in range(4)]
    page = text("A Report on the Two Wards", size=20) + text(*people, font="F2", size=12, y=740)
    page += text("The Second Ward, Berlin", size=12, y=680) + text("ABSTRACT", size=8, y=650)
    parsed = read(pdf(page + text(*LEFT, y=630) + text("Wards", font="F2", y=570) + text(*RIGHT, y=550)))
    kinds = ["title", "paragraph", "paragraph", "heading", "paragraph", "heading", "paragraph"]
    assert [element.kind for element in parsed.elements] == kinds


def test_a_heading_behind_a_large_opening_is_one(read: Read) -> None:
    opening = text(*LEFT[:3], "there were no more than five.", size=12, leading=14, y=740)
    page = text("A Report on the Two Wards", size=20) + opening + text("The wards", font="F2", y=660)
    kinds = ["title", "paragraph", "heading", "paragraph"]
    assert [element.kind for element in read(pdf(page + text(*RIGHT, y=640))).elements] == kinds


def test_captions_and_items_of_lists(read: Read) -> None:
    page = text(*LEFT) + text("Figure 2: The two wards.", y=680) + text("Figure 2 shows them.", y=640)
    items = [text(f"{n}. Item number {n}", y=600 - 12 * n) for n in range(1, 4)]
    parsed = read(pdf(page + "".join(items)))
    assert [element.kind for element in parsed.elements] == ["paragraph", "caption", "paragraph", *["list_item"] * 3]


def test_what_stands_in_a_field_is_on_the_page(read: Read) -> None:
    element = read(pdf(text("Name:", y=606), field="Ada Lovelace")).elements[-1]
    assert element.text.endswith("Ada Lovelace")
    assert element.box[1] == pytest.approx((842 - 614) / 842, abs=0.01)


def test_invisible_text_is_text(read: Read) -> None:
    assert texts(read(pdf(IMAGE + "3 Tr " + text("Read by a machine")))) == ["Read by a machine"]


def test_a_page_without_text_is_missing_if_something_is_on_it(read: Read) -> None:
    parsed = read(pdf(text("One"), IMAGE, "", text("Four")))
    assert [page.kind for page in parsed.pages] == ["text", "missing", "blank", "text"]


@pytest.mark.parametrize("pages", [[IMAGE], [IMAGE, IMAGE, text("One")], [IMAGE, text("One"), ""]])
def test_most_pages_that_are_not_blank_must_have_text(read: Read, pages: list[str]) -> None:
    assert read.reason(pdf(*pages)) == "no-text-layer"


def test_a_page_that_cannot_be_opened_is_missing(read: Read) -> None:
    content = pdf(text("One"), text("Two"), text("Three")).replace(b"12 0 R 14 0 R", b"98 0 R 14 0 R")
    parsed = read(content)
    assert [page.kind for page in parsed.pages] == ["text", "missing", "text"]


def test_a_blank_document_is_blank(read: Read) -> None:
    parsed = read(pdf("", ""))
    assert ([page.kind for page in parsed.pages], parsed.elements) == (["blank", "blank"], ())


def test_the_failure_says_how_many_pages_have_none(read: Read) -> None:
    with pytest.raises(BadInput, match=r"no text layer: needs MinerU or OCR \(2 of 3 pages have none\)"):
        read(pdf(IMAGE, IMAGE, text("One")))


def test_characters_that_mean_nothing_are_no_text(read: Read) -> None:
    assert read.reason(pdf(text(*LEFT), meaning="E020")) == "no-text-layer"
    assert read.reason(pdf(text(*LEFT), meaning="DBC0DC00")) == "no-text-layer"
    coded = ["".join(chr(ord(one) - 29) if one >= "A" else one for one in line) for line in LEFT]
    assert read.reason(pdf(text(*coded, font="F4"))) == "no-text-layer"


def test_characters_that_no_font_gives_a_meaning_are_text_where_they_read_as_such(read: Read) -> None:
    assert texts(read(pdf(text(*LEFT, font="F4")))) == [" ".join(LEFT)]


def test_characters_that_take_two_surrogates_are_whole(read: Read) -> None:
    mathematical = "".join(chr(0x1D400 + ord(letter) - ord(" ")) for letter in LEFT[0].replace(" ", ""))
    assert texts(read(pdf(text(LEFT[0].replace(" ", "")), meaning="D835DC00"))) == [mathematical]


def test_too_large_is_said_before_anything_is_read(read: Read) -> None:
    assert read.reason(pdf(text("One"), text("Two")), max_pages=1) == "too-large"
    assert read.reason(b"%PDF-" + b"0" * 1_000_001, max_mb=1) == "too-large"


def test_a_page_with_more_characters_than_any_has_is_refused(read: Read) -> None:
    many = " ".join(f"({'x' * 1000}) Tj" for _ in range(401))
    assert read.reason(pdf(f"BT /F1 1 Tf 72 700 Td {many} ET")) == "too-large"
