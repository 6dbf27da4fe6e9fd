"""PDFs made by hand: content streams with Helvetica as F1, bold as F2, ligatures as F3, and F4, of whose characters
nobody says what they mean."""

from __future__ import annotations

from collections.abc import Iterable

A4 = (0, 0, 595, 842)
IMAGE = "q 400 0 0 600 90 120 cm BI /W 1 /H 1 /CS /G /BPC 8 ID \x80 EI Q "
"""A picture that covers most of a page."""

_MAP = """/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /X def /CMapType 2 def
1 begincodespacerange <00> <FF> endcodespacerange 1 beginbfrange <20> <7E> <{}> endbfrange endcmap end end"""

_FIELD = "/Type /Annot /Subtype /Widget /FT /Tx /F 4 /Rect [72 600 272 620] /AP << /N 8 0 R >>"
_UNKNOWN = " ".join(f"/odd{code}" for code in range(33, 127))


def text(*lines: str, x: float = 72, y: float = 770, size: float = 10, leading: float = 12, font: str = "F1") -> str:
    """Lines below one another, the first one's baseline at `y` from the foot of the page."""
    shown = " T* ".join(f"({_escaped(line)}) Tj" for line in lines)
    return f"BT /{font} {size} Tf {leading} TL 1 0 0 1 {x} {y} Tm {shown} ET"


def pdf(
    *pages: str,
    box: Iterable[float] = A4,
    crop: Iterable[float] | None = None,
    rotate: int = 0,
    title: str = "",
    meaning: str = "",
    field: str = "",
) -> bytes:
    """A file with these contents, one a page. `meaning`: of a blank by what its fonts say, as UTF-16 in hex; of the
    other characters, what follows it. `field`: what each page has in a field of a form."""
    ways = "/ToUnicode 9 0 R" if meaning else ""
    meanings = _MAP.format(meaning)
    cropped = f"/CropBox [{_numbers(crop)}]" if crop else ""
    filled = f"BT /F1 10 Tf 2 6 Td ({_escaped(field)}) Tj ET"
    fields = f"/Annots [<< {_FIELD} >>]" if field else ""
    places = " ".join(f"{10 + 2 * number} 0 R" for number in range(len(pages)))
    objects = {
        1: "<< /Type /Catalog /Pages 2 0 R >>",
        2: f"<< /Type /Pages /Count {len(pages)} /Kids [{places}] /MediaBox [{_numbers(box)}] {cropped} "
        f"/Rotate {rotate} /Resources << /Font << /F1 3 0 R /F2 4 0 R /F3 5 0 R /F4 7 0 R >> >> >>",
        3: f"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica {ways} >>",
        4: f"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold {ways} >>",
        5: "<< /Type /Font /Subtype /Type1 /BaseFont /Times-Roman "
        "/Encoding << /Type /Encoding /Differences [1 /fi /fl] >> >>",
        6: f"<< /Title ({_escaped(title)}) >>",
        7: "<< /Type /Font /Subtype /Type1 /BaseFont /Odd "
        f"/Encoding << /Type /Encoding /Differences [33 {_UNKNOWN}] >> >>",
        8: "<< /Type /XObject /Subtype /Form /BBox [0 0 200 20] /Resources << /Font << /F1 3 0 R >> >> "
        f"/Length {len(filled)} >> stream\n{filled}\nendstream",
        9: f"<< /Length {len(meanings)} >> stream\n{meanings}\nendstream",
    }
    for number, content in enumerate(pages):
        objects[10 + 2 * number] = f"<< /Type /Page /Parent 2 0 R /Contents {11 + 2 * number} 0 R {fields} >>"
        objects[11 + 2 * number] = f"<< /Length {len(content)} >> stream\n{content}\nendstream"
    body, offsets = "%PDF-1.7\n", {}
    for number, content in objects.items():
        offsets[number] = len(body)
        body += f"{number} 0 obj\n{content}\nendobj\n"
    table = "".join(f"{number} 1\n{offset:010} 00000 n \n" for number, offset in offsets.items())
    trailer = f"<< /Size {max(objects) + 1} /Root 1 0 R /Info 6 0 R >>"
    return f"{body}xref\n{table}trailer\n{trailer}\nstartxref\n{len(body)}\n%%EOF".encode("latin-1")


def _escaped(string: str) -> str:
    return string.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")


def _numbers(values: Iterable[float]) -> str:
    return " ".join(map(str, values))
