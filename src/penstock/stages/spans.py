"""Spans of a document made into chunks, each with the headings above it."""

from __future__ import annotations

from collections.abc import Iterable

from penstock.ir import Chunk, Document, Section


def chunks_at(document: Document, spans: Iterable[tuple[int, int, int]]) -> list[Chunk]:
    """A chunk for each (start, end, body), in ascending order of `body`: where its text begins, headings passed over.

    Its heading is the path of the sections that hold all of `[body, end)`.
    """
    headings = _Headings(document)
    return [
        Chunk(
            chunk_id=f"{document.doc_id}:{ordinal}",
            ordinal=ordinal,
            start=start,
            end=end,
            text=document.text[start:end],
            heading=headings.above(body, end),
        )
        for ordinal, (start, end, body) in enumerate(spans)
    ]


class _Headings:
    """The sections open at a position that only moves forward."""

    def __init__(self, document: Document) -> None:
        self._ahead = sorted(document.sections, key=lambda section: (section.start, section.level))
        self._next = 0
        self._open: list[Section] = []

    def above(self, start: int, end: int) -> tuple[str, ...]:
        while self._next < len(self._ahead) and self._ahead[self._next].start <= start:
            self._open.append(self._ahead[self._next])
            self._next += 1
        self._open = [section for section in self._open if section.end > start]
        return tuple(section.heading for section in self._open if section.end >= end and section.heading)
