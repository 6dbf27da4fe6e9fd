"""From what stands on pages to a Document, and whether it accounts for all of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from penstock.errors import BadInput, InvalidOutput
from penstock.ir import Document, Identifier, RawPayload, Reference, StageContext
from penstock.stages.parse.builder import DocumentBuilder
from penstock.stages.parse.scholarly import identifier
from penstock.workers.joining import HYPHENS, joined
from penstock.workers.parsed import Element, Parsed

_DOI = re.compile(r"(?:doi\.org/|\bdoi:?\s{0,2})(10\.\d{4,9}/[^\s\"<>\]]{1,200})", re.IGNORECASE)
_NAMED = re.compile(
    r"\b(?:(?P<nct>NCT\d{8})\b|(?:doi\.org/|doi:?\s{0,2})(?P<doi>10\.\d{4,9}/[^\s\"<>\]]{1,200})"
    r"|PMID:?\s{0,2}(?P<pmid>\d{1,9})\b|(?P<pmcid>PMC\d{4,9})\b)",
    re.IGNORECASE,
)
MOST_TITLE = 500
_FIRST_CHARACTERS = 10_000
"""A paper says its own DOI early; later ones are those it cites."""


def check_pages(parsed: Parsed) -> None:
    """Raises InvalidOutput when an engine's pages and elements don't account for each other, BadInput (empty) when no
    page has anything to read."""
    numbers = [page.number for page in parsed.pages]
    if numbers != list(range(1, len(numbers) + 1)):
        raise InvalidOutput(f"the engine's pages are not numbered from 1: {numbers[:5]}…")
    written = {element.page for element in parsed.elements}
    if strange := written - set(numbers):
        raise InvalidOutput(f"the engine puts text on page {min(strange)} of {len(numbers)}")
    empty = next((p.number for p in parsed.pages if p.kind == "text" and p.number not in written), None)
    if empty is not None:
        raise InvalidOutput(f"the engine says that page {empty} has text, and gives none")
    if not any(e.text.strip() or e.caption.strip() for e in parsed.elements):
        raise BadInput("none of its pages has any text", reason="empty")


def assemble(
    parsed: Parsed,
    ctx: StageContext,
    payload: RawPayload,
    pdf: str,
    *,
    engine: str,
    version: str,
    raw: str | None = None,
    record: Document | None = None,
) -> Document:
    """The Document. `pdf` is the sha256 (hex) of the file, `raw` the artifact of what another program gave.

    Elements' images are names of artifacts by now. What a `record` about the PDF states (identifiers, dates, fields;
    its title, where there is one) is the document's too, with locators that lead into the record. Raises as
    `check_pages` does.
    """
    check_pages(parsed)
    made_by = f"{version} {parsed.producer}".strip()
    builder = DocumentBuilder(ctx, payload, parser=engine, version=made_by, sha256=pdf)
    builder.title = ((record.title if record else "") or parsed.title)[:MOST_TITLE]
    builder.language = parsed.language or (record.language if record else None)
    for element in _mended(parsed.elements):
        _add(builder, element)
        if element.reference and not (record and record.references):
            builder.reference(element.text, locator=builder.on_page(element.page, element.box))
    document = builder.build()
    own = {(one.scheme, one.value): one for one in record.identifiers} if record else {}
    if not own and (doi := _own_doi(document.text)):
        own = {("doi", doi): found} if (found := identifier("doi", doi)) else {}
    listed = (record.references if record else ()) or document.references
    named = () if record and record.references else tuple(_named(document, own.values()))
    return document.model_copy(
        update={
            "kind": "pdf",
            "identifiers": tuple(own.values()),
            "dates": record.dates if record else (),
            "fields": record.fields if record else (),
            "references": listed + named,
            "page_count": len(parsed.pages),
            "missing_pages": tuple(page.number for page in parsed.pages if page.kind == "missing"),
            "provenance": document.provenance.model_copy(update={"raw": raw}),
        }
    )


def _add(builder: DocumentBuilder, element: Element) -> None:
    where = builder.on_page(element.page, element.box)
    if element.kind == "heading":
        builder.heading(element.text, max(1, element.level), where, exact=False)
    elif element.kind == "table" and element.rows:
        builder.table(element.rows, where, caption=element.caption, header_rows=element.header_rows, html=element.html)
    elif element.kind == "figure":
        start = builder.here
        for text in (element.caption, element.text):
            builder.block(text, where, "caption", exact=False)
        builder.figure(element.caption, start, image=element.image, locator=where)
    else:
        text = f"{element.caption}\n{element.text}" if element.caption else element.text
        builder.block(text, where, element.kind, exact=False, continues=element.continues)


def _mended(elements: tuple[Element, ...]) -> Iterator[Element]:
    """A word that a column or page breaks is whole again, in the first of the two."""
    before: Element | None = None
    for element in elements:
        if before is not None and element.continues and before.text[-1:] in HYPHENS and before.text[-2:-1].isalnum():
            rest, _, after = element.text.partition(" ")
            before = before.model_copy(update={"text": joined((before.text, rest))})
            element = element.model_copy(update={"text": after})
        if before is not None:
            yield before
        before = element
    if before is not None:
        yield before


def _own_doi(text: str) -> str | None:
    found = _DOI.search(text, 0, _FIRST_CHARACTERS)
    return found[1].rstrip(".,;)") if found else None


def _named(document: Document, own: Iterable[Identifier]) -> Iterator[Reference]:
    """Works and studies that its text names by an identifier, each once, with the place on the page."""
    seen = set(own)
    for block in document.blocks:
        for found in _NAMED.finditer(document.text, block.start, block.end):
            scheme = str(found.lastgroup)
            value = found[scheme].rstrip(".,;)")
            one = Identifier(scheme="nct", value=value.upper()) if scheme == "nct" else identifier(scheme, value)
            if one is not None and one not in seen:
                seen.add(one)
                yield Reference(identifiers=(one,), locator=block.locator)
