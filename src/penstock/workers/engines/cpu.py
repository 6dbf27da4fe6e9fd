"""The engine that needs nothing but a CPU: what the PDF itself says stands on its pages, by pdfium.

A page whose text layer is missing or means nothing can't be read here; a document most of whose pages are such fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from statistics import median_high

import pypdfium2 as pdfium
from pydantic import BaseModel, ConfigDict, PositiveInt
from pypdfium2 import raw

from penstock.errors import BadInput
from penstock.workers.engine import Progress
from penstock.workers.engines.cpu_layout.blocks import blocks
from penstock.workers.engines.cpu_layout.columns import columns
from penstock.workers.engines.cpu_layout.geometry import fractions, union
from penstock.workers.engines.cpu_layout.heads import without_heads
from penstock.workers.engines.cpu_layout.lines import lines, stretches
from penstock.workers.engines.cpu_layout.marks import has_own_text
from penstock.workers.engines.cpu_layout.reading import Run, Sheet, read
from penstock.workers.engines.cpu_layout.roles import Placed, elements
from penstock.workers.engines.cpu_layout.words import clean
from penstock.workers.engines.pdf_file import opened
from penstock.workers.parsed import Page, Parsed

_NO_TITLE = ("untitled", "microsoft word", "powerpoint")
_LONGEST_TITLE = 500
"""Characters."""
_FILE_NAMES = (".doc", ".docx", ".dvi", ".pdf", ".tex", ".txt", ".indd", ".qxd", ".ps", ".rtf", ".odt")


class CpuOptions(BaseModel):
    """`max_mb`: of the file, in megabytes of 1,000,000 bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_pages: PositiveInt = 2000
    max_mb: PositiveInt = 200


class CpuEngine:
    name = "cpu"
    version = "2"
    Options = CpuOptions

    def __init__(self, options: CpuOptions) -> None:
        self._options = options

    def parse(self, pdf: Path, progress: Progress) -> Parsed:
        """Raises BadInput: too-large, encrypted, corrupt, no-pages, no-text-layer."""
        with opened(pdf, max_mb=self._options.max_mb, max_pages=self._options.max_pages) as document:
            count = len(document)
            said = _said_title(document)
            sheets = []
            for number in range(1, count + 1):
                sheets.append(_sheet(document, number))
                progress(number, count)
        return _parsed(sheets, said)


def _sheet(document: pdfium.PdfDocument, number: int) -> Sheet:
    try:
        with closing(_page_as_shown(document, number - 1)) as page:
            return read(page, number)
    except pdfium.PdfiumError:  # something is there, but not even pdfium can open it
        return Sheet(number, 0.0, 0.0, 0, {}, drawn=True)


def _page_as_shown(document: pdfium.PdfDocument, index: int) -> pdfium.PdfPage:
    """The page, with what stands in the fields of a form, in stamps and in notes as a part of it."""
    page = document[index]
    if has_own_text(page):
        box = page.get_bbox()  # pdfium knows no box that the page inherits when it does this
        page.set_mediabox(*box)
        page.set_cropbox(*box)
        raw.FPDFPage_Flatten(page, raw.FLAT_NORMALDISPLAY)
        page.close()
        page = document[index]
    return page


def _said_title(document: pdfium.PdfDocument) -> str:
    """The metadata's title, "" where the program that wrote the PDF put something else there."""
    try:
        said = clean(document.get_metadata_value("Title"))
    except UnicodeDecodeError:
        return ""
    odd = said.lower().startswith(_NO_TITLE) or said.lower().endswith(_FILE_NAMES) or " " not in said
    return "" if odd else said


def _parsed(sheets: list[Sheet], said: str) -> Parsed:
    runs = _with_emphasis(without_heads(sheets))
    pages = tuple(_page(sheet, bool(left)) for sheet, left in zip(sheets, runs, strict=True))
    missing = [page.number for page in pages if page.kind == "missing"]
    if missing and 2 * len(missing) >= sum(page.kind != "blank" for page in pages):
        raise BadInput(
            f"no text layer: needs MinerU or OCR ({len(missing)} of {len(pages)} pages have none)",
            reason="no-text-layer",
            next_step="start penstock worker pdf --engine mineru, then: penstock retry --reason no-text-layer",
        )
    placed = [part for sheet, left in zip(sheets, runs, strict=True) for part in _placed(sheet, left)]
    found, title = elements(placed)
    return Parsed(pages=pages, elements=tuple(found), title=(title or said)[:_LONGEST_TITLE].strip())


def _with_emphasis(runs: list[dict[int, list[Run]]]) -> list[dict[int, list[Run]]]:
    """What most of the text is like is no emphasis: then none is said to be bold."""
    bold = sum(
        len(run.text) if run.bold else -len(run.text) for page in runs for turned in page.values() for run in turned
    )
    if bold <= 0:
        return runs
    return [{quarters: [run._replace(bold=False) for run in page[quarters]] for quarters in page} for page in runs]


def _page(sheet: Sheet, has_text: bool) -> Page:
    width, height = sheet.displayed
    kind = "text" if has_text else "missing" if sheet.drawn else "blank"
    return Page(number=sheet.number, width=width, height=height, kind=kind)


def _placed(sheet: Sheet, runs: dict[int, list[Run]]) -> Iterator[Placed]:
    """The page's blocks in reading order: first what most of its text is turned like."""
    column = 0
    by_amount = sorted(runs, key=lambda quarters: (-sum(len(run.text) for run in runs[quarters]), quarters))
    for quarters in by_amount:
        em = median_high(run.size for run in runs[quarters] for _ in range(len(run.text)))
        parts = stretches(runs[quarters])
        for places in columns([union(run.box for run in part) for part in parts], em):
            column += 1
            for block in blocks(lines([run for place in places for run in parts[place]])):
                box = fractions(sheet.shown(block.box, quarters), *sheet.displayed)
                yield Placed(block, sheet.number, column, box, aside=quarters != by_amount[0])
