"""Whole sentences packed into chunks, section by section: the default chunker.

The text is looked at as a row of words; every piece below is a half-open range of word numbers. Chunks tile that row,
so each character that is not white space lies in exactly one chunk (in more where `overlap` asks for it).
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from penstock.ir import Chunk, Document, StageContext
from penstock.ir.documents import BlockKind
from penstock.stages.sentences import sentence_ends
from penstock.stages.spans import chunks_at

_SPACE, _OTHER, _IDEOGRAPH, _UNSPACED, _MARK = range(5)
_WINDOW = 1 << 20
_CLAUSE_ENDS = ",;:)]}—–、，；：\n"


class ChunkOptions(BaseModel):
    """Sizes in words.

    `overlap`: a chunk begins with up to so many words of whole sentences of the one before it in the same section.
    `min_size`: a section shorter than this is packed together with the one after it (default: an eighth of `size`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    size: int = Field(default=200, ge=1, le=100_000)
    overlap: int = Field(default=0, ge=0)
    min_size: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.overlap > self.size // 2:
            raise ValueError(f"overlap {self.overlap} is more than half of size {self.size}")
        if self.min_size is not None and self.min_size > self.size:
            raise ValueError(f"min_size {self.min_size} is more than size {self.size}")
        return self

    @property
    def smallest(self) -> int:
        return self.size // 8 if self.min_size is None else self.min_size


class _Unit(NamedTuple):
    """Words `[first, last)` that stay together; `body` is the first that is not of a title or heading."""

    first: int
    last: int
    body: int
    opens_section: bool


class SentenceChunker:
    """ChunkStage "sentences".

    - No chunk has more than `size` words. Sentences and table rows stay whole where they fit, a table too; a longer
      sentence is cut after a clause or else a word.
    - A title or heading goes with what follows it.
    - A new section begins a new chunk, except after less than `min_size` words. `heading` is then the path that the
      chunk's sections share, so it never claims more than is true of the whole chunk.
    """

    name = "sentences"
    version = "1"
    contract = "ChunkStage"
    needs: tuple[str, ...] = ()
    Options = ChunkOptions

    def __init__(self, options: ChunkOptions) -> None:
        self.options = options

    def execute(self, ctx: StageContext, document: Document) -> list[Chunk]:
        """The chunks in the order of the text; none for a text without a word."""
        words = _Words(document.text)
        packed = self._pack(_units(document, words, self.options.size))
        return chunks_at(document, ((*words.span(first, last), words.starts[body]) for first, last, body in packed))

    def _pack(self, units: Iterator[_Unit]) -> Iterator[tuple[int, int, int]]:
        """(first word, end, first body word) of each chunk."""
        run: list[_Unit] = []
        for unit in units:
            if run and unit.opens_section and unit.first - run[0].first >= self.options.smallest:
                yield from self._pack_run(run)
                run = []
            run.append(unit)
        if run:
            yield from self._pack_run(run)

    def _pack_run(self, run: list[_Unit]) -> Iterator[tuple[int, int, int]]:
        """Fill chunks one after the other; the last two share what is left evenly, so that none ends up tiny."""
        size, end = self.options.size, run[-1].last
        begin = stop = 0
        while stop < len(run):
            first = run[begin].first
            left = end - first
            limit = (left + 1) // 2 if size < left < size + self.options.smallest else size
            stop += 1  # the first unit that is new here always fits
            while stop < len(run) and run[stop].last - first <= limit:
                stop += 1
            yield first, run[stop - 1].last, run[begin].body
            begin = self._step_back(run, begin, stop)

    def _step_back(self, run: list[_Unit], begin: int, stop: int) -> int:
        """Where the next chunk begins: `stop`, or earlier by the units that overlap while the next one still fits."""
        again = stop
        while (
            stop < len(run)
            and again - 1 > begin
            and run[stop].first - run[again - 1].first <= self.options.overlap
            and run[stop].last - run[again - 1].first <= self.options.size
        ):
            again -= 1
        return again


class _Words:
    """Where each word of a text begins.

    Scripts that write no blanks count by the character (ideographs, kana) or by five (Thai, Lao, Burmese, Khmer). A
    run of more than a hundred other characters (a sequence, a URL, base64) counts as several words, and may be cut.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.starts = array("q")
        kinds, longest = _alphabet()
        before = 0
        for offset in range(0, len(text), _WINDOW):
            window = text[offset : offset + _WINDOW].encode("utf-32-le", "surrogatepass")
            kind = kinds[np.frombuffer(window, np.uint32)]
            runs = np.flatnonzero(np.diff(kind, prepend=255))
            of_run = kind[runs]
            words = -(-np.diff(runs, append=len(kind)) // longest[of_run])
            words[of_run == _SPACE] = 0
            inside = np.arange(words.sum()) - np.repeat(np.cumsum(words) - words, words)
            starts = np.repeat(runs, words) + inside * np.repeat(longest[of_run], words) + offset
            goes_on = before == _OTHER == kind[0]
            self.starts.frombytes(starts[1 if goes_on else 0 :].astype(np.int64).tobytes())
            before = int(kind[-1])

    def at(self, position: int) -> int:
        """The number of the first word that begins at or after `position`."""
        return bisect_left(self.starts, position)

    def span(self, first: int, last: int) -> tuple[int, int]:
        """Characters of the words `[first, last)`, without the white space after them."""
        start = self.starts[first]
        end = self.starts[last] if last < len(self.starts) else len(self.text)
        return start, start + len(self.text[start:end].rstrip())

    def pieces(self, first: int, last: int, size: int) -> Iterator[int]:
        """Ends of pieces of at most `size` words, after a clause where one ends in a piece's second half."""
        while last - first > size:
            cut = first + size
            for at in range(cut, first + size // 2, -1):
                before = self.text[max(0, self.starts[at] - 4) : self.starts[at]]
                if "\n" in before or before.rstrip()[-1:] in _CLAUSE_ENDS:
                    cut = at
                    break
            yield cut
            first = cut
        yield last


@cache
def _alphabet() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The kind of each code point, and how many characters of one kind in a row make a word."""
    kinds = np.full(sys.maxunicode + 1, _OTHER, np.uint8)
    for first, last in ((0x3040, 0x30FF), (0x3400, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF)):
        kinds[first : last + 1] = _IDEOGRAPH
    for first, last in ((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF)):
        kinds[first : last + 1] = _UNSPACED
    kinds[[ord(mark) for mark in "、。〃〈〉《》「」『』【】！），：；？｡"]] = _MARK
    kinds[[code for code in range(0x3001) if chr(code).isspace()]] = _SPACE
    return kinds, np.array([1, 100, 1, 5, 100], np.int64)


def _units(document: Document, words: _Words, size: int) -> Iterator[_Unit]:
    """The ranges of `_ranges`, cut to `size` words, and whether a section begins at or before each."""
    section_starts = sorted(section.start for section in document.sections)
    passed = 0
    for first, last, body in _ranges(document, words, size):
        for cut in (last,) if last - first <= size else words.pieces(first, last, size):
            begun = bisect_right(section_starts, words.starts[first])
            yield _Unit(first, cut, min(max(body, first), cut - 1), begun > passed)
            first, passed = cut, begun


def _ranges(document: Document, words: _Words, size: int) -> Iterator[tuple[int, int, int]]:
    """(first, end, first body word) of sentences, rows and small tables, each with the headings before it."""
    head: int | None = None
    for kind, start, end in _parts(document):
        first, last = words.at(start), words.at(end)
        if first == last:
            continue
        head = first if head is None else head
        if kind in ("title", "heading"):
            continue
        if kind != "table":
            ends = sentence_ends(document.text, start, end)
        elif last - head > size:
            ends = _line_ends(document.text, start, end)
        else:
            ends = iter(())
        for at in ends:
            stop = bisect_left(words.starts, at, first, last)
            if stop > first:
                yield head, stop, first
                head = first = stop
        if last > first:
            yield head, last, first
        head = None
    if head is not None:
        yield head, len(words.starts), head


def _parts(document: Document) -> Iterator[tuple[BlockKind, int, int]]:
    """Kind and span of the blocks and of what lies between them, all of the text in order."""
    at = 0
    for block in document.blocks:
        if block.start > at:
            yield "paragraph", at, block.start
        yield block.kind, block.start, block.end
        at = block.end
    if at < len(document.text):
        yield "paragraph", at, len(document.text)


def _line_ends(text: str, start: int, end: int) -> Iterator[int]:
    at = text.find("\n", start, end)
    while at >= 0:
        yield at + 1
        at = text.find("\n", at + 1, end)
