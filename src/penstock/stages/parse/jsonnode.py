"""JSON walked with its pointer at hand, so that every value says where it stands and every surprise names its place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from penstock.errors import BadInput
from penstock.ir import Identifier, Locator
from penstock.ir.documents import BlockKind
from penstock.sources.jsontext import load_json
from penstock.stages.parse.builder import DocumentBuilder

_BLANK_LINES = re.compile(r"[ \t]*\r?\n(?:[ \t]*\r?\n)+")
_BULLET = re.compile(r"[ \t]*(?:[*•·‣–-]|\d{1,3}[.)])[ \t]")


@dataclass(frozen=True, slots=True)
class Node:
    """A value and the steps that lead to it. What is missing or null is a node whose value is None.

    Asked for something the value is not, a node raises BadInput (schema) that names its pointer: services change.
    """

    value: Any
    steps: tuple[str | int, ...] = ()

    @classmethod
    def root(cls, content: bytes) -> Node:
        """The object that `content` holds. Raises BadInput when it is not JSON, or no object."""
        node = cls(load_json(content))
        if not isinstance(node.value, dict):
            raise node.surprise("an object")
        return node

    def __bool__(self) -> bool:
        return self.value is not None

    def __getitem__(self, key: str) -> Node:
        if self.value is None:
            return Node(None, (*self.steps, key))
        if not isinstance(self.value, dict):
            raise self.surprise("an object")
        return Node(self.value.get(key), (*self.steps, key))

    def at(self, *keys: str) -> Node:
        node = self
        for key in keys:
            node = node[key]
        return node

    def __iter__(self) -> Iterator[Node]:
        """The elements of an array, nulls left out; none where there is no array."""
        if self.value is None:
            return
        if not isinstance(self.value, list):
            raise self.surprise("an array")
        for index, element in enumerate(self.value):
            if element is not None:
                yield Node(element, (*self.steps, index))

    def members(self) -> Iterator[tuple[str, Node]]:
        if self.value is not None and not isinstance(self.value, dict):
            raise self.surprise("an object")
        for key in self.value or ():
            yield key, self[key]

    @property
    def text(self) -> str:
        """A string, "" where there is none."""
        if self.value is None:
            return ""
        if not isinstance(self.value, str):
            raise self.surprise("a string")
        return self.value

    @property
    def scalar(self) -> str:
        """A string or a number, as text; "" where there is none."""
        if isinstance(self.value, int | float) and not isinstance(self.value, bool):
            return str(self.value)
        return self.text

    def surprise(self, expected: str) -> BadInput:
        found = {dict: "an object", list: "an array", str: "a string", bool: "true or false", type(None): "nothing"}
        where = "/".join(map(str, ("", *self.steps))) or "the record"
        return BadInput(
            f"{where} should be {expected}, but is {found.get(type(self.value), 'a number')}", reason="schema"
        )


class Writer:
    """Puts nodes into a document under construction."""

    def __init__(self, out: DocumentBuilder) -> None:
        self.out = out

    def locator(self, node: Node, start: int | None = None, end: int | None = None) -> Locator:
        return self.out.pointer(*node.steps, start=start, end=end)

    def title(self, *nodes: Node) -> None:
        """The first of these that says something becomes the title, and the first block."""
        for node in nodes:
            if node.text.strip():
                self.out.title = node.text
                self.out.block(node.text, self.locator(node), "title")
                return

    def line(self, node: Node, kind: BlockKind = "paragraph") -> None:
        """A value as one block."""
        self.out.block(node.scalar, self.locator(node), kind, exact=isinstance(node.value, str))

    def lines(self, nodes: Iterable[Node]) -> None:
        for node in nodes:
            self.line(node, "list_item")

    def heading(self, node: Node, level: int) -> None:
        self.out.heading(node.text, level, self.locator(node))

    def prose(self, node: Node, headings: re.Pattern[str] | None = None, level: int = 2) -> None:
        """A text as its paragraphs, parted by blank lines; one that `headings` matches opens a section."""
        text = node.text
        start = 0
        for gap in (*_BLANK_LINES.finditer(text), None):
            end = gap.start() if gap else len(text)
            part = text[start:end]
            whole = start == 0 and gap is None
            locator = self.locator(node) if whole else self.locator(node, start, end)
            if headings and headings.fullmatch(part.strip()):
                self.out.heading(part, level, locator)
            else:
                self.out.block(part, locator, "list_item" if _BULLET.match(part) else "paragraph")
            start = gap.end() if gap else end

    def field(self, name: str, node: Node, *identifiers: Identifier | None, **attributes: str) -> None:
        """What the node says, as a field; nothing where it says nothing."""
        known = [identifier for identifier in identifiers if identifier]
        text = node.scalar
        value = text.strip()
        start = text.find(value)
        locator = self.locator(node) if value == text else self.locator(node, start, start + len(value))
        self.out.field(name, value, locator, identifiers=known, attributes=attributes)


def identified(scheme: str, node: Node, pattern: str = r"(\S+)") -> Identifier | None:
    """The identifier that the node's text is (its first group), or None."""
    found = re.fullmatch(pattern, node.scalar.strip())
    return Identifier(scheme=scheme, value=found.group(1)) if found else None
