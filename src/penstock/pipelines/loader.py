"""From a pipeline's file to its Topology: everything that is wrong with it at once, each at its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

from pydantic import BaseModel, ValidationError

from penstock.errors import ConfigError, Problem, UsageError
from penstock.pipelines.catalogue import Catalogue, Take
from penstock.pipelines.entries import Entries, Entry, read_entries
from penstock.pipelines.graph import in_order
from penstock.pipelines.models import Asked, GateEntry, PipelineFile, ScheduleEntry
from penstock.pipelines.problems import of_validation, suggest, validated
from penstock.pipelines.resolve import Parts, Resolver
from penstock.pipelines.source import Loc, YamlFile, read
from penstock.pipelines.topology import Executor, GateCondition, Schedule, Stage, Topology
from penstock.pipelines.typecheck import Node, TypeCheck, unused


def load_pipeline(
    path: Path, catalogue: Catalogue, policies: Mapping[str, BaseModel], policy_model: type[BaseModel]
) -> Topology:
    """Load and check one file. Raises ConfigError with all of its problems, in file order."""
    file = read(path)
    loaded = _check(file, path, catalogue, Resolver(file, catalogue, policies, policy_model))
    if loaded is None:
        raise ConfigError(sorted(file.problems, key=lambda problem: (problem.line, problem.column)))
    return loaded


def _check(file: YamlFile, path: Path, catalogue: Catalogue, resolver: Resolver) -> Topology | None:
    """The topology, or None when the file now has problems."""
    if not isinstance(file.value, dict):
        message = "the file is empty" if file.value is None else "a pipeline must be a mapping"
        file.note((), message, 'begin with version: "1.0", name: and stages:')
        return None
    header, _ = validated(file, file.value, (), PipelineFile)
    stages = file.value.get("stages")
    entries = read_entries(file, stages if isinstance(stages, list) else [])
    parts = {entry.name: resolver.resolve(entry) for entry in entries.found}
    inputs = _flow(entries, parts, catalogue)
    if header and header.schedule and header.schedule.request:
        _check_query(file, header.schedule.request, catalogue)
    if header is None or file.problems:
        return None
    found = {entry.name: entry for entry in entries.found}
    order = in_order(entries.edges)
    return Topology(
        name=header.name,
        version=header.version,
        description=header.description,
        sources=tuple(dict.fromkeys(header.applicable_sources)),
        stages=tuple(_stage(found[name], parts[name], entries, inputs[name]) for name in order),
        path=path,
        batch_size=header.batch_size,
        on_dead_letter=header.on_dead_letter,
        executor=Executor(header.executor.name, header.executor.config) if header.executor else Executor(),
        schedule=_schedule(header.schedule) if header.schedule else None,
        warnings=(*_warnings(file, header, catalogue), *_unused(file, found, parts, inputs, catalogue)),
    )


def _unused(
    file: YamlFile,
    entries: Mapping[str, Entry],
    parts: Mapping[str, Parts],
    inputs: Mapping[str, Mapping[str, str]],
    catalogue: Catalogue,
) -> Iterator[Problem]:
    contracts = {name: part.contract for name, part in parts.items() if part.contract}
    for complaint in unused(contracts, inputs, catalogue):
        yield file.problem((*entries[complaint.stage].loc, complaint.key), complaint.message, complaint.fix)


def _check_query(file: YamlFile, asked: Asked, catalogue: Catalogue) -> None:
    """Note what the source of a schedule would refuse to be asked."""
    if asked.source not in catalogue.sources:
        return
    loc: Loc = ("schedule", "request")
    try:
        model = catalogue.query(asked.source)
        model.model_validate(asked.query)
    except ValidationError as error:
        file.problems += of_validation(file, error, (*loc, "query"), model)
    except UsageError as error:
        file.note((*loc, "source"), error.message, error.next_step)


def _flow(entries: Entries, parts: Mapping[str, Parts], catalogue: Catalogue) -> dict[str, dict[str, str]]:
    """Who fills which input of each stage; what does not fit goes to the file's problems."""
    found = {entry.name: entry for entry in entries.found}
    nodes = {name: _node(found[name], parts[name], entries) for name in in_order(entries.edges)}
    unknown = {name for name, part in parts.items() if not (part.contract or part.ledger_field)}
    doubtful = entries.doubtful | unknown
    check = TypeCheck(nodes, catalogue)
    inputs = check.resolve(doubtful)
    for complaint in check.complaints:
        part = () if complaint.part is None else (complaint.part,)
        loc = (*found[complaint.stage].loc, complaint.key, *part)
        entries.file.note(loc, complaint.message, complaint.fix, key=bool(part))
    for entry in entries.found:
        if isinstance(entry.model, GateEntry):
            _check_resume(entry, entry.model, entries, doubtful)
    return inputs


def _check_resume(gate: Entry, model: GateEntry, entries: Entries, doubtful: set[str]) -> None:
    """What goes on when the gate opens is what depends on it, not what comes later."""
    target, edges = model.resume_stage, entries.edges
    if target in edges and gate.name not in edges[target] and not doubtful & {gate.name, target}:
        following = [name for name, above in edges.items() if gate.name in above]
        message = f"the stage {target!r} does not directly follow the gate {gate.name!r}"
        fix = f"what does: {', '.join(following)}" if following else f"give {target!r} depends_on: [{gate.name}]"
        entries.file.note((*gate.loc, "resume_stage"), message, fix)


def _node(entry: Entry, parts: Parts, entries: Entries) -> Node:
    line = entries.file.position(entry.loc).line
    edges = entries.edges[entry.name]
    if isinstance(entry.model, GateEntry):
        ledger = parts.ledger_field
        takes = (Take(ledger.name, ledger.needs),) if ledger else ()
        return Node(entry.name, "Gate", takes, ledger and ledger.gives, edges, line=line)
    contract = parts.contract
    return Node(
        entry.name,
        entry.model.type,
        contract.takes if contract else (),
        contract and contract.gives,
        edges,
        entry.model.inputs,
        lists=contract is not None and contract.arity == "listing",
        line=line,
    )


def _stage(entry: Entry, parts: Parts, entries: Entries, inputs: Mapping[str, str]) -> Stage:
    gate = None
    if isinstance(entry.model, GateEntry) and parts.ledger_field:
        condition = entry.model.condition
        gate = GateCondition(
            condition.ledger_field, condition.equals, entry.model.resume_stage, entry.model.timeout, parts.ledger_field
        )
    return Stage(
        name=entry.name,
        contract=parts.contract,
        implementation=parts.implementation,
        options=parts.options,
        policy=cast(BaseModel, parts.policy),  # a missing one would be a problem of the file
        policy_name=parts.policy_name,
        depends_on=entries.edges[entry.name],
        inputs=inputs,
        gate=gate,
        line=entries.file.position(entry.loc).line,
    )


def _schedule(entry: ScheduleEntry) -> Schedule:
    if entry.request is None:
        return Schedule(entry.cron, entry.timezone)
    return Schedule(entry.cron, entry.timezone, entry.request.source, entry.request.query)


def _warnings(file: YamlFile, header: PipelineFile, catalogue: Catalogue) -> Iterator[Problem]:
    named: dict[str, Loc] = {name: ("applicable_sources", i) for i, name in enumerate(header.applicable_sources)}
    if header.schedule and not header.schedule.request:
        fix = "as a mapping it says what to list: {cron: …, request: {source: files, query: {paths: […]}}}"
        yield file.problem(("schedule",), "the schedule asks for nothing, so each start fails", fix, key=True)
    if header.schedule and header.schedule.request:
        named.setdefault(header.schedule.request.source, ("schedule", "request", "source"))
    for source, loc in named.items():
        if source not in catalogue.sources:
            fix = suggest(source, catalogue.sources, "install one that does; there is")
            yield file.problem(loc, f"no installed plugin provides the source {source!r}", fix)
