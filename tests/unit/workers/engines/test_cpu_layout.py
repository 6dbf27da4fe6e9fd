"""The geometry and the words of the CPU engine's layout: what holds for any page."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.workers.engines.cpu_layout.bidi import logical, seen
from penstock.workers.engines.cpu_layout.columns import columns
from penstock.workers.engines.cpu_layout.geometry import fractions, rows, turned
from penstock.workers.engines.cpu_layout.lines import lines
from penstock.workers.engines.cpu_layout.reading import Run
from penstock.workers.engines.cpu_layout.words import clean, compounds, means_nothing, right_to_left, seam
from penstock.workers.parsed import Box

WIDTH, HEIGHT, EM = 600.0, 800.0, 10.0
whole = st.integers(0, 580).map(float)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    x0, y0 = draw(whole), draw(whole)
    return x0, y0, x0 + draw(st.integers(0, 300)), y0 + draw(st.integers(0, 30))


@given(boxes(), st.integers(0, 3))
def test_turning_a_page_back_brings_a_box_back(box: Box, quarters: int) -> None:
    there = turned(box, quarters, WIDTH, HEIGHT)
    size = (HEIGHT, WIDTH) if quarters % 2 else (WIDTH, HEIGHT)
    assert turned(there, -quarters, *size) == pytest.approx(box)
    assert there[2] - there[0] == pytest.approx((box[3] - box[1]) if quarters % 2 else (box[2] - box[0]))


@given(boxes(), st.floats(0, 1000), st.floats(0, 1000))
def test_fractions_are_on_the_page(box: Box, width: float, height: float) -> None:
    x0, y0, x1, y1 = fractions(box, width, height)
    assert 0 <= x0 <= x1 <= 1
    assert 0 <= y0 <= y1 <= 1


@given(st.lists(boxes(), max_size=60))
def test_every_box_is_in_one_row_and_in_one_column(found: list[Box]) -> None:
    places = list(range(len(found)))
    assert sorted(place for row in rows(found) for place in row) == places
    assert sorted(place for column in columns(found, EM) for place in column) == places


@given(
    st.integers(2, 3),
    st.lists(st.integers(3, 40), min_size=1, max_size=3),
    st.integers(8, 30),
    st.randoms(use_true_random=False),
)
def test_columns_are_read_one_after_the_other_between_what_crosses_them(
    count: int, bands: list[int], gutter: int, random: object
) -> None:
    """Bands of lines in columns, a line across the page above each."""
    width = (WIDTH - (count - 1) * gutter) / count
    expected: list[list[Box]] = []
    y = 0.0
    for height in bands:
        expected.append([(0.0, y, WIDTH, y + 9)])
        for column in range(count):
            x = column * (width + gutter)
            expected.append([(x, y + 12 * line, x + width, y + 12 * line + 9) for line in range(2, 2 + height)])
        y += 12 * (height + 4)
    shuffled = [box for region in expected for box in region]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert [[shuffled[place] for place in region] for region in columns(shuffled, EM)] == expected


def test_cells_of_a_table_are_no_columns() -> None:
    table = [(x, y, x + 40.0, y + 9.0) for y in map(float, range(0, 240, 12)) for x in (0.0, 200.0, 400.0)]
    assert len(columns(table, EM)) == 1


@pytest.mark.parametrize(("gap", "text"), [(1.6, "column"), (2.4, "colu mn"), (12.0, "colu\tmn")])
def test_runs_are_one_word_two_or_two_cells_by_the_white_between_them(gap: float, text: str) -> None:
    runs = [Run(one, x, 0.0, x + 20, 8.0, 8.0, EM, bold=False) for one, x in (("colu", 0.0), ("mn", 20 + gap))]
    (line,) = lines(runs)
    assert "\t".join(line.cells) == text
    assert line.spans[-1][1] == 40 + gap


@given(st.text(), st.text())
def test_a_seam_loses_nothing_but_a_hyphen(first: str, second: str) -> None:
    left_out, between = seam(first, second, frozenset())
    assert first[len(first) - left_out :] in ("", "-", "\u00ad", "\u2010")
    assert between in ("", " ")


@pytest.mark.parametrize(
    ("first", "second", "own", "whole"),
    [
        ("the deploy-", "ment of", frozenset(), "the deployment of"),
        ("a well-", "known one", frozenset({"well-known"}), "a well-known one"),
        ("the Navier-", "Stokes equation", frozenset(), "the Navier-Stokes equation"),
        ("the 12-", "hour shift", frozenset(), "the 12-hour shift"),
        ("pre-", "and postnatal", frozenset(), "pre- and postnatal"),
        ("the 12\u00ad", "B shift", frozenset(), "the 12B shift"),
        ("one", "two", frozenset(), "one two"),
        ("患者は", "毎朝", frozenset(), "患者は毎朝"),
        ("患者は", "two", frozenset(), "患者は two"),
        ("one -", "two", frozenset(), "one - two"),
    ],
)
def test_lines_become_one(first: str, second: str, own: frozenset[str], whole: str) -> None:
    left_out, between = seam(first, second, own)
    assert first[: len(first) - left_out] + between + second == whole


def test_compounds_are_pairs_of_words_in_the_midst_of_lines() -> None:
    assert compounds(["a State-of-the-art well\u2010known x-", "3-4"]) == {
        "state-of",
        "of-the",
        "the-art",
        "well-known",
    }


def test_clean_text_has_no_ligatures_nor_characters_that_show_nothing() -> None:
    assert clean("\x00e\ufb03cient\u00a0\u200b  \uf0b7 line\x02") == "efficient • line-"
    assert clean("\ud835\udc53 \ud835x") == "𝑓 \ufffdx"


@pytest.mark.parametrize(
    ("seen_", "from_right", "read"),
    [
        ("plain (text) 1.5", False, "plain (text) 1.5"),
        ("גבא see 10", True, "see 10 אבג"),
        ("20 10 גבא", True, "אבג 10 20"),
        ("25.5% גבא", True, "אבג 25.5%"),
        ("160 Km/h גבא", True, "אבג 160 Km/h"),
        ("(U) (3", True, "3) (U)"),
        ("f(x) גבא", True, "אבג f(x)"),
        ("(דג) בא", True, "אב (גד)"),
        ("as (דג 12 בא) in it", False, "as (אב 12 גד) in it"),
    ],
)
def test_what_stands_on_the_page_is_read_in_logical_order(seen_: str, from_right: bool, read: str) -> None:
    assert logical(seen_, from_right=from_right) == read


@given(st.text("אבגab12 ().%:,\u05b8"), st.booleans())
def test_no_character_is_lost_in_either_order(line: str, from_right: bool) -> None:
    shown = seen(line, from_right=from_right)
    assert sorted(place for place, _ in shown) == list(range(len(line)))
    brackets = str.maketrans("()", "  ")
    read = logical("".join(one for _, one in shown), from_right=from_right)
    assert sorted(read.translate(brackets)) == sorted(line.translate(brackets))


def test_text_that_means_something() -> None:
    told = "The patients were seen by two nurses every morning in CamelCase."
    assert not means_nothing(told)
    assert not means_nothing("Kt 7% x")
    assert not means_nothing("1 ......................................... 12 34.5 67.8 90.1 23.4 56.7 89.0 12.3 45.6")
    assert means_nothing(told.swapcase().replace("a", "[").replace("E", "]").replace("T", "`").replace("N", "^"))
    assert means_nothing("7KH SDWLHQWV ZHUH VHHQ EB WZR QXUVHV HYHUB PRUQLQJ LQ WKH ZDUG")
    assert means_nothing("T`§rK wt w¡ ¾Ð wlWm , A§ ± rKb xwf ¨ ( T`§rJ T§ )")


def test_which_way_a_text_runs() -> None:
    assert right_to_left("لغة R")
    assert not right_to_left("R لغ Python")
    assert not right_to_left("plain")
    assert not right_to_left("")
