"""`penstock pipelines`: check, show and list the pipelines, and the schema of their files."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.cli.screen import counted, print_json, say, stdout, text
from penstock.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rich.console import Console

    from penstock.pipelines.folder import PipelineSet
    from penstock.pipelines.topology import Stage, Topology
    from penstock.settings import Settings

app = typer.Typer(help="Check, show and list pipelines.", no_args_is_help=True)

BROKEN = 2
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def check(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Pipeline files; default: all of the configuration.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check pipeline files, saying all that is wrong with each. Exit status 2 if anything is."""
    loaded, broken = _load_files(files) if files else _load_all_files()
    if as_json:
        print_json(
            {
                "ok": {str(topology.path): topology.name for topology in loaded},
                "warnings": [warning for topology in loaded for warning in topology.warnings],
                "problems": [problem for error in broken.values() for problem in error.problems],
            }
        )
    else:
        console = stdout()
        for topology in loaded:
            stages = counted(len(topology.stages), "stage")
            say(console, f"{topology.path}: ok, pipeline {topology.name!r}, {stages}", "green")
            for warning in topology.warnings:
                _complain(console, warning, "yellow", "warning: ")
        for error in broken.values():
            for problem in error.problems:
                _complain(console, problem, "red")
    if broken:
        raise typer.Exit(BROKEN)


@app.command()
def show(name: Annotated[str, typer.Argument(help="The pipeline's name.")], as_json: Json = False) -> None:
    """Draw a pipeline: its stages, who does them under which policy, and what flows along the edges."""
    from penstock.settings import load_settings

    pipelines = load_all(load_settings())
    for path, error in pipelines.broken.items():
        if name not in pipelines.loaded and path.stem == name:
            for problem in error.problems:
                _complain(stdout(), problem, "red")
            raise typer.Exit(BROKEN)
    topology = pipelines.named(name)
    if as_json:
        print_json(_topology(topology))
    else:
        _draw(stdout(), topology)


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List the pipelines, the broken ones too."""
    from penstock.settings import load_settings

    pipelines = load_all(load_settings())
    if as_json:
        loaded = [_summary(topology) for topology in pipelines.loaded.values()]
        print_json({"pipelines": loaded, "broken": {str(path): str(error) for path, error in pipelines.broken.items()}})
        return
    from rich.table import Column, Table

    table = Table("pipeline", "stages", "sources", "starts", Column("file", overflow="fold"))
    for topology in pipelines.loaded.values():
        starts = topology.schedule.cron if topology.schedule else "by hand"
        cells = (topology.name, str(len(topology.stages)), ", ".join(topology.sources), starts, str(topology.path))
        table.add_row(*map(text, cells))
    console = stdout()
    console.print(table)
    for path, error in pipelines.broken.items():
        count = counted(len(error.problems), "problem")
        say(console, f"{path} is broken: {count}; see penstock pipelines check", "red")


@app.command()
def schema() -> None:
    """Print the JSON Schema of pipeline files, for editors."""
    from penstock.pipelines.schema import pipeline_schema

    sys.stdout.write(pipeline_schema())


def load_all(settings: Settings) -> PipelineSet:
    """The configured pipelines, those that Dagster would refuse among the broken ones."""
    from penstock.pipelines.folder import load_folder
    from penstock.resilience.policy import Policy
    from penstock.stages.registry import EntryPointCatalogue

    found = load_folder(settings.config, EntryPointCatalogue(), Policy)
    return found.without(refused_by_dagster(found.loaded.values()))


def _load_all_files() -> tuple[list[Topology], Mapping[Path, ConfigError]]:
    from penstock.settings import load_settings

    pipelines = load_all(load_settings())
    return list(pipelines.loaded.values()), pipelines.broken


def _load_files(files: list[Path]) -> tuple[list[Topology], Mapping[Path, ConfigError]]:
    """The given files, under the configured policies; a broken policy file counts as one of them."""
    from penstock.pipelines.loader import load_pipeline
    from penstock.pipelines.policies import read_policies
    from penstock.resilience.policy import Policy
    from penstock.settings import load_settings
    from penstock.stages.registry import EntryPointCatalogue

    resilience = load_settings().config / "resilience.yaml"
    policies, problems = read_policies(resilience, Policy)
    broken = {resilience: ConfigError(problems)} if problems else {}
    loaded, catalogue = [], EntryPointCatalogue()
    for path in files:
        try:
            loaded.append(load_pipeline(path, catalogue, policies, Policy))
        except ConfigError as error:
            broken[path] = error
    refused = refused_by_dagster(loaded)
    return [topology for topology in loaded if topology.path not in refused], broken | refused


def refused_by_dagster(topologies: Iterable[Topology]) -> dict[Path, ConfigError]:
    """Files whose executor Dagster can't have, or not with these options. It is imported only if one names any."""
    from penstock.pipelines.topology import Executor

    refused = {}
    for topology in topologies:
        if topology.executor == Executor():
            continue
        from penstock.orchestration.executors import executor_of

        try:
            executor_of(topology)
        except ConfigError as error:
            refused[topology.path] = error
    return refused


def _draw(console: Console, topology: Topology) -> None:
    from penstock.pipelines.picture import draw

    say(console, topology.name, "bold")
    if topology.description:
        say(console, topology.description, "dim")
    console.print()
    rows = list(draw(topology))
    width = max(len(row.lines) for row in rows) + 1
    longest = max(len(stage.name) for stage in topology.stages)
    for row in rows:
        if row.stage is None:
            say(console, row.lines)
            continue
        say(console, f"{row.lines:{width}} {row.stage.name:{longest}}  {_doer(row.stage)}")
        say(console, f"{row.under:{width}} {'':{longest}}  {_flow(row.stage)}", "dim")
        say(console, row.under)
    runs = f"{topology.batch_size} documents a batch; dead letters: {topology.on_dead_letter}"
    runs += f"; executor: {topology.executor.name}"
    if topology.schedule:
        runs += f"; starts: {topology.schedule.cron} ({topology.schedule.timezone})"
    say(console, f"{runs}; digest {topology.digest[:12]}", "dim")


def _doer(stage: Stage) -> str:
    if stage.gate:
        wait = f"Gate: waits for {stage.gate.ledger_field}, set by {stage.gate.field.worker}"
        return f"{wait}; goes on at {stage.gate.resume_stage}"
    given = stage.options.model_dump(mode="json", by_alias=True, exclude_unset=True) if stage.options else {}
    options = "".join(f" {name}={json.dumps(value, ensure_ascii=False)}" for name, value in given.items())
    return f"{stage.type}: {stage.implementation}{options}, policy {stage.policy_name}"


def _flow(stage: Stage) -> str:
    from penstock.pipelines.catalogue import type_name

    types: dict[str, object] = {take.field: take.type for take in stage.contract.takes} if stage.contract else {}
    if stage.gate:
        types[stage.gate.ledger_field] = stage.gate.field.needs
    taken = [f"{type_name(types[field])} from {giver}" for field, giver in stage.inputs.items()]
    return f"{', '.join(taken) or 'the request'} → {type_name(stage.gives)}"


def _summary(topology: Topology) -> dict[str, Any]:
    return {
        "name": topology.name,
        "description": topology.description,
        "path": str(topology.path),
        "sources": list(topology.sources),
        "digest": topology.digest,
        "schedule": topology.schedule.cron if topology.schedule else None,
    }


def _topology(topology: Topology) -> dict[str, Any]:
    from penstock.pipelines.catalogue import type_name

    stages = [
        {
            "name": stage.name,
            "type": stage.type,
            "use": stage.implementation,
            "with": stage.options_dict,
            "policy": stage.policy_name,
            "depends_on": list(stage.depends_on),
            "inputs": dict(stage.inputs),
            "gives": type_name(stage.gives),
            "line": stage.line,
        }
        for stage in topology.stages
    ]
    settings = {"batch_size": topology.batch_size, "on_dead_letter": topology.on_dead_letter}
    return _summary(topology) | settings | {"executor": topology.executor.name, "stages": stages}


def _complain(console: Console, problem: Problem, style: str, prefix: str = "") -> None:
    say(console, f"{problem.file}:{problem.line}:{problem.column}: {prefix}{problem.message}", style)
    if problem.fix:
        say(console, f"    fix: {problem.fix}")
