"""The stages a file writes, and the edges between them, as far as both can be read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from penstock.pipelines.graph import circles
from penstock.pipelines.models import GATE, GateEntry, StageEntry
from penstock.pipelines.names import dagster_name
from penstock.pipelines.problems import nearest, suggest, validated
from penstock.pipelines.source import Loc, YamlFile

_SHAPING = ("name", "type", "depends_on", "inputs", "condition")
"""The keys that say what flows."""


@dataclass(frozen=True, slots=True)
class Entry:
    """`wrong`: the keys that were left out of `model` because of their problems."""

    name: str
    loc: Loc
    model: StageEntry | GateEntry
    wrong: frozenset[str]


@dataclass
class Entries:
    """`locs` has every name written, also of stages that are wrong otherwise, so that no reference to them is.

    `doubtful` are the stages of which it is not sure what they take, give or follow: nothing can be concluded from
    them. `edges` may run in circles only if the file has a problem that says so.
    """

    file: YamlFile
    found: list[Entry] = field(default_factory=list)
    locs: dict[str, Loc] = field(default_factory=dict)
    edges: dict[str, tuple[str, ...]] = field(default_factory=dict)
    doubtful: set[str] = field(default_factory=set)


def read_entries(file: YamlFile, items: list[Any]) -> Entries:
    """The entries of `stages`. What is wrong is noted in the file."""
    entries = Entries(file)
    _name(entries, items)
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            message = "a stage must be a mapping"
            file.note(("stages", index), message, "write - name: and type: below it")
        elif entry := _entry(entries, index, item):
            entries.found.append(entry)
    for entry in entries.found:
        entries.edges[entry.name] = _edges(entries, entry, items)
    for circle in circles(entries.edges):
        message = f"the stages go round in a circle: {' → '.join(circle)}"
        loc = (*entries.locs[circle[0]], "depends_on")
        file.note(loc, message, "take one of them out of a depends_on")
    return entries


def _name(entries: Entries, items: list[Any]) -> None:
    taken: dict[str, str] = {}
    for index, item in enumerate(items):
        name = item.get("name") if isinstance(item, dict) else None
        if not isinstance(name, str):
            continue
        first = taken.setdefault(dagster_name(name), name)
        if first not in entries.locs:
            entries.locs[name] = ("stages", index)
            continue
        line = entries.file.position(entries.locs[first]).line
        message = f"the name {name!r} is taken by the stage on line {line}"
        if first != name:
            message += f": Dagster can't tell {name!r} from {first!r}"
        loc = ("stages", index, "name")
        entries.file.note(loc, message, "give one of them another name")
        entries.doubtful.add(first)


def _entry(entries: Entries, index: int, item: dict[str, Any]) -> Entry | None:
    loc: Loc = ("stages", index)
    kind: type[StageEntry | GateEntry] = GateEntry if item.get("type") == GATE else StageEntry
    model, wrong = validated(entries.file, item, loc, kind)
    name = item.get("name")
    if isinstance(name, str) and (model is None or any(nearest(key, _SHAPING) for key in wrong)):
        entries.doubtful.add(name)
    resume = item.get("resume_stage")
    if kind is GateEntry and isinstance(resume, str) and resume not in entries.locs:
        entries.file.note((*loc, "resume_stage"), f"there is no stage {resume!r}", suggest(resume, entries.locs))
    if model is None or entries.locs.get(model.name) != loc:
        return None
    return Entry(model.name, loc, model, frozenset(wrong))


def _edges(entries: Entries, entry: Entry, items: list[Any]) -> tuple[str, ...]:
    """The stages that `entry` depends on, without those there are not."""
    file, named = entries.file, entry.model.depends_on
    if named is None:
        return _above(entries, entry, items)
    edges: list[str] = []
    for index, name in enumerate(named):
        loc = (*entry.loc, "depends_on", index)
        if name in edges:
            file.note(loc, f"{name!r} is named twice", "delete one")
        elif name not in entries.locs:
            others = [other for other in entries.locs if other != entry.name]
            file.note(loc, f"there is no stage {name!r}", suggest(name, others))
            entries.doubtful.add(entry.name)
        elif any(name == other.name for other in entries.found):
            edges.append(name)
        else:
            entries.doubtful.add(entry.name)
    return tuple(edges)


def _above(entries: Entries, gate: Entry, items: list[Any]) -> tuple[str, ...]:
    """A gate that names nothing hangs on the stage written above it."""
    index = int(gate.loc[-1])
    above = items[index - 1] if index else None
    if index == 0:
        message = f"the gate {gate.name!r} has no stage above it to wait behind"
        fix = "write it below the stage it follows, or give it depends_on"
        entries.file.note(gate.loc, message, fix)
    elif isinstance(above, dict) and any(above.get("name") == other.name for other in entries.found):
        return (above["name"],)
    entries.doubtful.add(gate.name)
    return ()
