"""Front matter: the YAML mapping that many Markdown files begin with."""

from __future__ import annotations

import re
from dataclasses import dataclass

import yaml

_FENCED = re.compile(r"---[ \t]*(?:\r\n?|\n)(.*?)(?:\r\n?|\n)(?:---|\.\.\.)[ \t]*(?:\r\n?|\n|\Z)", re.DOTALL)
_MOST = 65_536
_DEEPEST = 16


@dataclass(frozen=True, slots=True)
class Entry:
    """A scalar as it is written, and where in the text."""

    text: str
    start: int
    end: int


def read_front_matter(text: str) -> tuple[dict[str, list[Entry]], int]:
    """Scalars and lists of scalars by key (in lower case), and where the text after the front matter begins.

    Nothing, and 0, when there is none: no YAML mapping, more than 64 KiB, aliases, deeper than 16 levels. Values stay
    strings, so a date is what the author wrote and no number is too long.
    """
    found = _FENCED.match(text, 0, _MOST)
    root = _mapping(found[1]) if found else None
    if found is None or root is None:
        return {}, 0
    entries: dict[str, list[Entry]] = {}
    for key, value in root.value:
        if isinstance(key, yaml.ScalarNode):
            items = value.value if isinstance(value, yaml.SequenceNode) else [value]
            scalars = [item for item in items if isinstance(item, yaml.ScalarNode)]
            entries[key.value.strip().lower()] = [
                entry for item in scalars if (entry := _entry(text, item, found.start(1))) is not None
            ]
    return entries, found.end()


def _mapping(source: str) -> yaml.MappingNode | None:
    try:
        depth = 0
        for event in yaml.parse(source, Loader=yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST or isinstance(event, yaml.AliasEvent):
                return None
        root = yaml.compose(source, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return None
    return root if isinstance(root, yaml.MappingNode) else None


def _entry(text: str, node: yaml.ScalarNode, offset: int) -> Entry | None:
    """None for a scalar that is empty, or written in a way (escapes, folded lines) in which it can't be pointed at."""
    start, end = offset + node.start_mark.index, offset + node.end_mark.index
    value = node.value.strip()
    at = text.find(value, start, end) if value else -1
    return Entry(value, at, at + len(value)) if at >= 0 else None
