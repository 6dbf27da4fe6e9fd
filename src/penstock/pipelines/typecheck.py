"""Whether what flows fits: every stage's inputs are made by its ancestors, and by which.

Of several ancestors that give the same type the nearest fills an input: the one that comes after all the others. Where
there is none such (two branches side by side), `inputs` must name one; the number of steps between never decides, so
that a stage put into one branch does not silently change what another is fed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from penstock.errors import UsageError
from penstock.ir import Request
from penstock.pipelines.catalogue import Catalogue, Contract, Take, type_name
from penstock.pipelines.graph import ancestors_of
from penstock.pipelines.problems import suggest


@dataclass(frozen=True, slots=True)
class Node:
    """What the check must know of a stage or gate. `inputs`: which ancestor fills a field, as far as the file says."""

    name: str
    type: str
    takes: tuple[Take, ...]
    gives: object
    depends_on: tuple[str, ...]
    inputs: Mapping[str, str] = field(default_factory=dict)
    lists: bool = False
    line: int = 1


@dataclass(frozen=True, slots=True)
class Complaint:
    """`key` is the stage's key that should be mended; `part` what of it (a key or a list index), or None."""

    stage: str
    key: str
    message: str
    fix: str
    part: str | int | None = None


class TypeCheck:
    """Resolves the inputs of an acyclic graph of nodes; `complaints` says what does not fit."""

    def __init__(self, nodes: Mapping[str, Node], catalogue: Catalogue) -> None:
        self._nodes = nodes
        self._catalogue = catalogue
        self._ancestors = ancestors_of({node.name: node.depends_on for node in nodes.values()})
        self.complaints: list[Complaint] = []

    def resolve(self, doubtful: Collection[str] = ()) -> dict[str, dict[str, str]]:
        """Stage → field → the ancestor that fills it. Of `doubtful` stages and what follows them nothing is said."""
        return {
            node.name: self._inputs(node)
            for node in self._nodes.values()
            if not ({node.name} | self._ancestors[node.name]) & set(doubtful)
        }

    def _inputs(self, node: Node) -> dict[str, str]:
        before = len(self.complaints)
        for name in node.inputs:
            if name not in {take.field for take in node.takes}:
                fix = suggest(name, [take.field for take in node.takes])
                self._complain(node, "inputs", f"a {node.type} takes no input {name!r}", fix, name)
        filled = {take.field: giver for take in node.takes if (giver := self._giver(node, take))}
        if len(self.complaints) == before:
            self._check_place(node)
        return filled

    def _giver(self, node: Node, take: Take) -> str | None:
        above = [self._nodes[name] for name in self._nodes if name in self._ancestors[node.name]]
        able = [other for other in above if other.gives == take.type]
        if take.field in node.inputs:
            return self._named(node, take, [other.name for other in able])
        nearest = [a for a in able if not any(a.name in self._ancestors[b.name] for b in able)]
        if len(nearest) == 1:
            return nearest[0].name
        kind = type_name(take.type)
        if nearest:
            names = " and ".join(repr(other.name) for other in nearest)
            fix = f"say which: inputs: {{{take.field}: {nearest[0].name}}}"
            self._complain(node, "depends_on", f"stage {node.name!r} could take its {kind} from {names}", fix)
        elif not take.optional and take.type is not Request:
            message = f"stage {node.name!r} ({node.type}) takes {kind}, which no stage before it gives"
            self._complain(node, "depends_on", message, self._remedy(node, take.type))
        return None

    def _named(self, node: Node, take: Take, able: list[str]) -> str | None:
        chosen = node.inputs[take.field]
        if chosen in able:
            return chosen
        kind = type_name(take.type)
        if chosen not in self._nodes:
            message = f"there is no stage {chosen!r}"
        elif chosen not in self._ancestors[node.name]:
            message = f"stage {chosen!r} does not come before {node.name!r}"
        else:
            message = f"stage {chosen!r} gives {type_name(self._nodes[chosen].gives)}, not {kind}"
        fix = f"before it, {kind} comes from: {', '.join(able)}" if able else self._remedy(node, take.type)
        self._complain(node, "inputs", message, fix, take.field)
        return None

    def _check_place(self, node: Node) -> None:
        """A listing opens a pipeline; everything else works on documents, so a listing must come before it."""
        listings = [other for other in self._nodes.values() if other.lists]
        if node.lists and node.depends_on:
            message = f"stage {node.name!r} lists the source, so it can't come after another"
            self._complain(node, "depends_on", message, "delete its depends_on")
        elif node.lists and listings[0] is not node:
            message = f"stage {node.name!r} lists the source, which {listings[0].name!r} does already"
            self._complain(node, "type", message, "a pipeline has one such stage: delete the other, or split the file")
        elif not node.lists and not any(other.name in self._ancestors[node.name] for other in listings):
            fix = f"depends_on: [{listings[0].name}]" if listings else "begin with a stage of type IngestStage"
            self._complain(node, "depends_on", f"stage {node.name!r} comes after nothing that lists documents", fix)

    def _remedy(self, node: Node, kind: object) -> str:
        """Where the missing type could come from: a stage of this file, else a contract, else a gate."""
        for other in self._nodes.values():
            if other.gives == kind and other.name != node.name:
                if node.name not in self._ancestors[other.name]:
                    return f"stage {other.name!r} (line {other.line}) gives it: add it to depends_on"
                return f"stage {other.name!r} (line {other.line}) gives it but comes after: turn the two round"
        makers = [contract.name for contract in _usable(self._catalogue) if contract.gives == kind]
        makers += [f"Gate ({name})" for name, ledger in self._catalogue.ledger_fields.items() if ledger.gives == kind]
        if not makers:
            return f"no installed contract gives {type_name(kind)}"
        return f"put a stage of type {' or '.join(makers)} before it"

    def _complain(self, node: Node, key: str, message: str, fix: str, part: str | int | None = None) -> None:
        self.complaints.append(Complaint(node.name, key, message, fix, part))


def unused(
    contracts: Mapping[str, Contract], inputs: Mapping[str, Mapping[str, str]], catalogue: Catalogue
) -> Iterator[Complaint]:
    """Of these stages (by name) those whose output nobody takes, though it is of use to nothing but a sink."""
    taken = {giver for filled in inputs.values() for giver in filled.values()}
    for name, contract in contracts.items():
        takers = [other for other in _usable(catalogue) if any(_needs(take, contract.gives) for take in other.takes)]
        if name not in taken and takers and all(taker.sink for taker in takers):
            message = f"stage {name!r} gives {type_name(contract.gives)}, which no stage takes: it is made for nothing"
            kinds = " or ".join(taker.name for taker in takers)
            yield Complaint(name, "name", message, f"put a stage of type {kinds} after it, or delete it")


def _needs(take: Take, kind: object) -> bool:
    return take.type == kind and not take.optional


def _usable(catalogue: Catalogue) -> Iterator[Contract]:
    """The installed contracts but for a plugin's broken one, which can't be what helps."""
    for name in catalogue.contracts:
        try:
            yield catalogue.contracts[name]
        except UsageError:
            continue
