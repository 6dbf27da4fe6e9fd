"""Tables, as the CPU engine finds them."""

from __future__ import annotations

from cpu_read import LEFT, Read, only, table
from pdfs import pdf, text

ROWS = [("Drug", "Dose", "Patients"), ("aspirin", "75 mg", "12"), ("warfarin", "5 mg", "31"), ("heparin", "", "4")]
CAPTION = "Table 1. What they took."


def test_a_table_that_says_so_is_one(read: Read) -> None:
    parsed = read(pdf(text(CAPTION, y=730) + table(*ROWS) + text(*LEFT, y=600)))
    assert [element.kind for element in parsed.elements] == ["table", "paragraph"]
    assert parsed.elements[0].caption == CAPTION
    assert parsed.elements[0].rows == tuple(ROWS)
    two_columns = [row[:2] for row in ROWS[:3]]
    assert read(pdf(text(CAPTION, y=730) + table(*two_columns))).elements[0].rows == tuple(two_columns)


def test_a_table_needs_no_caption_where_three_columns_are_clear(read: Read) -> None:
    element = only(read(pdf(table(*ROWS))))
    assert (element.kind, element.rows) == ("table", tuple(ROWS))
    assert element.text == "\n".join("\t".join(row) for row in ROWS)
    names = text("A Report on the Two Wards", size=20) + table(*ROWS) + text(*LEFT, y=600)
    others = [
        table(*(row[:2] for row in ROWS)),
        table(("x", "y", "z"), ("x + 1", "y + 1", "z + 1"), ("x + 2", "y + 2", "z + 2")),
        table(("Contents", ". . . .", "7"), ("Drugs", ". . . .", "8"), ("Doses", ". . . .", "9")),
        table(*((str(n), *row[1:]) for n, row in enumerate(ROWS, 14))),
        table(*ROWS[:3], ("heparin", "4 mg", "1 0.5")),
        table(*ROWS[:2]) + table(("heparin", "5 mg"), x=120, y=672) + table(ROWS[2], y=658),
        names,
    ]
    for other in others:
        assert "table" not in [element.kind for element in read(pdf(other)).elements]


def test_a_head_may_stand_above_several_columns(read: Read) -> None:
    above = ("1920", "What they took every day", "")
    assert only(read(pdf(table(above, *ROWS)))).rows == (above, *ROWS)


def test_captions_in_other_languages(read: Read) -> None:
    for caption in ("Tabla 1. Lo que tomaron.", "Cuadro 1: Lo que tomaron.", "Tabella 1. Quello che hanno preso."):
        assert read(pdf(text(caption, y=730) + table(*ROWS))).elements[0].caption == caption


def test_a_table_that_is_read_from_the_right_starts_there(read: Read) -> None:
    rows = [("1", "ABC", "DEF"), ("2", "GHI", "KLM"), ("3", "NOP", "QRS")]
    cells = "".join(
        text(cell, x=72 + 90 * column, y=700 - 14 * row, font="F3" if column == 0 else "F1")
        for row, cells in enumerate(rows)
        for column, cell in enumerate(cells)
    )
    found = only(read(pdf(cells, meaning="05AF"))).rows
    assert [row[2] for row in found] == ["1", "2", "3"]
    assert found[0][:2] == ("והד", "גבא")
