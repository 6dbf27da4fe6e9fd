"""What is on a page beside its text."""

from __future__ import annotations

from collections.abc import Iterator
from ctypes import byref, c_float, c_int, c_uint

import pypdfium2.raw as pdfium
from pypdfium2 import PdfPage

_RULE = 2.0
"""Points: what is thinner is a line."""
_WHITE = 250
"""Of 255, in each colour."""
_UNSEEN_ANNOTATIONS = {pdfium.FPDF_ANNOT_LINK, pdfium.FPDF_ANNOT_POPUP}
_WRITTEN_ANNOTATIONS = {pdfium.FPDF_ANNOT_WIDGET, pdfium.FPDF_ANNOT_FREETEXT, pdfium.FPDF_ANNOT_STAMP}


def drawn(page: PdfPage) -> bool:
    """Whether images or shapes are on the page, or annotations that show."""
    for index in range(pdfium.FPDFPage_CountObjects(page)):
        if _is_shown(pdfium.FPDFPage_GetObject(page, index)):
            return True
    return any(kind not in _UNSEEN_ANNOTATIONS for kind in _annotations(page))


def has_own_text(page: PdfPage) -> bool:
    """Whether there are annotations on it that may have text which is no part of the page."""
    return any(kind in _WRITTEN_ANNOTATIONS for kind in _annotations(page))


def _annotations(page: PdfPage) -> Iterator[int]:
    """The kind of each."""
    for index in range(pdfium.FPDFPage_GetAnnotCount(page)):
        annotation = pdfium.FPDFPage_GetAnnot(page, index)
        kind = pdfium.FPDFAnnot_GetSubtype(annotation)
        pdfium.FPDFPage_CloseAnnot(annotation)
        yield kind


def _is_shown(item: pdfium.FPDF_PAGEOBJECT) -> bool:
    """Whether this is a picture or a shape: neither text nor a rule (below a running head), nor painted white."""
    kind = pdfium.FPDFPageObj_GetType(item)
    if kind != pdfium.FPDF_PAGEOBJ_PATH:
        return bool(kind != pdfium.FPDF_PAGEOBJ_TEXT)
    edges = [c_float() for _ in range(4)]
    pdfium.FPDFPageObj_GetBounds(item, *map(byref, edges))
    left, bottom, right, top = (edge.value for edge in edges)
    if min(right - left, top - bottom) <= _RULE:
        return False
    fill, stroke = c_int(), c_int()
    pdfium.FPDFPath_GetDrawMode(item, byref(fill), byref(stroke))
    paint = [c_uint() for _ in range(4)]
    pdfium.FPDFPageObj_GetFillColor(item, *map(byref, paint))
    return bool(stroke.value or (fill.value and any(part.value < _WHITE for part in paint[:3])))
