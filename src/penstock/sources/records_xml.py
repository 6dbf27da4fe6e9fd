"""XML files of many records cut into exact slices of their bytes.

Only the records' own tags are looked for, so nothing is expanded and nothing nests. A slice goes without its file's
DOCTYPE and without the namespaces that its root declares: what parses it must bear undeclared prefixes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from penstock.sources.window import Slice, Window

_RECORDS = rb"PubmedArticle|PubmedBookArticle|article"
_MARK = re.compile(rb"<!--|<!\[CDATA\[|<\?|<(" + _RECORDS + rb")(?=[\s/>])|</(" + _RECORDS + rb")\s*>")
_UNTIL = {b"<!--": b"-->", b"<![CDATA[": b"]]>", b"<?": b"?>"}
_ROOT = re.compile(rb"<!--|<\?|<([A-Za-z_][\w:.-]*)[\s/>]")
_AFTER_ROOT = re.compile(rb"(?:\s++|<!--.*?-->|<\?.*?\?>)*+\Z", re.DOTALL)


def split_xml(chunks: Iterable[bytes], limit: int) -> Iterator[Slice]:
    """PubmedArticle, PubmedBookArticle and (JATS) article elements of a wrapper, whatever it is called.

    Such records hold none of their like. One that begins inside another shows that the other has no end.
    """
    window = Window(chunks, limit)
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
                yield window.cut(opened[0], window.position, nested=True)
                opened, window.keep = None, window.position
            elif closed and not opened:
                begun = at if window.keep is None else window.keep
                yield window.cut(begun, window.position, nested=True, fault="malformed")
                found, window.keep = True, window.position
            elif not closed:
                until = _UNTIL[mark.group()]
            continue
        window.at = max(window.at, len(window.bytes) - 64)
        if not window.more():
            break
    if opened:
        yield window.cut(opened[0], window.end, nested=True, fault="truncated")
    elif found:
        yield from _after_records(window, root)


def _after_records(window: Window, root: bytes) -> Iterator[Slice]:
    """What is wrong with the end of a file whose last record has ended."""
    rest = window.start if window.keep is None else window.keep
    end = re.compile(rb"</%b\s*>" % re.escape(root)).search(window.bytes, rest - window.start)
    if not end:
        yield window.cut(rest, window.end, nested=True, fault="truncated")
    elif not _AFTER_ROOT.match(window.bytes, end.end()):
        yield window.cut(window.start + end.end(), window.end, nested=True, fault="malformed")
