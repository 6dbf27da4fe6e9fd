"""Evidence out of a document: the sentence that says it, or the field that does."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import islice

from penstock.ir import Block, Chunk, Document, Evidence, Field

MAX_QUOTE = 1000
"""Characters of a quote; a longer sentence is no sentence."""
MAX_HITS = 50
"""Places of one name that are looked at."""

_STOP = re.compile(r"[.?!](?=\s)|\n(?=[\n*•-])")
_LINE_END = re.compile(r"\n")
_ABBREVIATIONS = frozenset({"dr", "e.g", "i.e", "al", "vs", "no", "fig", "approx", "st", "prof", "inc", "cf", "resp"})
_PROSE = frozenset({"paragraph", "list_item"})

Span = tuple[int, int]


class Quotes:
    """Finds sentences in one document. Every span it gives satisfies `document.text[start:end] == quote`.

    Sentences are cut once a block and names looked for once each, so that the work grows with the text and the names,
    not with their product.
    """

    def __init__(self, document: Document, chunks: Sequence[Chunk]) -> None:
        self._document = document
        self._chunks = sorted(chunks, key=lambda chunk: (chunk.start, chunk.end))
        self._text = _lower(document.text)
        self._blocks = {block.locator: block for block in reversed(document.blocks)}
        self._cut: dict[int, list[Span]] = {}
        self._naming: dict[str, dict[Span, int]] = {}

    def of_field(self, field: Field, *names: str) -> Evidence:
        """A sentence that has all of `names`: whole ones of prose before headings and tables. Else the field."""
        span = self._sentence_with(names) if names else None
        evidence = self.of_span(*span, field=field.name) if span is not None else None
        return evidence or Evidence(field=field.name, quote=field.value[:MAX_QUOTE], locator=field.locator)

    def of_span(self, start: int, end: int, *, field: str | None = None) -> Evidence | None:
        """A span as evidence; None between blocks."""
        locator = self._document.locate(start, end)
        if locator is None:
            return None
        return Evidence(
            chunk_id=self._chunk_of(start, end),
            field=field,
            start=start,
            end=end,
            quote=self._document.text[start:end],
            locator=locator,
        )

    def sentence_around(self, start: int, end: int) -> Span:
        """The sentence that holds a span; the span itself where none does, or none short enough to quote."""
        block = self._document.block_at(start)
        sentence = self._sentence_at(block, start) if block is not None else None
        return sentence if sentence and end <= sentence[1] <= sentence[0] + MAX_QUOTE else (start, end)

    def sentences_of(self, field: Field) -> Iterator[Span]:
        """Where the sentences of a field's prose stand in the document's text; none where the text lacks it."""
        block = self._blocks.get(field.locator)
        if block is not None:
            sentences = self._sentences(block)
        else:
            start = self._document.text.find(field.value)
            sentences = [] if start < 0 else _cut(self._document.text, start, start + len(field.value), _STOP)
        return (span for span in sentences if span[1] - span[0] <= MAX_QUOTE)

    def _sentence_with(self, names: Sequence[str]) -> Span | None:
        first, *others = (self._sentences_naming(name) for name in names)
        shared = [(lesser, span) for span, lesser in first.items() if all(span in other for other in others)]
        return min(shared)[1] if shared else None

    def _sentences_naming(self, name: str) -> dict[Span, int]:
        """The sentences that have the name in them as whole words, and how far each is from a whole one of prose."""
        wanted = _lower(name.strip())
        if wanted not in self._naming:
            found: dict[Span, int] = {}
            for start in islice(self._places(wanted), MAX_HITS) if len(wanted) > 1 else ():
                block = self._document.block_at(start)
                span = self._sentence_at(block, start) if block is not None else None
                if block is not None and span is not None and start + len(wanted) <= span[1] <= span[0] + MAX_QUOTE:
                    found[span] = 2 * (block.kind not in _PROSE) + (self._text[span[1] - 1] not in ".?!")
            self._naming[wanted] = found
        return self._naming[wanted]

    def _places(self, wanted: str) -> Iterator[int]:
        text = self._text
        start = text.find(wanted)
        while start >= 0:
            end = start + len(wanted)
            if not (text[start - 1 : start].isalnum() or text[end : end + 1].isalnum()):
                yield start
            start = text.find(wanted, end)

    def _sentence_at(self, block: Block, position: int) -> Span | None:
        sentences = self._sentences(block)
        index = bisect_right(sentences, position, key=lambda span: span[0]) - 1
        return sentences[index] if index >= 0 and position < sentences[index][1] else None

    def _sentences(self, block: Block) -> list[Span]:
        """A block's sentences; a table's are its rows."""
        if block.start not in self._cut:
            stop = _LINE_END if block.kind == "table" else _STOP
            self._cut[block.start] = _cut(self._document.text, block.start, block.end, stop)
        return self._cut[block.start]

    def _chunk_of(self, start: int, end: int) -> str | None:
        """The chunk that holds the span; one that holds its start if none holds all of it."""
        index = bisect_right(self._chunks, start, key=lambda chunk: chunk.start)
        near = [chunk for chunk in self._chunks[max(0, index - 4) : index] if chunk.end > start]
        whole = [chunk for chunk in near if chunk.end >= end]
        return (whole or near)[0].chunk_id if near else None


def _cut(text: str, start: int, end: int, stop: re.Pattern[str]) -> list[Span]:
    """`[start, end)` cut after each stop, blank edges left out. An abbreviation's stop, or one before a small letter,
    is none."""
    ends = [found.end() for found in stop.finditer(text, start, end) if found[0] != "." or _ends(text, found.start())]
    spans = []
    for left, right in zip([start, *ends], [*ends, end], strict=True):
        piece = text[left:right]
        lead = len(piece) - len(piece.lstrip())
        if lead < len(piece):
            spans.append((left + lead, left + len(piece.rstrip())))
    return spans


def _ends(text: str, stop: int) -> bool:
    words = text[max(0, stop - 12) : stop].lower().split()
    abbreviated = bool(words) and words[-1].lstrip("(") in _ABBREVIATIONS
    return not abbreviated and not text[stop + 2 : stop + 3].islower()


def _lower(text: str) -> str:
    """Lower case, length kept."""
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    return "".join(low if len(low := letter.lower()) == 1 else letter for letter in text)
