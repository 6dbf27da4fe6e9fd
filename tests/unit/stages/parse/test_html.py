"""Web pages: the content without its furniture, in any encoding, each block with its way back."""

from __future__ import annotations

from pathlib import Path

import pytest
from lxml import html

from locators import resolve, untrue_blocks, untrue_fields
from parsing import damaged, kept, read, real, refusal, survives

KIND = "html"


def page(body: str, head: str = "") -> str:
    return f"<!DOCTYPE html><html lang='en'><head>{head}</head><body>{body}</body></html>"


def blocks(content: str) -> list[tuple[str, str]]:
    document = read(KIND, content)
    assert untrue_blocks(content.encode(), document, html=True) == []
    return [(block.kind, document.text[block.start : block.end]) for block in document.blocks]


def test_every_exact_block_and_field_of_real_pages_is_what_its_locator_resolves_to(data: Path) -> None:
    for name, content in real(data, KIND):
        document = read(KIND, content)
        assert untrue_blocks(content, document, html=True) == [], name
        assert untrue_fields(content, document, html=True) == [], name


def test_titles_of_real_pages_equal_an_independent_xpath(data: Path) -> None:
    for name, content in real(data, KIND):
        tree = html.document_fromstring(content)
        stated = tree.xpath("string((//meta[@name='citation_title'])[1]/@content)") or tree.xpath("string(//title)")
        if stated.strip():
            assert read(KIND, content).title == " ".join(stated.split()), name


def test_real_pages_keep_the_prose_of_their_content(data: Path) -> None:
    unseen = "script style noscript button nav footer select svg"
    away = "[not(ancestor-or-self::*[@hidden or @aria-hidden='true' or contains(@style, 'display:none')])]"
    for name, content in real(data, KIND):
        encoding = "cp1252" if "cp1252" in name else "utf-8"
        tree = html.document_fromstring(content, parser=html.HTMLParser(encoding=encoding))
        html.etree.strip_elements(tree, *unseen.split(), with_tail=False)
        wiki = "contains(@class, 'navbox') or contains(@class, 'catlinks') or contains(@class, 'noprint')"
        for furniture in tree.xpath(f"//header//ul | //*[{wiki}]"):
            furniture.drop_tree()
        inside = "//main" if tree.xpath("//main") else "//body"
        prose = [
            element.text_content()
            for element in tree.xpath(f"{inside}//*[self::p or self::li or self::td or self::h2 or self::pre]{away}")
            if not element.xpath(".//p | .//li | .//td")
        ]
        assert kept(prose, read(KIND, content)) >= 0.95, name


def test_damaged_pages_are_read_or_refused_for_a_known_reason(data: Path) -> None:
    for _, content in real(data, KIND):
        for other in damaged(content[:100_000], cuts=10, flips=6):
            document = survives(KIND, other)
            assert document is None or untrue_blocks(other, document, html=True) == []


def test_headings_open_sections_that_end_with_the_element_they_are_in() -> None:
    content = page("<h1>A</h1><p>one</p><section><h2>B</h2><p>two</p></section><p>three</p><h2>C</h2><p>four</p>")
    document = read(KIND, content)
    spans = {section.heading: document.text[section.start : section.end] for section in document.sections}
    assert spans["B"] == "B\n\ntwo"
    assert spans["C"] == "C\n\nfour"
    assert spans["A"] == document.text


def test_what_no_reader_sees_and_what_is_the_pages_furniture_is_left_out() -> None:
    seen = "<p>Kept <span style='display: none'>a</span><script>b</script>text.</p>"
    furniture = (
        "<nav>c</nav><header>d</header><footer>e</footer><aside>f</aside><div hidden>g</div>"
        "<div aria-hidden='true'>h</div>"
        "<div role='navigation'>i</div><noscript>j</noscript><template>k</template><select><option>l</option></select>"
    )
    assert blocks(page(furniture + seen)) == [("paragraph", "Kept text.")]


def test_main_is_preferred_and_headers_and_footers_in_it_are_content() -> None:
    main = f"<main><header><h1>T</h1><ul><li>menu</li></ul></header><p>{'word ' * 60}</p><footer>by me</footer></main>"
    assert [text for _, text in blocks(page(f"<p>outside</p>{main}"))] == ["T", ("word " * 60).strip(), "by me"]
    assert ("paragraph", "outside") in blocks(page("<p>outside</p><main></main>"))


def test_text_around_blocks_and_line_breaks_is_not_lost_nor_glued() -> None:
    content = page("<div>one <b>two</b><p>three<br>four</p>five<ul><li>six<ul><li>seven</li></ul></li></ul></div>")
    assert blocks(content) == [
        ("paragraph", "one two"),
        ("paragraph", "three four"),
        ("paragraph", "five"),
        ("list_item", "six"),
        ("list_item", "seven"),
    ]


def test_text_after_the_end_of_body_or_html_is_read() -> None:
    assert [text for _, text in blocks("<html><body><p>a</p></body><p>b</p></html><p>c</p>")] == ["a", "b", "c"]


def test_note_marks_are_dropped_and_other_superscripts_stay() -> None:
    content = page(
        "<p>Ducks.<sup><a href='#n1'>[1]</a></sup> The 10<sup>2</sup> and <sup><a href='/x'>tm</a></sup>.</p>"
    )
    assert blocks(content) == [("paragraph", "Ducks. The 102 and tm.")]


def test_data_tables_are_grids_and_layout_tables_are_read_through() -> None:
    rows = "<tr><th>a</th><th>b</th></tr><tr><td rowspan=2>1</td><td>2</td></tr><tr><td>3</td></tr>"
    document = read(KIND, page(f"<table><caption>C</caption>{rows}</table>"))
    (table,) = document.tables
    assert (table.rows, table.header_rows, table.caption) == ((("a", "b"), ("1", "2"), ("1", "3")), 1, "C")
    assert blocks(page("<table><tr><td><h2>A</h2></td><td><p>b</p></td></tr></table>")) == [
        ("heading", "A"),
        ("paragraph", "b"),
    ]


def test_preformatted_prose_is_paragraphs_and_code_keeps_its_lines() -> None:
    content = page("<pre>one\n  two\n\n\nthree</pre><pre><code>if x:\n    y\n</code></pre>")
    assert blocks(content) == [("paragraph", "one two"), ("paragraph", "three"), ("code", "if x:\n    y")]


def test_figures_are_captions_and_their_headings_open_no_section() -> None:
    document = read(KIND, page("<figure><h4>Figure 1.</h4><img><figcaption>Ducks.</figcaption></figure><p>x</p>"))
    assert document.sections == ()
    assert [figure.caption for figure in document.figures] == ["Ducks."]
    assert document.text[document.figures[0].start : document.figures[0].end] == "Figure 1.\n\nDucks."


def test_meta_elements_become_fields_identifiers_and_dates() -> None:
    head = (
        "<title>A - Site</title><meta name='citation_title' content='A  title'>"
        "<meta name='citation_author' content='Jane Doe'>"
        "<meta name='citation_author' content='Jo Roe'><meta name='citation_doi' content='doi:10.1000/ABC'>"
        "<meta name='citation_pmid' content='7'><meta name='citation_publication_date' content='2010 Jun 1'>"
        "<meta property='article:modified_time' content='2011-02-03T10:00:00Z'>"
        "<meta name='keywords' content='ducks,  geese;'>"
        "<meta name='citation_journal_title' content='J'><meta name='citation_issn' content='1234-5678'>"
        "<link rel='canonical' href='https://example.org/a'>"
    )
    content = page("<p>Text.</p>", head).encode()
    document = read(KIND, content)
    assert document.title == "A title"
    assert untrue_fields(content, document, html=True) == untrue_blocks(content, document, html=True) == []
    said = [(field.name, field.value) for field in document.fields]
    assert said == [
        ("journal", "J"),
        ("author", "Jane Doe"),
        ("author", "Jo Roe"),
        ("keyword", "ducks"),
        ("keyword", "geese"),
    ]
    assert [(i.scheme, i.value) for i in document.identifiers] == [
        ("doi", "10.1000/abc"),
        ("pmid", "7"),
        ("url", "https://example.org/a"),
    ]
    assert [(d.kind, d.value) for d in document.dates] == [("published", "2010-06-01"), ("updated", "2011-02-03")]
    assert document.language == "en"


def test_a_title_that_the_main_heading_repeats_is_not_told_twice() -> None:
    assert blocks(page("<h1>Duck</h1><p>x</p>", "<title>Duck - Site</title>"))[0] == ("heading", "Duck")
    assert blocks(page("<p>x</p>", "<title>Duck</title>"))[0] == ("title", "Duck")
    assert read(KIND, page("<h1>Duck</h1><p>x</p>")).title == "Duck"


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        ("<p>caf\u00e9 \u201cx\u201d</p>".encode(), ""),
        ("<p>caf\u00e9 \u201cx\u201d</p>".encode("cp1252"), ""),
        ("<p>caf\u00e9 \u201cx\u201d</p>".encode("utf-16"), ""),
        ("<p>caf\u00e9 \u201cx\u201d</p>".encode("utf-8-sig"), ""),
        ("<meta charset=windows-1252><p>caf\u00e9 \u201cx\u201d</p>".encode("cp1252"), ""),
        ("<meta charset='iso-8859-1'><p>caf\u00e9 \u201cx\u201d</p>".encode("cp1252"), ""),
        ("<meta charset=utf-16><p>caf\u00e9 \u201cx\u201d</p>".encode(), ""),
        ("<meta charset=no-such><p>caf\u00e9 \u201cx\u201d</p>".encode(), ""),
        ("<meta charset=iso-8859-12><p>caf\u00e9 \u201cx\u201d</p>".encode(), ""),
        ("<p>caf\u00e9 \u201cx\u201d</p>".encode("utf-16-le"), "text/html; charset=utf-16-le"),
    ],
)
def test_the_encoding_is_found(content: bytes, media_type: str) -> None:
    assert read(KIND, content, media_type).text == "caf\u00e9 \u201cx\u201d"


def test_one_damaged_byte_harms_one_character() -> None:
    content = b"<p>caf\xc3\xa9 \xc3\xa4\xff</p>"
    document = read(KIND, content)
    assert document.text == "caf\u00e9 \u00e4\ufffd"
    assert untrue_blocks(content, document, html=True) == []


def test_pages_without_text_binary_data_and_what_goes_beyond_limits_are_refused() -> None:
    assert refusal(KIND, "") == "empty"
    assert refusal(KIND, "<!-- x -->") == "empty"
    assert refusal(KIND, page("<script>x</script>")) == "empty"
    assert refusal(KIND, bytes(range(256)) * 20) == "unsupported"
    assert refusal(KIND, page("<div>" * 100_000 + "x")) == "too-large"
    assert refusal(KIND, page("x" * 11_000_000)) == "too-large"


def test_deep_and_long_pages_are_read_without_recursion_errors_or_quadratic_paths() -> None:
    assert len(blocks(page("<div>a" * 240))) == 240
    document = read(KIND, page("<p>a</p>" * 20_000))
    assert document.blocks[-1].locator.xpath == "/html/body/p[20000]"
    assert resolve(page("<p>a</p>" * 20_000).encode(), document.blocks[-1].locator, html=True) == "a"
