"""A YAML file of the user's as plain values, each with its place in the file.

YAML as YAML 1.1 has it, less what can hurt or surprise: no anchors, aliases or merge keys (a few bytes of them grow to
megabytes), no tags beyond the plain scalars', no repeated keys, keys are text, dates and 1:30 stay text, one document
a file, at most MAX_BYTES, MAX_NODES and MAX_DEPTH.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, cast

import yaml

from penstock.errors import ConfigError, Problem

MAX_BYTES = 1_000_000
MAX_NODES = 20_000
MAX_DEPTH = 40
_SPLIT = "a file holds one pipeline: split it"

Loc = tuple[str | int, ...]
"""The way to a value: keys and list indexes from the root, as pydantic's errors give it."""


class Position(NamedTuple):
    """1-based."""

    line: int
    column: int


@dataclass
class YamlFile:
    """`value` is None for an empty file. `problems` are those that reading met and could go on from."""

    name: str
    value: Any = None
    values: dict[Loc, Position] = field(default_factory=dict)
    keys: dict[Loc, Position] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def resolve(self, loc: Loc) -> Loc:
        """`loc` without the parts that name nothing in this file (a missing key, pydantic's marks for a union)."""
        at: Loc = ()
        for part in loc:
            if (*at, part) in self.values:
                at = (*at, part)
        return at

    def position(self, loc: Loc, *, key: bool = False) -> Position:
        """Where `loc` is, or the innermost thing around it that there is."""
        at = self.resolve(loc)
        if key and at in self.keys:
            return self.keys[at]
        return self.values.get(at, Position(1, 1))

    def problem(self, loc: Loc, message: str, fix: str = "", *, key: bool = False) -> Problem:
        return Problem(self.name, *self.position(loc, key=key), message, fix)

    def note(self, loc: Loc, message: str, fix: str = "", *, key: bool = False) -> None:
        self.problems.append(self.problem(loc, message, fix, key=key))


def read(path: Path) -> YamlFile:
    """Read a file. Raises ConfigError with one problem when it can't be read or isn't YAML."""
    name = str(path)
    try:
        if not path.is_file():
            raise ConfigError([Problem(name, 1, 1, "this is not a file" if path.exists() else "there is no such file")])
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError([Problem(name, 1, 1, f"can't be read: {error.strerror or error}")]) from error
    return parse(name, data)


def parse(name: str, data: bytes) -> YamlFile:
    """As `read`, from bytes; `name` is what messages call the file."""
    if len(data) > MAX_BYTES:
        raise ConfigError([Problem(name, 1, 1, f"the file is larger than {MAX_BYTES:,} bytes", _SPLIT)])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        at = _end_of(data[: error.start].decode("utf-8", "replace"))
        message = f"not UTF-8: the byte 0x{data[error.start]:02x} can't stand here"
        raise ConfigError([Problem(name, *at, message, "save the file as UTF-8")]) from error
    try:
        composer = _Composer(text)
        root = composer.get_single_node()
    except yaml.reader.ReaderError as error:
        message = f"the character U+{ord(text[error.position]):04X} is not allowed in YAML"
        raise ConfigError([Problem(name, *_end_of(text[: error.position]), message, "delete it")]) from error
    except yaml.MarkedYAMLError as error:
        at, message, fix = _in_clear(error, text)
        raise ConfigError([Problem(name, *at, message, fix)]) from error
    return _Builder(YamlFile(name), composer).build(root)


_CORE = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null")}


class _Composer(yaml.SafeLoader):
    """Composes nodes within the limits, and resolves only what JSON knows too: text, numbers, true, false, null."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, pattern) for tag, pattern in resolvers if tag in _CORE]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        self._nodes += 1
        if anchor := getattr(event, "anchor", None):
            sign = "*" if isinstance(event, yaml.AliasEvent) else "&"
            raise _Refused(event, f"anchors and aliases ({sign}{anchor}) are not taken", "write the value out")
        tag = getattr(event, "tag", None)
        if tag not in (None, "!") and not (isinstance(event, yaml.ScalarEvent) and tag in _CORE):
            raise _Refused(
                event,
                f"the tag {_short(tag.replace('tag:yaml.org,2002:', '!!'))} is not taken",
                "delete the tag and write a plain value",
            )
        if self._nodes > MAX_NODES:
            raise _Refused(event, f"more than {MAX_NODES:,} values in one file", _SPLIT)
        if self._depth >= MAX_DEPTH:
            raise _Refused(event, f"nested deeper than {MAX_DEPTH} levels", "write it flatter")
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


class _Refused(yaml.MarkedYAMLError):
    """Something YAML has and Penstock does not take; `note` is the fix."""

    def __init__(self, event: yaml.Event, message: str, fix: str = "") -> None:
        super().__init__(problem=message, problem_mark=cast(yaml.Mark, event.start_mark), note=fix)


class _Builder:
    """Nodes to plain values, noting positions and whatever is wrong with a single key or value."""

    def __init__(self, file: YamlFile, composer: _Composer) -> None:
        self._file = file
        self._composer = composer

    def build(self, root: yaml.Node | None) -> YamlFile:
        self._file.value = None if root is None else self._value(root, ())
        return self._file

    def _value(self, node: yaml.Node, loc: Loc) -> Any:
        self._file.values[loc] = _position(node.start_mark)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(child, (*loc, index)) for index, child in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, loc)
        if ":" in node.value:  # YAML 1.1 reads 1:30 as ninety, and a long one in quadratic time
            return node.value
        try:
            return self._composer.construct_object(node)
        except (ValueError, KeyError):
            message = f"{_short(node.value)} is no {node.tag.rpartition(':')[2]}"
            self._report(node, message, "put it in quotes if it is meant as text")
            return node.value

    def _mapping(self, node: yaml.MappingNode, loc: Loc) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in node.value:
            if key.tag != "tag:yaml.org,2002:str":
                shown = _short(key.value) if isinstance(key, yaml.ScalarNode) else "a list or mapping"
                self._report(key, f"a key must be text, which {shown} is not", "put the key in quotes")
            elif key.value in found:
                first = self._file.keys[*loc, key.value].line
                self._report(
                    key, f"the key {_short(key.value)} is here twice, first on line {first}", "keep one of them"
                )
            else:
                self._file.keys[*loc, key.value] = _position(key.start_mark)
                found[key.value] = self._value(value, (*loc, key.value))
        return found

    def _report(self, node: yaml.Node, message: str, fix: str) -> None:
        self._file.problems.append(Problem(self._file.name, *_position(node.start_mark), message, fix))


def _in_clear(error: yaml.MarkedYAMLError, text: str) -> tuple[Position, str, str]:
    """PyYAML's complaint as position, one plain line, and a fix."""
    what = error.problem or "this is not YAML"
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return Position(1, 1), what, ""
    at = _position(mark)
    if isinstance(error, _Refused):
        return at, what, error.note or ""
    context = error.context or ""
    opened = error.context_mark.line + 1 if error.context_mark else at.line
    if "\\t" in what or "tab character" in what:
        return at, "a tab can't indent or separate in YAML", "use spaces"
    if "quoted scalar" in context and "unexpected end" in what:
        return _position(error.context_mark or mark), "this quote is never closed", "close it"
    if "flow" in context:
        kind = "[ ]" if "sequence" in context else "{ }"
        return (
            at,
            f"the {kind} opened on line {opened} is not closed, or lacks a comma before this",
            "add what is missing",
        )
    if "another document" in what:
        return at, "a second document starts here", "one file holds one document: delete the ---"
    if "mapping values are not allowed" in what:
        return (
            at,
            "a ':' can't stand here",
            "indent the line like its neighbours, or put text that holds ': ' in quotes",
        )
    if "block end" in what or "could not find expected ':'" in what:
        return (
            at,
            "this does not line up with what is above it",
            "indent it like its neighbours; a key ends in ': ' with a blank",
        )
    if "cannot start any token" in what:
        line = text.splitlines()[mark.line : mark.line + 1]
        sign = line[0][mark.column : mark.column + 1] if line else ""
        return at, f"a value can't start with {sign!r}", "put it in quotes"
    return at, f"not YAML: {what}", ""


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def _position(mark: yaml.Mark) -> Position:
    return Position(mark.line + 1, mark.column + 1)


def _end_of(text: str) -> Position:
    return Position(text.count("\n") + 1, len(text) - text.rfind("\n"))
