"""Pages become a Document that accounts for all of them."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.errors import BadInput, InvalidOutput
from penstock.ir import Document, Identifier, Origin, RawPayload, StageContext
from penstock.ir.documents import DocumentDate, Provenance
from penstock.workers.assemble import assemble
from penstock.workers.parsed import Element, Page, Parsed

BOX = (0.1, 0.2, 0.9, 0.3)
PDF = "ab" * 32


def page(number: int, kind: Any = "text") -> Page:
    return Page(number=number, width=595, height=842, kind=kind)


def text(words: str, on: int = 1, kind: Any = "paragraph", **more: Any) -> Element:
    return Element(kind=kind, text=words, page=on, box=BOX, **more)


def made(*elements: Element, pages: tuple[Page, ...] | None = None, record: Document | None = None) -> Document:
    count = max((e.page for e in elements), default=1)
    parsed = Parsed(pages=pages or tuple(map(page, range(1, count + 1))), elements=elements)
    payload = RawPayload(
        source="files", source_id="a.pdf", kind="pdf", origin=Origin(uri="a.pdf", key="a.pdf"), content=b""
    )
    ctx = StageContext("default", "doc", "c")
    return assemble(parsed, ctx, payload, PDF, engine="e", version="1", record=record)


def test_blocks_know_their_page_and_box() -> None:
    document = made(text("first"), text("second", 2))
    block = document.block_at(document.text.index("second"))
    assert block is not None
    assert (block.locator.page, block.locator.box, block.locator.payload) == (2, BOX, PDF)
    assert (document.page_count, document.missing_pages, document.kind) == (2, (), "pdf")


def test_headings_open_sections() -> None:
    document = made(text("Methods", kind="heading", level=1), text("we did"), text("Trials", kind="heading", level=2))
    assert [(s.heading, s.level) for s in document.sections] == [("Methods", 1), ("Trials", 2)]


@pytest.mark.parametrize(
    ("first", "second", "whole"),
    [
        ("the long", "sentence goes on", "the long sentence goes on"),
        ("an exam-", "ple of it", "an example of it"),
        ("an exam-", "ple", "an example"),
        ("in COVID-", "19 cases", "in COVID-19 cases"),
        ("state-of-the-", "art methods", "state-of-the-art methods"),
    ],
)
def test_a_sentence_over_two_pages_is_one(first: str, second: str, whole: str) -> None:
    assert made(text(first), text(second, 2, continues=True), pages=(page(1), page(2))).text == whole


def test_tables_keep_cells_html_and_place() -> None:
    rows = (("Arm", "n"), ("drug", "12"))
    document = made(
        text("x", kind="table", rows=rows, header_rows=1, caption="Table 1", html="<table></table>"), text("after")
    )
    [table] = document.tables
    assert (table.rows, table.header_rows, table.caption, table.html) == (rows, 1, "Table 1", "<table></table>")
    assert document.text[table.start : table.end] == "Table 1\nArm\tn\ndrug\t12"


def test_a_figure_without_a_word_is_still_a_figure() -> None:
    document = made(text("before"), text("", kind="figure", image="cd" * 32))
    [figure] = document.figures
    assert (figure.artifact, figure.page, figure.box) == ("cd" * 32, 1, BOX)


def test_missing_pages_are_named() -> None:
    document = made(text("x"), pages=(page(1), page(2, "missing"), page(3, "blank")))
    assert (document.page_count, document.missing_pages) == (3, (2,))


def test_its_own_doi_is_found_and_not_one_that_it_cites() -> None:
    assert made(text("https://doi.org/10.1000/XYZ.1).")).identifiers == (
        Identifier(scheme="doi", value="10.1000/xyz.1"),
    )
    cited = made(text("x" * 20_000), text("doi:10.1000/cited"))
    assert (cited.identifiers, len(cited.references)) == ((), 1)


def test_what_a_record_states_is_the_documents_too() -> None:
    record = Document(
        doc_id="doc",
        source="core",
        source_id="1",
        kind="core",
        title="The stated title",
        text="",
        language="en",
        identifiers=(Identifier(scheme="doi", value="10.1/a"),),
        dates=(DocumentDate(kind="published", value="2024"),),
        provenance=Provenance(parser="core", version="1", payload="ef" * 32),
    )
    document = made(text("PDF words"), record=record)
    assert (document.title, document.language) == ("The stated title", "en")
    assert document.identifiers == record.identifiers
    assert document.dates == record.dates


@pytest.mark.parametrize(
    ("pages", "elements", "said"),
    [
        ((page(2),), (text("x", 2),), "not numbered from 1"),
        ((page(1),), (text("x", 7),), "on page 7 of 1"),
        ((page(1), page(2)), (text("x"),), "page 2 has text, and gives none"),
    ],
)
def test_pages_and_elements_must_account_for_each_other(
    pages: tuple[Page, ...], elements: tuple[Element, ...], said: str
) -> None:
    with pytest.raises(InvalidOutput, match=said):
        made(*elements, pages=pages)


def test_studies_and_works_that_the_text_names_are_references_with_their_place() -> None:
    document = made(text("x"), text("As in NCT01234567 and nct01234567, PMID: 123.", 2), pages=(page(1), page(2)))
    assert [(r.identifiers[0].scheme, r.identifiers[0].value) for r in document.references] == [
        ("nct", "NCT01234567"),
        ("pmid", "123"),
    ]
    assert {r.locator and r.locator.page for r in document.references} == {2}


def test_what_it_cites_is_kept_with_its_place() -> None:
    document = made(text("x"), text("Doe J. A paper. 2020.", kind="list_item", reference=True))
    [reference] = document.references
    assert (reference.text, reference.locator and reference.locator.page) == ("Doe J. A paper. 2020.", 1)


def test_nothing_to_read_is_no_success() -> None:
    with pytest.raises(BadInput, match="none of its pages") as error:
        made(pages=(page(1, "blank"),))
    assert error.value.reason == "empty"
