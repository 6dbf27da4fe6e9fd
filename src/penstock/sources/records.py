"""JSON files of many records cut into exact slices of their bytes.

No record is read here, only found, by brackets and strings: what is wrong inside one is seen when it is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from penstock.sources.window import Slice, Window

LISTS = ("studies", "results")
"""Members of an object whose arrays hold records: answers and exports of ClinicalTrials.gov, OpenAlex and openFDA."""

_FLAT = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[^"{}\[\]]++'
_PAIR = rb"\{(?:%b)*+\}|\[(?:%b)*+\]"
_PAIRS = _FLAT + b"|" + _PAIR % (_FLAT, _FLAT)
_RUN = re.compile(rb"(?:%b)*+" % _FLAT, re.DOTALL)
_DEEP_RUN = re.compile(rb"(?:%b|%b)*+" % (_FLAT, _PAIR % (_PAIRS, _PAIRS)), re.DOTALL)
"""A run that takes in pairs of brackets two deep, which is most of what a record is made of."""
_STRING = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_LIST_KEY = re.compile(rb'"(?:' + "|".join(LISTS).encode() + rb')"\s*:\s*\Z')
_QUOTE, _OBJECT, _ARRAY = b'"{['


def split_json(chunks: Iterable[bytes], limit: int) -> Iterator[Slice]:
    """Elements of an array, elements of the arrays named in LISTS, or the values of a text that holds several.

    An object or array in which no record is found is itself one slice.
    """
    return _JsonScan(Window(chunks, limit)).slices()


class _JsonScan:
    def __init__(self, window: Window) -> None:
        self._window = window
        self._depth = 0
        self._level = 0
        """How deep the elements of the open record list lie; 0 where no such list is open."""
        self._top = 0
        """Where the open top-level value begins…"""
        self._lists_records = False
        """…and whether a record has been found in it."""
        self._gap: int | None = 0
        """Where the separators begin that the window stands in; None where other things may stand."""

    def slices(self) -> Iterator[Slice]:
        window = self._window
        while (byte := self._bracket(_RUN)) is not None:
            at = window.position - 1
            if byte not in (_OBJECT, _ARRAY):
                yield from self._closed(at)
            elif 0 < self._depth == self._level and (byte == _OBJECT or self._lists_records):
                yield from self._separators(at, nested=True)
                yield self._record(at)
            else:
                yield from self._opened(byte, at)
        yield from self._ended()

    def _record(self, at: int) -> Slice:
        """The record whose bracket has just been taken."""
        window, depth = self._window, 1
        window.keep = at
        while depth:
            byte = self._bracket(_DEEP_RUN)
            if byte is None:
                self._gap, self._depth = None, 0
                return window.cut(at, window.end, nested=True, fault="truncated")
            depth += 1 if byte in (_OBJECT, _ARRAY) else -1
        self._lists_records = True
        self._gap = window.keep = window.position
        return window.cut(at, window.position, nested=True)

    def _opened(self, byte: int, at: int) -> Iterator[Slice]:
        if self._depth == 0:
            yield from self._separators(at, nested=False)
            self._top = self._window.keep = at
            self._lists_records = False
            self._level, self._gap = (1, at + 1) if byte == _ARRAY else (0, None)
        elif self._depth == self._level:
            self._level = 0
        elif self._depth == 1 and _LIST_KEY.search(self._window.before(at)):
            self._level, self._gap = 2, at + 1
            self._window.keep = at + 1 if self._lists_records else self._window.keep
        self._depth += 1

    def _closed(self, at: int) -> Iterator[Slice]:
        self._depth -= 1
        window, after = self._window, at + 1
        if self._level and self._depth < self._level:
            if self._lists_records:
                yield from self._separators(at, nested=True)
                window.keep = None
            self._level, self._gap = 0, None
        if self._depth == 0 and not self._lists_records:
            yield window.cut(self._top, after)
        if self._depth <= 0:
            self._gap = window.keep = after if self._depth == 0 else at
            self._depth = self._level = 0

    def _ended(self) -> Iterator[Slice]:
        window = self._window
        if self._depth == 0:
            yield from self._separators(window.end, nested=False)
        elif self._lists_records:
            rest = window.position if window.keep is None else window.keep
            yield window.cut(rest, window.end, nested=True, fault="truncated")
        else:
            yield window.cut(self._top, window.end, fault="truncated")

    def _separators(self, until: int, *, nested: bool) -> Iterator[Slice]:
        return iter(()) if self._gap is None else self._window.junk(self._gap, until, nested=nested)

    def _bracket(self, run: re.Pattern[bytes]) -> int | None:
        """Go past the next bracket that is in no string and not part of `run`; None where there is none."""
        window = self._window
        while True:
            window.skip(run)
            byte = window.take()
            if byte == _QUOTE:
                if not self._rest_of_string():
                    return None
            elif byte is not None or not window.more():
                return byte

    def _rest_of_string(self) -> bool:
        """Go past a string that the window does not hold whole; False when the stream ends first."""
        while True:
            self._window.skip(_STRING)
            if self._window.take(_QUOTE):
                return True
            if not self._window.more():
                return False


def split_lines(chunks: Iterable[bytes], limit: int) -> Iterator[Slice]:
    """JSON Lines: each line that is not blank, without its line end."""
    window = Window(chunks, limit)
    line, number = 0, 1
    while True:
        end = window.bytes.find(b"\n", window.at)
        if end < 0:
            window.at = len(window.bytes)
            if window.more():
                continue
            end = len(window.bytes)
        stop = window.start + end
        piece = window.cut(line, stop)
        if piece.fault or piece.content.strip():
            yield Slice(line, piece.content.rstrip(b"\r"), fault=piece.fault, line=number)
        if end >= len(window.bytes):
            return
        window.at = end + 1
        window.keep = line = stop + 1
        number += 1
