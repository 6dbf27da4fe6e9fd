"""Markdown: blocks without markup, located by bytes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from locators import untrue_blocks, untrue_fields
from parsing import damaged, kept, read, real, refusal, survives

KIND = "markdown"
SAMPLE = """# Ducks

Ducks *swim* in [ponds](http://example.org "t").
They quack &amp; `dive`.

Plain words
over two lines.

- one
- two
  - three

> quoted

| a | b |
|---|---|
| 1 | **2** |

```python
x = 1
```

<table><tr><th>c</th><th>d</th></tr><tr><td>3</td><td>4</td></tr></table>

## Geese

![a goose](goose.png)
"""


def blocks(content: str | bytes) -> list[tuple[str, str, bool]]:
    document = read(KIND, content)
    raw = content.encode() if isinstance(content, str) else content
    assert untrue_blocks(raw, document) == []
    return [(block.kind, document.text[block.start : block.end], block.exact) for block in document.blocks]


def test_every_exact_block_and_field_of_real_files_is_what_its_locator_resolves_to(data: Path) -> None:
    for name, content in real(data, KIND):
        document = read(KIND, content)
        assert untrue_blocks(content, document) == [], name
        assert untrue_fields(content, document) == [], name


def test_real_files_keep_their_words(data: Path) -> None:
    markup = re.compile(r"\]\([^)\s]*\)|<!--.*?-->|<[^>]*>|^\s*```\w*|^\[[^\]]*\]:.*$|&\w+;", re.DOTALL | re.MULTILINE)
    for name, content in real(data, KIND):
        source = content.decode("utf-8", "replace")
        if "\ufffd" not in source:
            assert kept([markup.sub(" ", source)], read(KIND, content)) >= 0.95, name


def test_titles_of_real_files_are_their_first_top_heading(data: Path) -> None:
    for name, content in real(data, KIND):
        found = re.search(r"^# ([\w .:()-]+)$", content.decode("utf-8", "replace"), re.MULTILINE)
        if found:
            assert read(KIND, content).title == " ".join(found[1].split()), name


def test_damaged_files_are_read_or_refused_for_a_known_reason(data: Path) -> None:
    for _, content in real(data, KIND):
        for other in damaged(content[:30_000], cuts=5, flips=3):
            document = survives(KIND, other)
            assert document is None or untrue_blocks(other, document) == []


def test_markup_goes_and_every_kind_of_block_stays() -> None:
    assert blocks(SAMPLE) == [
        ("heading", "Ducks", True),
        ("paragraph", "Ducks swim in ponds.\nThey quack & dive.", False),
        ("paragraph", "Plain words\nover two lines.", True),
        ("list_item", "one", True),
        ("list_item", "two", True),
        ("list_item", "three", True),
        ("paragraph", "quoted", True),
        ("table", "a\tb\n1\t2", False),
        ("code", "x = 1", True),
        ("table", "c\td\n3\t4", False),
        ("heading", "Geese", True),
        ("paragraph", "a goose", True),
    ]
    document = read(KIND, SAMPLE)
    assert [(section.level, section.heading) for section in document.sections] == [(1, "Ducks"), (2, "Geese")]
    assert [(table.rows, table.header_rows) for table in document.tables] == [
        ((("a", "b"), ("1", "2")), 1),
        ((("c", "d"), ("3", "4")), 1),
    ]
    assert document.title == "Ducks"


def test_an_inexact_block_is_located_by_its_source_lines() -> None:
    document = read(KIND, SAMPLE)
    place = document.blocks[1].locator
    lines = SAMPLE.encode()[place.start : place.end].decode()
    assert lines.startswith("Ducks *swim*")
    assert lines.endswith("`dive`.")


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_and_byte_order_marks_leave_blocks_exact(ending: str, mark: str) -> None:
    content = (mark + SAMPLE).replace("\n", ending)
    found = blocks(content)
    assert [exact for _, _, exact in found].count(True) == 9
    assert found[2] == ("paragraph", f"Plain words{ending}over two lines.", True)


@pytest.mark.parametrize("encoding", ["utf-16", "cp1252"])
def test_other_encodings_are_located_by_their_own_bytes(encoding: str) -> None:
    content = "# Enten\n\nSchöne Vögel.\n".encode(encoding)
    document = read(KIND, content)
    assert document.text == "Enten\n\nSchöne Vögel."
    place = document.blocks[1].locator
    assert not document.blocks[1].exact
    found = content[place.start : place.end]
    assert found.decode("utf-16-le" if encoding == "utf-16" else encoding) == "Schöne Vögel."
    assert untrue_blocks(content, document) == []


def test_front_matter_gives_title_dates_keywords_and_authors() -> None:
    content = (
        "---\ntitle: \"On Ducks\"\ndate: 2024-03-09\nlastmod: 2024-13-45\ntags: [ducks, 'wet birds']\n"
        "author:\n  - Jane Doe\n  - Jo Roe\nlang: EN\n---\n\nText.\n"
    )
    document = read(KIND, content)
    assert (document.title, document.text, document.language) == ("On Ducks", "On Ducks\n\nText.", "en")
    assert [(date.kind, date.value) for date in document.dates] == [("published", "2024-03-09"), ("updated", "2024")]
    assert [(field.name, field.value) for field in document.fields] == [
        ("keyword", "ducks"),
        ("keyword", "wet birds"),
        ("author", "Jane Doe"),
        ("author", "Jo Roe"),
    ]
    assert untrue_fields(content.encode(), document) == untrue_blocks(content.encode(), document) == []


@pytest.mark.parametrize(
    "matter",
    [
        "a: &x [1]\nb: [*x, *x]",
        "a: " + "[" * 2_000,
        "a: [",
        "just words",
        "x: !!python/object/apply:os.system [ls]",
    ],
)
def test_front_matter_that_is_no_safe_mapping_runs_nothing_and_hides_nothing(matter: str) -> None:
    document = read(KIND, f"---\n{matter}\n---\n\nText.\n")
    assert document.text.endswith("Text.")
    assert document.fields == ()


def test_html_in_markdown_is_read_as_html_and_comments_are_left_out() -> None:
    assert blocks("<!-- hidden -->\n\n<ul>\n<li>one</li>\n<li>two<br>three</li>\n</ul>\n\nx<br>y <!-- no -->z\n") == [
        ("list_item", "one", False),
        ("list_item", "two three", False),
        ("paragraph", "x\ny z", False),
    ]


def test_what_is_empty_binary_long_or_deep_is_refused() -> None:
    assert refusal(KIND, "") == "empty"
    assert refusal(KIND, "<!-- x -->\n") == "empty"
    assert refusal(KIND, bytes(range(256)) * 20) == "unsupported"
    assert refusal(KIND, "word " * 500_000) == "too-large"
    assert refusal(KIND, ">" * 100_000 + "x") == "too-large"
    assert refusal(KIND, "<div>" * 300 + "x") == "too-large"


@pytest.mark.parametrize("hostile", ["[", "*a ", "**a _b ", "![a](<b", "<!--", "`", "a <b ", "# a\n", "- a\n\n", "\\*"])
def test_input_built_to_hurt_is_borne(hostile: str) -> None:
    survives(KIND, (hostile * 5_000)[:5_000].encode())


def test_a_tag_that_never_closes_takes_no_quadratic_time() -> None:
    assert read(KIND, "<div>" + "<" * 1_000_000).text
