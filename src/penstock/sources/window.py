"""A stream seen through a window: slices of its bytes, in the memory that one record needs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_SEPARATORS = re.compile(rb"(?:\xef\xbb\xbf)?(?:[\s,\x1e]|null)*+")
"""What may stand between records: also a null, which says that there is none."""
_TAIL = 256


@dataclass(frozen=True, slots=True)
class Slice:
    """`content` is the file's bytes from `start` on. `nested`: it lies in a list of records, so it is not all there is.

    `fault` is "" for a whole record; "truncated" when the file ends inside it; "malformed" for bytes that belong to
    no record; "too-large" when it is longer than the limit and nothing of it is kept. `line`: which line of the file
    it is, from 1; 0 where it need not be one.
    """

    start: int
    content: bytes
    nested: bool = False
    fault: str = ""
    line: int = 0


class Window:
    """The part of a stream that is in memory: from `keep` on (an offset in the stream), else a short tail."""

    def __init__(self, chunks: Iterable[bytes], limit: int) -> None:
        self._chunks = iter(chunks)
        self._limit = limit
        self.bytes = b""
        self.start = 0
        """Offset in the stream of `bytes[0]`."""
        self.at = 0
        """Where the scan stands, as an index of `bytes`."""
        self.keep: int | None = 0

    @property
    def end(self) -> int:
        return self.start + len(self.bytes)

    @property
    def position(self) -> int:
        return self.start + self.at

    def before(self, offset: int) -> bytes:
        """The bytes held before `offset`: at least a few, if there are any."""
        return self.bytes[max(0, offset - self.start - _TAIL) : offset - self.start]

    def skip(self, pattern: re.Pattern[bytes]) -> None:
        """Go past what `pattern` matches here."""
        if found := pattern.match(self.bytes, self.at):
            self.at = found.end()

    def take(self, wanted: int | None = None) -> int | None:
        """Go past the byte here, if it is the wanted one; None, and no step, at the window's end or another byte."""
        if self.at == len(self.bytes) or (wanted is not None and self.bytes[self.at] != wanted):
            return None
        self.at += 1
        return self.bytes[self.at - 1]

    def more(self) -> bool:
        """Read on; False at the end. What is kept beyond the limit is let go."""
        position = self.position
        if self.keep is not None and position - self.keep > self._limit:
            self.keep = None
        low = max(self.start, position - _TAIL if self.keep is None else min(self.keep, position))
        chunk = next(self._chunks, None)
        self.bytes = self.bytes[low - self.start :] + (chunk or b"")
        self.at, self.start = position - low, low
        return chunk is not None

    def cut(self, start: int, end: int, *, nested: bool = False, fault: str = "") -> Slice:
        if start < self.start or end - start > self._limit:
            return Slice(start, b"", nested, "too-large")
        return Slice(start, self.bytes[start - self.start : end - self.start], nested, fault)

    def junk(self, start: int, end: int, *, nested: bool) -> Iterator[Slice]:
        """What lies between two records, unless it is nothing but separators."""
        piece = self.cut(start, end, nested=nested, fault="malformed")
        if piece.fault == "too-large" or not _SEPARATORS.fullmatch(piece.content):
            yield piece
