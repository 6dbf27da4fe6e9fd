"""Lines that run from right to left, as the CPU engine reads them."""

from __future__ import annotations

from cpu_read import LEFT, Read, texts
from pdfs import pdf, text

HEBREW = "05AF"
"""The meaning of a blank if A is to be the first letter of the Hebrew alphabet."""


def test_words_of_english_in_a_line_from_the_right_keep_their_order(read: Read) -> None:
    line = "BT 72 700 Td /F1 10 Tf (LKJIHGFED) Tj /F3 10 Tf ( f\\(x\\) 12 Km/h ) Tj /F1 10 Tf (CBA) Tj ET"
    assert texts(read(pdf(line, meaning=HEBREW))) == ["אבג f(x) 12 Km/h דהוזחטיךכ"]


def test_letters_from_the_right_may_come_in_the_order_they_are_read_in(read: Read) -> None:
    line = "BT 300 700 Td /F1 10 Tf [(A) 1334 (B) 1389 (C) 1722 (D) 1389 (E)] TJ ET"
    assert texts(read(pdf(line, meaning=HEBREW))) == ["אבג דה"]


def test_a_line_of_english_stays_as_it_is_in_a_document_that_is_read_from_the_right(read: Read) -> None:
    said = b"/Catalog /ViewerPreferences << /Direction /R2L >>"
    assert texts(read(pdf(text(LEFT[0])).replace(b"/Catalog", said))) == [LEFT[0]]
