"""Files of many records cut into exact slices of their bytes: one pass, in the memory that one record needs.

No record is read here, only found: brackets and strings in JSON, the records' own tags in XML. So nothing is expanded,
nothing nests, and a broken record harms no other. XML slices go without their file's DOCTYPE and without the
namespaces its root declares: what parses them must bear undeclared prefixes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

LISTS = ("studies", "results")
"""Members of an object whose arrays hold records: answers and exports of ClinicalTrials.gov, OpenAlex and openFDA."""

_FLAT = rb'[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+"'
_LEAF = rb"\{(?:" + _FLAT + rb")*+\}|\[(?:" + _FLAT + rb")*+\]"
_RUN = re.compile(rb"(?:" + _FLAT + rb")*+", re.DOTALL)
_DEEP_RUN = re.compile(rb"(?:" + _FLAT + rb"|" + _LEAF + rb")*+", re.DOTALL)
_STRING = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_LIST_KEY = re.compile(rb'"(?:' + "|".join(LISTS).encode() + rb')"\s*:\s*\Z')
_SEPARATORS = re.compile(rb"(?:\xef\xbb\xbf)?(?:[\s,\x1e]|null)*+")
"""What may stand between records: also a null, which says that there is none."""
_TAIL = 256
_QUOTE, _OPENS = ord('"'), frozenset(b"{[")

_RECORDS = rb"PubmedArticle|PubmedBookArticle|article"
_MARK = re.compile(rb"<!--|<!\[CDATA\[|<\?|<(" + _RECORDS + rb")(?=[\s/>])|</(" + _RECORDS + rb")\s*>")
_UNTIL = {b"<!--": b"-->", b"<![CDATA[": b"]]>", b"<?": b"?>"}
_ROOT = re.compile(rb"<!--|<\?|<([A-Za-z_][\w:.-]*)[\s/>]")
_AFTER_ROOT = re.compile(rb"\s*>(?:\s|<!--.*?-->|<\?.*?\?>)*\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Slice:
    """`content` is the file's bytes from `start` on. `nested`: it lies in a list of records, so it is not all there is.

    `fault` is "" for a whole record; "truncated" when the file ends inside it; "malformed" for bytes that belong to
    no record; "too-large" when it is longer than the limit and nothing of it is kept.
    """

    start: int
    content: bytes
    nested: bool = False
    fault: str = ""


class _Window:
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

    def more(self) -> bool:
        """Read on; False at the end. What is kept beyond the limit is let go."""
        position = self.start + self.at
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


def _brackets(window: _Window, deep: list[bool]) -> Iterator[tuple[int, int]]:
    """Every bracket outside of strings, with its offset; where `deep[0]` is set, pairs that hold none are passed."""
    while True:
        run = (_DEEP_RUN if deep[0] else _RUN).match(window.bytes, window.at)
        window.at = run.end() if run else window.at
        if window.at < len(window.bytes):
            byte = window.bytes[window.at]
            window.at += 1
            if byte != _QUOTE:
                yield byte, window.start + window.at - 1
            elif not _rest_of_string(window):
                return
        elif not window.more():
            return


def _rest_of_string(window: _Window) -> bool:
    """Go past a string that the window does not hold whole; False when the stream ends first."""
    while True:
        run = _STRING.match(window.bytes, window.at)
        window.at = run.end() if run else window.at
        if window.at < len(window.bytes) and window.bytes[window.at] == _QUOTE:
            window.at += 1
            return True
        if not window.more():
            window.at = len(window.bytes)
            return False


def split_json(chunks: Iterable[bytes], limit: int) -> Iterator[Slice]:
    """Elements of an array, elements of the arrays named in LISTS, or the values of a text that holds several.

    An object or array in which no record is found is itself one slice.
    """
    window, deep = _Window(chunks, limit), [False]
    depth = level = 0  # level: how deep the elements of the open record list lie; 0 where none is open
    top = record = 0  # where the open top-level value and the open record begin
    holds_records = inside = False
    gap: int | None = 0  # where the separators begin that the window stands in; None where other things may stand
    for byte, at in _brackets(window, deep):
        if byte in _OPENS:
            if depth == 0:
                yield from window.junk(gap or 0, at, nested=False)
                top, holds_records, gap = at, False, None
                window.keep = at
                level = 1 if byte == ord("[") else 0
                gap = at + 1 if level else None
            elif depth == level and not inside and (byte == ord("{") or holds_records):
                yield from window.junk(gap or 0, at, nested=True)
                record, holds_records, inside, deep[0] = at, True, True, True
                window.keep = at
            elif depth == level and not inside:
                level = 0
            elif depth == 1 and not inside and _LIST_KEY.search(window.bytes, 0, at - window.start):
                level, gap = 2, at + 1
            depth += 1
            continue
        depth -= 1
        after = at + 1
        if inside and depth == level:
            yield window.cut(record, after, nested=True)
            inside = deep[0] = False
            window.keep = gap = after
        elif not inside and level and depth == level - 1:
            level, gap = 0, None
            if holds_records:
                window.keep = None
        if depth <= 0:
            if depth < 0:
                depth, after = 0, max(after - 1, 0)
            elif not holds_records:
                yield window.cut(top, after)
            window.keep = gap = after
            level = 0
    if inside:
        yield window.cut(record, window.end, nested=True, fault="truncated")
    elif depth > 0:
        start = (window.keep if window.keep is not None else window.start + window.at) if holds_records else top
        yield window.cut(start, window.end, nested=holds_records, fault="truncated")
    else:
        yield from window.junk(gap or 0, window.end, nested=False)


def split_lines(chunks: Iterable[bytes], limit: int) -> Iterator[Slice]:
    """JSON Lines: each line that is not blank, without its line end."""
    window = _Window(chunks, limit)
    line = 0
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
            yield Slice(line, piece.content.rstrip(b"\r"), fault=piece.fault)
        if end >= len(window.bytes):
            return
        window.at = end + 1
        window.keep = line = stop + 1


def split_xml(chunks: Iterable[bytes], limit: int) -> Iterator[Slice]:
    """PubmedArticle, PubmedBookArticle and (JATS) article elements of a wrapper, whatever it is called.

    Such records hold none of their like. One that begins inside another shows that the other has no end.
    """
    window = _Window(chunks, limit)
    window.keep = None
    opened: tuple[int, bytes] | None = None
    root, until = b"", b""
    found = False
    while True:
        if until:
            end = window.bytes.find(until, window.at)
            if end >= 0:
                window.at, until = end + len(until), b""
                continue
        elif not root and (mark := _ROOT.search(window.bytes, window.at)):
            root, until = mark.group(1) or b"", _UNTIL.get(mark.group(), b"")
            window.at = mark.start() if root else mark.end()
            continue
        elif root and (mark := _MARK.search(window.bytes, window.at)):
            at = window.start + mark.start()
            window.at = mark.end()
            name, closed = mark.group(1), mark.group(2)
            if name:
                if opened:
                    yield window.cut(opened[0], at, nested=True, fault="malformed")
                opened, found, window.keep = (at, name), True, at
            elif opened and closed == opened[1]:
                yield window.cut(opened[0], window.start + window.at, nested=True)
                opened, window.keep = None, None
            elif not closed:
                until = _UNTIL[mark.group()]
            continue
        window.at = max(window.at, len(window.bytes) - 64)
        if not window.more():
            break
    if opened:
        yield window.cut(opened[0], window.end, nested=True, fault="truncated")
    elif found and not _ends_with(window.bytes, root):
        yield Slice(window.start, window.bytes, True, "truncated")


def _ends_with(tail: bytes, root: bytes) -> bool:
    at = tail.rfind(b"</" + root)
    return at >= 0 and _AFTER_ROOT.match(tail, at + 2 + len(root)) is not None
