"""A tree as text: every stretch of it with the XPath and character range that lead back to it.

White space counts as in Locator: a run of it is one blank. The collapsed text of an element is a slice of the collapsed
text of the whole, so one pass over the tree is enough to know where everything stands, however it is nested.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

from lxml import etree

from penstock.stages.parse.xml import Element

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_NOTHING = re.compile(r"(?!)")
_EDGE = "\x1f"
"""Stands, until a text is put together, for the edge of a BREAK or white space before what is left out.

It becomes white space, except before punctuation.
"""
_NO_EDGE = re.compile(f"{_EDGE}+(?=[,.;:)\\]])")


class Role(Enum):
    """What an element is to the text around it."""

    INLINE = "part of the running text"
    BREAK = "part of the text, but words never run across its edges"
    BLOCK = "a text of its own: what comes before it ends there"
    SKIP = "not part of the text"


Judge = Callable[[Element], Role | str]
"""An element's role; or a text to put in its place."""


@dataclass(frozen=True, slots=True)
class Passage:
    """Text inside the element at `path`. `exact`: it is what the locator (path, start, end) resolves to."""

    text: str
    path: str
    start: int | None
    end: int | None
    exact: bool


class Reading:
    """`root` must be the root of its tree, which must not change while it is read.

    `positional`: the tags are not those in the payload, so that paths must go by position alone.
    """

    def __init__(self, root: Element, *, positional: bool = False) -> None:
        self.root = root
        self._named = _NOTHING if positional else _PLAIN
        self._paths: dict[Element, str] = {root: f"/{root.tag}" if self._named.fullmatch(root.tag) else "/*"}
        self._first: dict[Element, int] = {}
        self._last: dict[Element, int] = {}
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._text = self._flatten(root)

    def path(self, element: Element) -> str:
        """An XPath that names the element alone. Numbers a parent's children once, so long lists stay cheap."""
        line = [element]
        while line[-1] not in self._paths:
            line.append(line[-1].getparent())
        for parent in reversed(line[1:]):
            self._number(parent)
        return self._paths[element]

    def text(self, element: Element | None) -> str:
        """The element's string-value, white space collapsed; "" for None."""
        return "" if element is None else self._slice(self._first[element], self._last[element])

    def passage(self, element: Element | None, judge: Judge) -> Passage | None:
        """All of an element's text in one; its blocks count as breaks. None when there is none."""

        def flat(node: Element) -> Role | str:
            role = judge(node)
            return Role.BREAK if role is Role.BLOCK else role

        if element is None:
            return None
        return next((part for part in self.passages(element, flat) if isinstance(part, Passage)), None)

    def passages(self, container: Element, judge: Judge) -> Iterator[Passage | Element]:
        """What a container holds, in order: its running text between blocks, and the blocks."""
        kept = _Kept(self, container, self._first[container])
        breaks: set[Element] = set()
        walker = etree.iterwalk(container, events=("start", "end"))
        for event, node in walker:
            if event == "end":
                if node in breaks:
                    kept.upto(self._last[node])
                    kept.insert(_EDGE)
                continue
            role = Role.INLINE if node is container else judge(node)
            if role is Role.INLINE:
                continue
            kept.upto(self._first[node])
            if role is Role.BREAK:
                breaks.add(node)
                kept.insert(_EDGE)
                continue
            if role is Role.BLOCK:
                if (passage := kept.take()) is not None:
                    yield passage
                yield node
            kept.drop(self._last[node], role if isinstance(role, str) else "")
            walker.skip_subtree()
        kept.upto(self._last[container])
        if (passage := kept.take()) is not None:
            yield passage

    def _slice(self, first: int, last: int) -> str:
        return self._text[self._starts[first] : self._ends[last - 1]] if last > first else ""

    def _flatten(self, root: Element) -> str:
        out: list[str] = []
        size, blank = 0, False
        for event, node in etree.iterwalk(root, events=("start", "end", "comment", "pi")):
            if event == "start":
                self._first[node] = len(self._starts)
                text = node.text
            else:
                if event == "end":
                    self._last[node] = len(self._starts)
                text = None if node is root else node.tail
            if not text:
                continue
            words = " ".join(text.split())
            if not words:
                blank = True
                continue
            if size and (blank or text[0].isspace()):
                out.append(" ")
                size += 1
            out.append(words)
            self._starts.append(size)
            size += len(words)
            self._ends.append(size)
            blank = text[-1].isspace()
        return "".join(out)

    def _number(self, parent: Element) -> None:
        children = [child for child in parent if isinstance(child.tag, str)]
        total = Counter(child.tag for child in children)
        seen: Counter[str] = Counter()
        base = self._paths[parent]
        for position, child in enumerate(children, 1):
            tag = child.tag
            seen[tag] += 1
            if not self._named.fullmatch(tag):
                step = f"*[{position}]"
            else:
                step = tag if total[tag] == 1 else f"{tag}[{seen[tag]}]"
            self._paths[child] = f"{base}/{step}"


class _Kept:
    """The pieces of a container's text that are kept, until a block ends them."""

    def __init__(self, reading: Reading, container: Element, cursor: int) -> None:
        self._reading = reading
        self._container = container
        self._cursor = cursor
        self._parts: list[str] = []
        self._low: int | None = None
        self._high = 0

    def upto(self, piece: int) -> None:
        """Keep what lies between the cursor and this piece."""
        reading, cursor = self._reading, self._cursor
        if piece > cursor:
            begin = reading._ends[cursor - 1] if cursor else 0
            self._parts.append(reading._text[begin : reading._ends[piece - 1]])
            if self._low is None:
                self._low = reading._starts[cursor]
            self._high = reading._ends[piece - 1]
            self._cursor = piece

    def drop(self, piece: int, instead: str) -> None:
        """Leave out what lies between the cursor and this piece, but not the white space before it."""
        reading, cursor = self._reading, self._cursor
        if piece > cursor and cursor and reading._starts[cursor] > reading._ends[cursor - 1]:
            self._parts.append(_EDGE)
        self._parts.append(instead)
        self._cursor = piece

    def insert(self, text: str) -> None:
        self._parts.append(text)

    def take(self) -> Passage | None:
        text = " ".join(_NO_EDGE.sub("", "".join(self._parts)).split())
        low, high, self._parts, self._low = self._low, self._high, [], None
        if not text:
            return None
        reading, container = self._reading, self._container
        path = reading.path(container)
        first, last = reading._first[container], reading._last[container]
        if low is None:
            return Passage(text, path, None, None, exact=False)
        exact = text == reading._text[low:high]
        whole_start, whole_end = reading._starts[first], reading._ends[last - 1]
        if (low, high) == (whole_start, whole_end):
            return Passage(text, path, None, None, exact=exact)
        return Passage(text, path, low - whole_start, high - whole_start, exact=exact)
