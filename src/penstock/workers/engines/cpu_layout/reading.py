"""What pdfium says of a page: runs of text with box, baseline, size and weight of font.

A call through ctypes costs as much as laying out a word, so nothing is asked per character: the text of the page comes
in one call, and a run (up to the line end that pdfium put in) is asked for its boxes, one per text object, and for the
fonts of three of its characters. Only a run whose boxes are far apart is asked word by word.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from ctypes import byref, c_double, c_void_p, cast, create_string_buffer
from dataclasses import dataclass
from itertools import pairwise
from math import hypot, inf, isfinite
from operator import itemgetter
from statistics import median
from typing import NamedTuple

import pypdfium2.raw as pdfium
from pypdfium2 import PdfPage, PdfTextPage

from penstock.errors import BadInput
from penstock.workers.engines.cpu_layout.bidi import Seen, logical, seen
from penstock.workers.engines.cpu_layout.geometry import overlap, turned, union
from penstock.workers.engines.cpu_layout.marks import drawn
from penstock.workers.engines.cpu_layout.words import RIGHT_TO_LEFT, clean, means_nothing, right_to_left, whole
from penstock.workers.parsed import Box

_MOST_CHARACTERS = 400_000
"""On a page."""
_FEW_CHARACTERS = 300
"""A page that has no more may be a picture with a stamp on it."""
_HYPHEN = "\x02\ufffe"
"""What pdfium gives for a hyphen at a line's end."""
_RUN = re.compile(rf"[^\r\n{_HYPHEN}]+[{_HYPHEN}]?")
_WORD = re.compile(r"\S+")
_GARBLED = re.compile("[\0\1\x03-\x08\x0e-\x1f\x7f-\x9f\ufffd\ue000-\uf8ff\U000f0000-\U0010ffff]")
_LEADERS = re.compile(r"(?:[._·…-] ?){10,}")
"""A line drawn with characters."""
_PRINTED = re.compile(r"\S")
_LAM_ALEF = re.compile("\u0644[\u0622\u0623\u0625\u0627]")
_BOLD = re.compile(r"bold|black|heavy|demi|medi(?!um)|[-.,]b(?:i|$)|^(?:\w+\+)?(?:cm|sf|ec)bx?\d", re.I)
_NOT_BOLD = re.compile(r"roman|regu|book|light|thin|normal|[-,](?:ital|obli)", re.I)
_BOLD_WEIGHT = 600
"""What pdfium makes of the stems' width where the font's name says nothing."""
_LEGIBLE = 2.0
"""A font smaller than this many points has its real size elsewhere (fonts made of bitmaps)."""
NARROW_GAP = 0.8
"""Of the size: white that may be no blank between words, but between columns or cells."""
_LOOSE = 0.55
"""Of the size: characters that are wider on average have wide white among them."""
_LONG_ENOUGH = 10
"""Characters: most runs of so many have some that rise and some that hang."""
_FAR_HIGHER = 1.6
_BLANK = 0.12
"""Of a line's height: more white is a blank between words."""
_LOOKED_AT = 32
"""Characters of a page."""


class Run(NamedTuple):
    """Text on one line, in the frame of its direction. `base` is the baseline's y, `size` the font's in points."""

    text: str
    x0: float
    y0: float
    x1: float
    y1: float
    base: float
    size: float
    bold: bool

    @property
    def box(self) -> Box:
        return self.x0, self.y0, self.x1, self.y1


@dataclass(slots=True)
class Sheet:
    """A page as read. `runs`: by quarters that the page is turned clockwise for them to run from left to right.

    `width` and `height` are the unturned crop box's, `rotation` the quarters it is turned by when shown. `drawn`:
    a picture or a shape is on it, or text whose characters mean nothing (not looked for where there is much text).
    """

    number: int
    width: float
    height: float
    rotation: int
    runs: dict[int, list[Run]]
    drawn: bool

    @property
    def displayed(self) -> tuple[float, float]:
        return (self.height, self.width) if self.rotation % 2 else (self.width, self.height)

    def frame(self, quarters: int) -> tuple[float, float]:
        return (self.height, self.width) if quarters % 2 else (self.width, self.height)

    def shown(self, box: Box, quarters: int) -> Box:
        """`box` of the frame turned by `quarters`, on the page as displayed."""
        return turned(box, self.rotation - quarters, *self.frame(quarters))


def read(page: PdfPage, number: int) -> Sheet:
    """Raises BadInput (too-large) for more characters than a page can hold."""
    left, bottom, right, top = page.get_bbox()
    sheet = Sheet(number, right - left, top - bottom, page.get_rotation() // 90 % 4, {}, drawn=False)
    text_page = page.get_textpage()
    try:
        text = _text(text_page, number)
        meant = whole(text)
        garbled = 2 * len(_GARBLED.findall(meant)) > len(_PRINTED.findall(meant)) or (
            _is_unmapped(text_page, len(text)) and means_nothing(meant)
        )
        if not garbled:
            sheet.runs = _Reader(text_page, text, sheet, left, top).runs()
    finally:
        text_page.close()
    sheet.drawn = garbled or (len(text) < _FEW_CHARACTERS and drawn(page))
    return sheet


def _text(page: PdfTextPage, number: int) -> str:
    """The page's text, its n-th character pdfium's n-th: a surrogate is one, what has no meaning is U+0000."""
    count = page.count_chars()
    if count > _MOST_CHARACTERS:
        raise BadInput(f"page {number} has {count} characters, more than {_MOST_CHARACTERS}", reason="too-large")
    text = page.get_text_range(errors="surrogatepass") if count else ""
    if len(text) != count:  # pdfium leaves out what has no meaning, and what UCS-2 can't say
        codes = (pdfium.FPDFText_GetUnicode(page, index) for index in range(count))
        text = "".join(chr(code) if code <= 0x10FFFF else "\0" for code in codes)
    return text


def _is_unmapped(page: PdfTextPage, count: int) -> bool:
    """Whether of most characters, as far as looked at, no font says what they mean: pdfium gives their codes then,
    which are those of ASCII only if whoever made the font has held to it."""
    looked_at = range(0, count, max(1, count // _LOOKED_AT))
    return sum(bool(pdfium.FPDFText_HasUnicodeMapError(page, index)) for index in looked_at) > len(looked_at) // 2


class _Reader:
    """One page's runs. Out parameters are made once: making them costs as much as the call."""

    def __init__(self, page: PdfTextPage, text: str, sheet: Sheet, left: float, top: float) -> None:
        self._page = page.raw
        self._text = text
        self._sheet = sheet
        self._left, self._top = left, top
        self._from_right = right_to_left(text)
        self._all_from_right = _says_from_right(page)
        self._bold: dict[int | None, bool] = {}
        self._values = [c_double() for _ in range(4)]
        self._outs = [byref(value) for value in self._values]
        self._matrix, self._loose = pdfium.FS_MATRIX(), pdfium.FS_RECTF()

    def runs(self) -> dict[int, list[Run]]:
        found: dict[int, list[Run]] = defaultdict(list)
        for match in _RUN.finditer(self._text):
            if line := match[0].strip():
                start = match.start() + match[0].index(line[0])
                quarters, size = self._font(start, start + len(line))
                self._seen = self._as_seen(*match.span(), quarters)
                for first, end, box in self._pieces(start, start + len(line), quarters, size):
                    bold = self._is_bold(first) and self._is_bold(end - 1)
                    run = Run(self._written(first, end), *box, self._base(first, end, quarters), size, bold)
                    if run.text and not _LEADERS.fullmatch(run.text) and self._shows(run, quarters):
                        found[quarters].append(run)
        return {quarters: _sized(runs) for quarters, runs in found.items()}

    def _shows(self, run: Run, quarters: int) -> bool:
        width, height = self._sheet.frame(quarters)
        return all(map(isfinite, run[1:7])) and overlap(run.x0, run.x1, 0, width) >= 0 <= overlap(
            run.y0, run.y1, 0, height
        )

    def _font(self, start: int, end: int) -> tuple[int, float]:
        """The quarters to turn the page for a line to stand upright, and its font's size."""
        return sorted((self._font_at(index) for index in self._samples(start, end)), key=itemgetter(1))[1]

    def _font_at(self, index: int) -> tuple[int, float]:
        matrix = self._matrix
        pdfium.FPDFText_GetMatrix(self._page, index, matrix)
        across = abs(matrix.b) > abs(matrix.a)
        quarters = (1 if matrix.b > 0 else 3) if across else (0 if matrix.a >= 0 else 2)
        return quarters, pdfium.FPDFText_GetFontSize(self._page, index) * hypot(matrix.c, matrix.d)

    def _base(self, start: int, end: int, quarters: int) -> float:
        return sorted(self._origin(index, quarters)[1] for index in self._samples(start, end))[1]

    def _samples(self, start: int, end: int) -> tuple[int, int, int]:
        """The first, a middle and the last character: one of them may be the small number of a note."""
        middle = (start + end) // 2
        while self._text[middle].isspace():
            middle -= 1
        return start, middle, end - 1

    def _is_bold(self, index: int) -> bool:
        font = pdfium.FPDFTextObj_GetFont(pdfium.FPDFText_GetTextObject(self._page, index))
        key = cast(font, c_void_p).value
        bold = self._bold.get(key)
        if bold is None:
            name = create_string_buffer(128)
            pdfium.FPDFFont_GetBaseFontName(font, name, len(name))
            said = name.value.decode("latin-1")
            heavy = not _NOT_BOLD.search(said) and pdfium.FPDFFont_GetWeight(font) >= _BOLD_WEIGHT
            bold = self._bold[key] = heavy or bool(_BOLD.search(said))
        return bold

    def _pieces(self, start: int, end: int, quarters: int, size: float) -> Iterator[tuple[int, int, Box]]:
        """(start, end, box) of what stands together: all of the line, or its parts where wide white parts them."""
        boxes = self._boxes(start, end, quarters)
        if not boxes:
            yield start, end, self._thin(start, end, quarters, size)
            return
        whole = boxes[0] if len(boxes) == 1 else union(boxes)
        loose = whole[2] - whole[0] > _LOOSE * _em(size, whole) * (end - start)
        if not loose and not any(_apart(a, b, size) for a, b in pairwise(boxes)):
            yield start, end, whole
            return
        first, last, together = start, start, None
        for word in _WORD.finditer(self._text, start, end):
            if boxes := self._boxes(*word.span(), quarters):
                box = union(boxes)
                if together is not None and _apart(together, box, size):
                    yield first, last, together
                    first, together = word.start(), None
                together = box if together is None else union((together, box))
            last = word.end()
        yield first, last, together or whole

    def _boxes(self, start: int, end: int, quarters: int) -> list[Box]:
        left, top, right, bottom = self._values
        boxes = []
        for index in range(pdfium.FPDFText_CountRects(self._page, start, end - start)):
            pdfium.FPDFText_GetRect(self._page, index, *self._outs)
            boxes.append(self._framed(left.value, top.value, right.value, bottom.value, quarters))
        return boxes

    def _framed(self, left: float, top: float, right: float, bottom: float, quarters: int) -> Box:
        box = left - self._left, self._top - top, right - self._left, self._top - bottom
        return turned(box, quarters, self._sheet.width, self._sheet.height) if quarters else box

    def _thin(self, start: int, end: int, quarters: int, size: float) -> Box:
        """A box for text whose font has none, from its first origin to its last."""
        (x0, base), (x1, _) = self._origin(start, quarters), self._origin(end - 1, quarters)
        return min(x0, x1), base - size, max(x0, x1), base

    def _origin(self, index: int, quarters: int) -> tuple[float, float]:
        x, y = self._values[:2]
        pdfium.FPDFText_GetCharOrigin(self._page, index, *self._outs[:2])
        point = x.value - self._left, self._top - y.value
        if quarters:
            return turned(point * 2, quarters, self._sheet.width, self._sheet.height)[:2]
        return point

    def _as_seen(self, start: int, end: int, quarters: int) -> dict[int, Seen] | None:
        """Where on the line each character stands, counted from the left; None where pdfium's order is that.

        pdfium takes for granted that the file has it in this order. Where most letters stand in the other one they
        are sorted. Both letters of an Arabic ligature are at one place, in the order that they are read in.
        """
        line = self._text[start:end]
        if not self._all_from_right and (line.isascii() or not RIGHT_TO_LEFT.search(line)):
            return None
        found = [(start + place, one) for place, one in seen(line, from_right=self._all_from_right)]
        lefts = {place: self._origin(place, quarters)[0] for place, _ in found}
        letters = [lefts[place] for place, one in found if RIGHT_TO_LEFT.match(one)]
        steps = [b - a for a, b in pairwise(letters)]
        if sum(step < 0 for step in steps) > sum(step > 0 for step in steps):
            found.reverse()
            found.sort(key=lambda one: lefts[one[0]])
            found = self._with_blanks(found, quarters)
        for place, (a, b) in enumerate(pairwise(found)):
            if _LAM_ALEF.fullmatch(a[1] + b[1]) and lefts[a[0]] == lefts[b[0]]:
                found[place : place + 2] = b, a
        return {place: (rank, one) for rank, (place, one) in enumerate(found)}

    def _with_blanks(self, line: list[Seen], quarters: int) -> list[Seen]:
        """With those that pdfium saw none of, as the line was in the other order."""
        found, end = [], inf
        for place, one in line:
            pdfium.FPDFText_GetLooseCharBox(self._page, place, self._loose)
            box = self._framed(self._loose.left, self._loose.top, self._loose.right, self._loose.bottom, quarters)
            found.append((place, f" {one}" if box[0] - end > _BLANK * (box[3] - box[1]) else one))
            end = box[2]
        return found

    def _written(self, start: int, end: int) -> str:
        """The text as it is read."""
        if self._seen is None:
            return clean(self._text[start:end])
        text = "".join(one for _, one in sorted(self._seen[place] for place in range(start, end)))
        return clean(logical(text, from_right=self._from_right or right_to_left(text)))


def _says_from_right(page: PdfTextPage) -> bool:
    """Whether the document says that it is read so (ISO 32000-1, 12.2); pdfium turns all of its lines round then."""
    name = create_string_buffer(4)
    pdfium.FPDF_VIEWERREF_GetName(page.page.pdf, b"Direction", name, len(name))
    return name.value == b"R2L"


def _em(size: float, box: Box) -> float:
    return size if size >= _LEGIBLE else box[3] - box[1]


def _apart(a: Box, b: Box, size: float) -> bool:
    em = max(_em(size, a), _em(size, b))
    return overlap(a[0], a[2], b[0], b[2]) < -NARROW_GAP * em or overlap(a[1], a[3], b[1], b[3]) < 0


def _sized(runs: list[Run]) -> list[Run]:
    """Runs whose font doesn't tell its size get it from their height, which varies with their letters: only one that
    is far higher than most is said to be bigger."""
    if all(run.size >= _LEGIBLE for run in runs):
        return runs
    heights = [run.y1 - run.y0 for run in runs if len(run.text) >= _LONG_ENOUGH and run.size < _LEGIBLE]
    usual = median(heights or [run.y1 - run.y0 for run in runs])
    return [
        run
        if run.size >= _LEGIBLE
        else run._replace(size=height if (height := run.y1 - run.y0) > _FAR_HIGHER * usual else usual)
        for run in runs
    ]
