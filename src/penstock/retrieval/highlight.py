"""Which words of a text a query matched, and the part of the text worth showing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from penstock.stores.search_query import Tokenize

Span = tuple[int, int]
"""Half-open, in characters."""


def highlights(text: str, terms: Sequence[tuple[str, ...]], tokenize: Tokenize) -> list[Span]:
    """Spans of `text` that match a term, in order and apart: by stems, as the index matches, phrases as one span."""
    by_first: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for term in terms:
        by_first[term[0]].append(term)
    words = tokenize(text)
    spans: list[Span] = []
    for at, (start, _, stem) in enumerate(words):
        for term in by_first.get(stem, ()):
            matched = words[at : at + len(term)]
            if tuple(word[2] for word in matched) == term:
                spans.append((start, matched[-1][1]))
    return _apart(spans)


def snippet(text: str, spans: Sequence[Span], width: int = 320) -> Span:
    """The window of about `width` characters with the most highlights, widened to whole words."""
    if len(text) <= width:
        return 0, len(text)
    best_start, best_count = 0, 0
    for first, (start, _) in enumerate(spans):
        count = sum(end <= start + width for _, end in spans[first:])
        if count > best_count:
            best_start, best_count = start, count
    last = max((end for start, end in spans if best_start <= start and end <= best_start + width), default=width)
    start = max(0, min(best_start, (best_start + last - width) // 2 if spans else 0))
    end = min(len(text), start + width)
    start = text.rfind(" ", 0, start + 1) + 1 if start else 0
    stop = text.find(" ", end)
    return start, len(text) if stop < 0 or stop - end > width else stop


def _apart(spans: list[Span]) -> list[Span]:
    apart: list[Span] = []
    for start, end in sorted(spans):
        if apart and start < apart[-1][1]:
            apart[-1] = apart[-1][0], max(end, apart[-1][1])
        else:
            apart.append((start, end))
    return apart
