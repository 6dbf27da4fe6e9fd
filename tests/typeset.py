"""The PDFs of examples-pdf/, set from tests/papers/*.md: `python tests/typeset.py` writes them anew.

A PDF is written by hand, with the fonts that every reader has, so that the same words give the same bytes. A paper is
front matter (`columns`, `size` of its letters, `doi`, `authors`, `note`; `scan`: a picture of its lines, without a text
layer), then `# title`, `## heading`, paragraphs, `- items`, tables (`| a | b |`, the first row is their head) and
`= captions`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from pdfminer.fontmetrics import FONT_METRICS
from PIL import Image, ImageDraw, ImageFont

HERE = Path(__file__).resolve().parent
PAPERS, EXAMPLES = HERE / "papers", HERE.parent / "examples-pdf"
FONTS = {"F1": "Times-Roman", "F2": "Times-Bold", "F3": "Times-Italic", "F4": "Helvetica", "F5": "Helvetica-Bold"}
WIDTH, HEIGHT, MARGIN, GAP, FOOT = 612.0, 792.0, 54.0, 24.0, 64.0
NOTICE = "Written as an example for Penstock. Nothing in it is real, and it is no medical advice."
MARK = "An invented example"


@dataclass(frozen=True)
class Line:
    """One line of text, `width` wide if it is to be filled; `space` above it. `keep`: it stays with what follows."""

    text: str
    font: str
    size: float
    indent: float = 0.0
    width: float = 0.0
    space: float = 0.0
    keep: bool = False

    @property
    def height(self) -> float:
        return self.space + self.size * 1.25

    def draw(self, x: float, y: float) -> Iterator[str]:
        blanks = self.text.count(" ")
        fill = (self.width - measure(self.text, self.font, self.size)) / blanks if self.width and blanks else 0.0
        fill = fill if fill < self.size else 0.0  # too few words
        where = f"{x + self.indent:.2f} {y:.2f} Td"
        yield f"BT /{self.font} {self.size:g} Tf {fill:.3f} Tw {where} {shown(self.text)} Tj ET"


@dataclass(frozen=True)
class Table:
    """Cells in columns as wide as they need, with a rule below the head and at both ends."""

    rows: list[list[str]]
    room: float
    size: float
    keep: bool = True

    @property
    def height(self) -> float:
        return (len(self.rows) + 1) * self.size * 1.5

    def draw(self, x: float, y: float) -> Iterator[str]:
        step = self.size * 1.5
        needed = [max(measure(cell, "F4", self.size) for cell in column) for column in zip(*self.rows, strict=True)]
        spare = (self.room - sum(needed)) / len(needed)
        assert spare > 2, f"too wide: {self.rows[0]}"
        top = y + self.height - step
        for number, row in enumerate(self.rows):
            at, base = x, top - number * step
            for cell, width in zip(row, needed, strict=True):
                yield from Line(cell, "F5" if number == 0 else "F4", self.size).draw(at, base)
                at += width + spare
            if number in (0, len(self.rows) - 1):
                yield f"0.5 w {x:.2f} {base - 4:.2f} m {x + self.room:.2f} {base - 4:.2f} l S"
        yield f"0.5 w {x:.2f} {top + self.size + 2:.2f} m {x + self.room:.2f} {top + self.size + 2:.2f} l S"


def measure(text: str, font: str, size: float) -> float:
    """In points."""
    widths = FONT_METRICS[FONTS[font]][1]
    return sum(widths[letter] for letter in text) * size / 1000


def shown(text: str) -> str:
    """A PDF string in WinAnsiEncoding, spelled in ASCII."""
    told = "".join(f"\\{byte:03o}" if byte > 126 or byte in b"()\\" else chr(byte) for byte in text.encode("cp1252"))
    return f"({told})"


def wrapped(text: str, font: str, size: float, room: float) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and measure(longer, font, size) <= room:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def paragraph(text: str, font: str, size: float, room: float, *, fill: bool = False, **first: float) -> list[Line]:
    """Lines of one paragraph; `space` above its first one."""
    indent, space = first.get("indent", 0.0), first.get("space", 0.0)
    found = wrapped(text, font, size, room - indent)
    return [
        Line(
            line,
            font,
            size,
            indent,
            room - indent if fill and number < len(found) - 1 else 0.0,
            space if number == 0 else 0.0,
            keep=number == 0 and len(found) > 1,
        )
        for number, line in enumerate(found)
    ]


@dataclass
class Paper:
    facts: dict[str, str]
    body: list[str]

    @classmethod
    def read(cls, path: Path) -> Paper:
        _, head, body = path.read_text(encoding="utf-8").split("---\n", 2)
        facts = dict(line.split(": ", 1) for line in head.splitlines())
        return cls(facts, body.strip().splitlines())

    @property
    def title(self) -> str:
        return self.body[0].removeprefix("# ")

    @property
    def columns(self) -> int:
        return int(self.facts.get("columns", "1"))

    @property
    def size(self) -> float:
        return float(self.facts.get("size", "10"))

    @property
    def room(self) -> float:
        return (WIDTH - 2 * MARGIN - GAP * (self.columns - 1)) / self.columns

    def head(self) -> list[Line]:
        """What stands above the columns."""
        room = WIDTH - 2 * MARGIN
        lines = paragraph(self.title, "F5", 17, room)
        lines += paragraph(self.facts["authors"], "F3", 10.5, room, space=6)
        doi = f"https://doi.org/{self.facts['doi']}"
        return lines + paragraph(" · ".join(filter(None, [self.facts.get("note"), doi, MARK])), "F4", 8, room, space=4)

    def flow(self) -> Iterator[Line | Table]:
        """What goes down the columns."""
        for kind, lines in groupby(self.body[1:], key=lambda line: line[:1] if line[:1] in "#|-=" else "x"):
            some = [line for line in lines if line]
            if kind == "|":
                rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in some]
                yield Line("", "F1", 4, keep=True)
                yield Table(rows, self.room, 8)
                continue
            for line in some:
                if kind == "#":
                    yield from paragraph(line.removeprefix("## "), "F5", self.size + 1.5, self.room, space=9)
                elif kind == "=":
                    yield from paragraph(line.removeprefix("= "), "F3", 8.5, self.room)
                elif kind == "-":
                    yield Line("\u2022", "F1", self.size, space=2, keep=True)
                    yield from paragraph(line.removeprefix("- "), "F1", self.size, self.room, indent=12)
                else:
                    yield from paragraph(line, "F1", self.size, self.room, fill=True, space=4)


@dataclass
class Sheets:
    """Pages being filled, column by column."""

    paper: Paper
    pages: list[list[str]] = field(default_factory=list)
    column: int = 0
    top: float = 0.0
    y: float = 0.0

    def set(self) -> list[str]:
        """The content stream of each page."""
        self._page()
        self._put(MARGIN, self.paper.head())
        self.top = self.y = self.y - 8
        parts, group = list(self.paper.flow()), []
        for number, part in enumerate(parts):
            group.append(part)
            heading = isinstance(part, Line) and part.font == "F5"
            if not (part.keep or heading) or number == len(parts) - 1:
                self._room_for(sum(one.height for one in group))
                self._put(MARGIN + self.column * (self.paper.room + GAP), group)
                group = []
        for number, page in enumerate(self.pages if len(self.pages) > 1 else [], 1):
            page += Line(f"{self.paper.title.partition(':')[0]} · {MARK} · {number}", "F4", 7).draw(MARGIN, FOOT - 24)
        return ["\n".join(page) for page in self.pages]

    def _page(self) -> None:
        self.pages.append([])
        self.column, self.top = 0, HEIGHT - MARGIN
        self.y = self.top

    def _room_for(self, height: float) -> None:
        if self.y - height >= FOOT:
            return
        self.column += 1
        self.y = self.top
        if self.column == self.paper.columns:
            self._page()

    def _put(self, x: float, parts: list[Line] | list[Line | Table]) -> None:
        bullet = False
        for part in parts:
            if not bullet:
                self.y -= part.height
            self.pages[-1] += part.draw(x, self.y)
            bullet = isinstance(part, Line) and part.text == "\u2022"


def stream(data: bytes, more: str = "") -> bytes:
    return f"<< /Length {len(data)}{more} >>\nstream\n".encode() + data + b"\nendstream"


def pdf(title: str, pages: list[tuple[bytes, str]], objects: list[bytes]) -> bytes:
    """A PDF of pages (content stream, resources); `objects` are numbered from 3, which resources may name."""
    first = 3 + len(objects)
    kids = " ".join(f"{first + 2 * number} 0 R" for number in range(len(pages)))
    bodies = [b"<< /Type /Catalog /Pages 2 0 R >>", f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode()]
    bodies += objects
    for number, (content, resources) in enumerate(pages):
        page = f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {WIDTH:g} {HEIGHT:g}] /Resources << {resources} >>"
        bodies += [f"{page} /Contents {first + 2 * number + 1} 0 R >>".encode(), stream(content)]
    bodies.append(f"<< /Title {shown(title)} /Subject {shown(NOTICE)} >>".encode())
    out, places = bytearray(b"%PDF-1.4\n"), []
    for number, body in enumerate(bodies, 1):
        places.append(len(out))
        out += f"{number} 0 obj\n".encode() + body + b"\nendobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    trailer = f"trailer\n<< /Size {len(bodies) + 1} /Root 1 0 R /Info {len(bodies)} 0 R >>"
    end = f"xref\n0 {len(bodies) + 1}\n0000000000 65535 f \n{table}{trailer}\nstartxref\n{len(out)}\n%%EOF\n"
    return bytes(out) + end.encode()


def typeset(paper: Paper) -> bytes:
    fonts = [
        f"<< /Type /Font /Subtype /Type1 /BaseFont /{name} /Encoding /WinAnsiEncoding >>".encode()
        for name in FONTS.values()
    ]
    named = " ".join(f"/{font} {number} 0 R" for number, font in enumerate(FONTS, 3))
    pages = [(content.encode(), f"/Font << {named} >>") for content in Sheets(paper).set()]
    return pdf(paper.title, pages, fonts)


def scanned(paper: Paper) -> bytes:
    """One page that holds nothing but a picture of the lines, as a scanner makes it."""
    image = Image.new("1", (408, 528), 1)
    pen, font = ImageDraw.Draw(image), ImageFont.load_default_imagefont()
    for number, line in enumerate([paper.title, *paper.body[1:]]):
        pen.text((36, 40 + 16 * number), line, fill=0, font=font)
    bits = run_lengths(image.tobytes())
    kind = f" /Type /XObject /Subtype /Image /Width {image.width} /Height {image.height} /BitsPerComponent 1"
    picture = stream(bits, f"{kind} /ColorSpace /DeviceGray /Filter /RunLengthDecode")
    content = f"q {WIDTH:g} 0 0 {HEIGHT:g} 0 0 cm /I Do Q".encode()
    return pdf(paper.title, [(content, "/XObject << /I 3 0 R >>")], [picture])


def run_lengths(data: bytes) -> bytes:
    """RunLengthDecode's input (ISO 32000-1, 7.4.5), as runs of one byte each."""
    out = bytearray()
    for byte, run in groupby(data):
        count = len(list(run))
        while count:
            length = min(count, 128)
            out += bytes((257 - length, byte)) if length > 1 else bytes((0, byte))
            count -= length
    return bytes(out + b"\x80")


LANDING_PAGE = f"""<!DOCTYPE html>
<html lang="en"><head><title>Sign in to read: Dosing of apixaban in dialysis</title></head>
<body><h1>Sign in to read</h1><p>Your library does not subscribe to this article. {NOTICE}</p></body></html>
"""
"""What publishers like to send instead of a PDF, under its name."""


def examples() -> dict[str, bytes]:
    """File name → content, of all that examples-pdf/ holds."""
    papers = {path.stem: Paper.read(path) for path in sorted(PAPERS.glob("*.md"))}
    made = {f"{name}.pdf": scanned(p) if "scan" in p.facts else typeset(p) for name, p in papers.items()}
    return {**made, "apixaban-dialysis-dosing.pdf": LANDING_PAGE.encode()}


if __name__ == "__main__":
    EXAMPLES.mkdir(exist_ok=True)
    for file, content in examples().items():
        (EXAMPLES / file).write_bytes(content)
