"""Plain text: paragraphs that are the payload's own bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from locators import untrue_blocks
from parsing import damaged, kept, read, real, refusal, survives

KIND = "text"


def paragraphs(content: bytes, media_type: str = "text/plain") -> list[str]:
    document = read(KIND, content, media_type)
    assert untrue_blocks(content, document) == []
    return [document.text[block.start : block.end] for block in document.blocks]


def test_every_exact_block_of_real_files_is_its_bytes_and_no_word_is_lost(data: Path) -> None:
    for name, content in real(data, KIND):
        document = read(KIND, content)
        assert untrue_blocks(content, document) == [], name
        encoding = "utf-16-le" if content[1:2] == b"\x00" else "utf-8"
        assert kept([content.decode(encoding)], document) == 1, name
        assert encoding != "utf-8" or all(block.exact for block in document.blocks), name


def test_damaged_files_are_read_or_refused_for_a_known_reason(data: Path) -> None:
    for _, content in real(data, KIND):
        for other in damaged(content[:50_000], cuts=10, flips=9):
            document = survives(KIND, other)
            assert document is None or untrue_blocks(other, document) == []


def test_blank_lines_and_form_feeds_separate_paragraphs_and_line_ends_stay() -> None:
    assert paragraphs(b"\n one\ntwo \n \t\n\n\nthree\x0cfour\n") == ["one\ntwo", "three", "four"]
    assert paragraphs(b"one\r\ntwo\r\n\r\nthree\r\n") == ["one\r\ntwo", "three"]
    assert paragraphs(b"one\rtwo\r\rthree") == ["one\rtwo", "three"]


def test_a_span_of_a_document_is_followed_back_to_its_bytes() -> None:
    content = "\ufeffÄpfel\n\nSchöne Äpfel heute.\n".encode()
    document = read(KIND, content)
    start = document.text.index("Äpfel heute")
    place = document.locate(start, start + 5)
    assert place is not None
    assert content[place.start : place.end].decode() == "Äpfel"


def test_the_title_is_the_first_line() -> None:
    assert read(KIND, "\n  Sick days \nand more\n\nx").title == "Sick days"
    assert len(read(KIND, "word " * 1000).title) <= 200


@pytest.mark.parametrize(
    ("encoding", "media_type"),
    [
        ("utf-8", "text/plain"),
        ("utf-8-sig", "text/plain"),
        ("utf-16", "text/plain"),
        ("utf-32", "text/plain"),
        ("cp1252", "text/plain"),
        ("cp1251", "text/plain; charset=windows-1251"),
        ("utf-16-be", 'text/plain; charset="utf-16-be"'),
    ],
)
def test_encodings_are_found_and_inexact_blocks_point_at_their_bytes(encoding: str, media_type: str) -> None:
    words = "Привет" if encoding == "cp1251" else "Schöne Grüße"
    content = f"ascii\n\n{words}\n".encode(encoding)
    document = read(KIND, content, media_type)
    assert document.text == f"ascii\n\n{words}"
    assert untrue_blocks(content, document) == []
    place = document.blocks[1].locator
    exact = {"utf-16": "utf-16-le", "utf-32": "utf-32-le", "utf-8-sig": "utf-8"}.get(encoding, encoding)
    assert content[place.start : place.end].decode(exact) == words
    assert document.blocks[1].exact is encoding.startswith("utf-8")


def test_utf_16_without_a_mark_is_known_by_its_zero_bytes(data: Path) -> None:
    content = (data / "office/fake-text-utf-16-le.txt").read_bytes()
    assert read(KIND, content).text.startswith("This is a test document")


def test_one_damaged_byte_harms_one_character_and_one_block() -> None:
    content = "Schöne Grüße\n\nÄpfel".encode() + b"\xff.\n\n" + "Zoë".encode()
    assert paragraphs(content) == ["Schöne Grüße", "Äpfel\ufffd.", "Zoë"]
    document = read(KIND, content)
    assert [block.exact for block in document.blocks] == [True, False, True]
    place = document.blocks[1].locator
    assert content[place.start : place.end] == "Äpfel".encode() + b"\xff."


def test_a_stray_zero_byte_is_kept_out_of_the_text_and_its_block_is_inexact() -> None:
    document = read(KIND, b"a " * 100 + b"\x00 b\n\nc")
    assert "\ufffd b" in document.text
    assert [block.exact for block in document.blocks] == [False, True]


def test_what_is_blank_or_binary_is_refused() -> None:
    assert refusal(KIND, b"") == "empty"
    assert refusal(KIND, b"\xef\xbb\xbf \r\n\t") == "empty"
    assert refusal(KIND, b"\xff\xfe") == "empty"
    assert refusal(KIND, bytes(range(256)) * 20) == "unsupported"
    assert refusal(KIND, b"\x7fELF" + b"\x00\x01\x02" * 100) == "unsupported"


@pytest.mark.parametrize("run", [b" ", b"\n", b"\r", b" \t" * 300 + b"z\n"])
def test_long_runs_of_white_space_take_no_quadratic_time(run: bytes) -> None:
    assert read(KIND, b"x\n" + run * (5_000_000 // len(run)) + b"y").text.startswith("x")
