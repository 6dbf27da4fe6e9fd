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
_AFTER_ROOT = re.compile(rb"\s*>(?:\s|<!--.*?-->|<\?.*?\?>)*\Z", re.DOTALL)


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
