"""PDFs made on the spot: lines of Helvetica on A4 pages, for tests that need many files and no particular one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random

from corpus import prose

LINES = 40


def pdf(pages: Sequence[Sequence[str]]) -> bytes:
    """A file with these lines on its pages."""
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(pages)))
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Kids[{kids}]/Count {len(pages)}>>".encode(),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
    ]
    for n, lines in enumerate(pages):
        shown = "".join(f"({_escaped(line)}) Tj T*\n" for line in lines)
        content = f"BT /F1 11 Tf 14 TL 60 780 Td\n{shown}ET".encode("cp1252", "replace")
        objects.append(
            f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents {5 + 2 * n} 0 R"
            "/Resources<</Font<</F1 3 0 R>>>>>>".encode()
        )
        objects.append(b"<</Length %d>>stream\n%b\nendstream" % (len(content), content))
    written, places = bytearray(b"%PDF-1.4\n"), []
    for number, body in enumerate(objects, 1):
        places.append(len(written))
        written += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"xref\n0 %d\n0000000000 65535 f \n%btrailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n"
    return bytes(written + end % (len(objects) + 1, table, len(objects) + 1, len(written)))


def papers(folder: Path, count: int, *, pages: int = 6, seed: int = 7) -> Path:
    """So many files of prose, each another."""
    folder.mkdir(parents=True, exist_ok=True)
    random = Random(seed)
    for number in range(count):
        text = [[prose(random, 12) for _ in range(LINES)] for _ in range(pages)]
        text[0][0] = f"Paper number {number}"
        (folder / f"paper-{number:03}.pdf").write_bytes(pdf(text))
    return folder


def _escaped(line: str) -> str:
    return line.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
