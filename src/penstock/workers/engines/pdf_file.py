"""A PDF file as pdfium opens it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pypdfium2 as pdfium
from pypdfium2 import raw

from penstock.errors import BadInput

_LOCKED = (raw.FPDF_ERR_PASSWORD, raw.FPDF_ERR_SECURITY)


@contextmanager
def opened(pdf: Path, *, max_mb: int, max_pages: int) -> Iterator[pdfium.PdfDocument]:
    """`max_mb`: megabytes of 1,000,000 bytes. Raises BadInput: too-large, encrypted, corrupt, no-pages."""
    size = pdf.stat().st_size
    if size > max_mb * 1_000_000:
        raise _too_large(f"{size} bytes, more than {max_mb} MB", "--max-mb")
    try:
        document = pdfium.PdfDocument(pdf)
    except pdfium.PdfiumError as error:
        if error.err_code in _LOCKED:
            raise BadInput("it is encrypted and needs a password", reason="encrypted") from error
        raise BadInput(f"no PDF that can be read: {error}", reason="corrupt") from error
    with document:
        if not (count := len(document)):
            raise BadInput("the PDF has no pages", reason="no-pages")
        if count > max_pages:
            raise _too_large(f"{count} pages, more than {max_pages}", "--max-pages")
        yield document


def _too_large(said: str, option: str) -> BadInput:
    helps = f"start penstock worker pdf with a larger {option}, then: penstock retry --reason too-large"
    return BadInput(said, reason="too-large", next_step=helps)


def page_sizes(document: pdfium.PdfDocument) -> list[tuple[float, float]]:
    """Width and height of each page as it is displayed, in points."""
    return [document.get_page_size(index) for index in range(len(document))]


def drawn(document: pdfium.PdfDocument, numbers: Iterable[int]) -> set[int]:
    """Those of the pages with these numbers (from 1) that anything is drawn on. Raises BadInput (corrupt)."""
    found = set()
    for number in numbers:
        try:
            page = document[number - 1]
        except pdfium.PdfiumError as error:
            raise BadInput(f"page {number} can't be read: {error}", reason="corrupt") from error
        if raw.FPDFPage_CountObjects(page) > 0:
            found.add(number)
        page.close()
    return found
