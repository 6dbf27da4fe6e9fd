"""Evidence out of a document: the sentence that says it, or the field that does."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import islice

from penstock.ir import Block, Chunk, Document, Evidence, Field

MAX_QUOTE = 1000
"""Characters of a quote; a longer sentence is no sentence."""
MAX_HITS = 50
"""Places of one name that are looked at."""

_STOPS = (". ", "? ", "! ", ".\n", "?\n", "!\n", "\n\n", "\n-", "\n*", "\n•")
_ABBREVIATIONS = frozenset({"dr", "e.g", "i.e", "al", "vs", "no", "fig", "approx", "st", "prof", "inc", "cf", "resp"})
_PROSE = frozenset({"paragraph", "list_item"})


class Quotes:
    """Finds sentences in one document. Every span it gives satisfies `document.text[start:end] == quote`."""

    def __init__(self, document: Document, chunks: Sequence[Chunk]) -> None:
        self._document = document
        self._chunks = sorted(chunks, key=lambda chunk: (chunk.start, chunk.end))
        self._text = _lower(document.text)
        self._blocks = {block.locator: block for block in reversed(document.blocks)}
        self._places: dict[str, tuple[tuple[int, int], ...]] = {}

    def of_field(self, field: Field, *names: str) -> Evidence:
        """A sentence that has all of `names`: whole ones of prose before headings and tables. Else the field."""
        span = self._sentence_with(names) if names else None
        if span is not None:
            evidence = self.of_span(*span, field=field.name)
            if evidence is not None:
                return evidence
        return Evidence(field=field.name, quote=field.value[:MAX_QUOTE], locator=field.locator)

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

    def sentences_of(self, field: Field) -> Iterator[tuple[int, int]]:
        """Where the sentences of a field's prose stand in the document's text; none where the text lacks it."""
        block = self._block_of(field)
        position = block.start if block is not None else self._document.text.find(field.value)
        if position < 0:
            return
        end = position + len(field.value) if block is None else block.end
        while position < end:
            stop = self._end_of(position, end)
            start = position + _blanks(self._document.text, position, stop)
            if start < stop <= start + MAX_QUOTE:
                yield start, stop
            position = max(stop, position + 1)

    def _block_of(self, field: Field) -> Block | None:
        block = self._blocks.get(field.locator)
        return block if block is not None and self._document.text[block.start : block.end].strip() else None

    def _sentence_with(self, names: Sequence[str]) -> tuple[int, int] | None:
        first, *others = (self._mentions(name) for name in sorted(names, key=len, reverse=True))
        best: tuple[int, int, int] | None = None
        for start, end in first:
            block = self._document.block_at(start)
            if block is None:
                continue
            left, right = self._sentence_around(start, end, block)
            if right - left > MAX_QUOTE or not all(
                any(left <= s and e <= right for s, e in places) for places in others
            ):
                continue
            lesser = 2 * (block.kind not in _PROSE) + (self._text[right - 1] not in ".?!")
            candidate = (lesser, left, right)
            if best is None or candidate < best:
                best = candidate
            if lesser == 0:
                break
        return best[1:] if best else None

    def _mentions(self, name: str) -> tuple[tuple[int, int], ...]:
        """Where the name stands as whole words, letters' case aside."""
        wanted = _lower(name.strip())
        if wanted not in self._places:
            self._places[wanted] = tuple(islice(self._find(wanted), MAX_HITS)) if len(wanted) > 1 else ()
        return self._places[wanted]

    def _find(self, wanted: str) -> Iterator[tuple[int, int]]:
        text = self._text
        start = text.find(wanted)
        while start >= 0:
            end = start + len(wanted)
            if not (text[start - 1 : start].isalnum() or text[end : end + 1].isalnum()):
                yield start, end
            start = text.find(wanted, end)

    def _sentence_around(self, start: int, end: int, block: Block) -> tuple[int, int]:
        """The sentence about [start, end) within its block, looking back at most MAX_QUOTE characters for its start."""
        left = max(block.start, start - MAX_QUOTE)
        if block.kind == "table":
            left = max(left, self._text.rfind("\n", left, start) + 1)
            stop = self._text.find("\n", end, block.end)
            return left, block.end if stop < 0 else stop
        while (stop := self._end_of(left, block.end)) <= start:
            left = stop
        left += _blanks(self._document.text, left, stop)
        return left, stop

    def _end_of(self, start: int, limit: int) -> int:
        """Where the sentence that begins at `start` ends, its stop included."""
        text = self._document.text
        reach = min(limit, start + 2 * MAX_QUOTE)
        position = start + _blanks(text, start, reach)
        while True:
            found = [(at, stop) for stop in _STOPS if (at := text.find(stop, position, reach)) >= 0]
            if not found:
                return reach
            at, stop = min(found)
            position = at + 1
            if stop[0] == "\n":
                return at
            following = text[at + 2 : at + 3]
            if stop == ". " and (following.islower() or _last_word(text, start, at) in _ABBREVIATIONS):
                continue
            return at + 1

    def _chunk_of(self, start: int, end: int) -> str | None:
        """The chunk that holds the span; one that holds its start if none holds all of it."""
        index = bisect_right(self._chunks, start, key=lambda chunk: chunk.start)
        near = [chunk for chunk in self._chunks[max(0, index - 4) : index] if chunk.end > start]
        whole = [chunk for chunk in near if chunk.end >= end]
        return (whole or near)[0].chunk_id if near else None


def _lower(text: str) -> str:
    """Lower case, length kept."""
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    return "".join(low if len(low := letter.lower()) == 1 else letter for letter in text)


def _blanks(text: str, start: int, end: int) -> int:
    position = start
    while position < end and text[position].isspace():
        position += 1
    return position - start


def _last_word(text: str, start: int, end: int) -> str:
    words = text[max(start, end - 12) : end].split()
    return words[-1].lower().lstrip("(") if words else ""
