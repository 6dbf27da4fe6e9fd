"""The pipelines of a folder: each file on its own, so that a broken one takes no other down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from penstock.errors import ConfigError, NotFound, UsageError
from penstock.pipelines.catalogue import Catalogue
from penstock.pipelines.loader import load_pipeline
from penstock.pipelines.policies import read_policies
from penstock.pipelines.problems import suggest
from penstock.pipelines.source import read
from penstock.pipelines.topology import Topology


@dataclass(frozen=True)
class PipelineSet:
    """What a folder gave: topologies by name, and for each broken file (a policy file too) what is wrong with it."""

    loaded: Mapping[str, Topology]
    broken: Mapping[Path, ConfigError]

    def without(self, refused: Mapping[Path, ConfigError]) -> PipelineSet:
        """As it is when these files are broken too."""
        loaded = {name: topology for name, topology in self.loaded.items() if topology.path not in refused}
        return PipelineSet(loaded, {**self.broken, **refused})

    def named(self, name: str) -> Topology:
        """Raises NotFound, which tells of a broken file that may have held it."""
        if name in self.loaded:
            return self.loaded[name]
        for path, error in self.broken.items():
            if path.stem == name:
                raise NotFound(f"the pipeline {name!r} can't be used: {error.problems[0]}", next_step=_CHECK)
        broken = f" ({len(self.broken)} broken: {_CHECK})" if self.broken else ""
        raise NotFound(f"there is no pipeline {name!r}{broken}", next_step=suggest(name, self.loaded))


_CHECK = "penstock pipelines check"


def load_folder(folder: Path, catalogue: Catalogue, policy_model: type[BaseModel]) -> PipelineSet:
    """Load `folder/resilience.yaml` and `folder/pipelines/*.yaml` (or .yml), in order of their paths.

    A name that several files claim is that of the file called so, else of the first; the others are broken.
    Raises NotFound only where the folder of pipelines is missing altogether.
    """
    pipelines = folder / "pipelines"
    if not pipelines.is_dir():
        raise NotFound(f"there is no folder {pipelines}", next_step="penstock init, or set PENSTOCK_CONFIG")
    broken: dict[Path, ConfigError] = {}
    policies, problems = read_policies(folder / "resilience.yaml", policy_model)
    if problems:
        broken[folder / "resilience.yaml"] = ConfigError(problems)
    found: list[Topology] = []
    for path in sorted(p for p in pipelines.iterdir() if p.suffix in (".yaml", ".yml") and not p.name.startswith(".")):
        try:
            found.append(load_pipeline(path, catalogue, policies, policy_model))
        except ConfigError as error:
            broken[path] = error
    owners: dict[str, Topology] = {}
    for topology in sorted(found, key=lambda topology: topology.path.stem != topology.name):
        owner = owners.setdefault(topology.dagster_name, topology)
        if owner is not topology:
            broken[topology.path] = _taken(topology, owner)
    loaded = {topology.name: topology for topology in found if topology.path not in broken}
    return PipelineSet(loaded, broken)


def _taken(topology: Topology, owner: Topology) -> ConfigError:
    message = f"the name {topology.name!r} is taken by {owner.path}"
    if owner.name != topology.name:
        message += f" ({owner.name!r}, which Dagster can't tell from it)"
    return ConfigError([read(topology.path).problem(("name",), message, "give this pipeline another name")])


def route(pipelines: PipelineSet, source: str) -> Topology:
    """The pipeline that a request for `source` goes to when it names none.

    Raises UsageError when no pipeline applies, or several do: then one must be named.
    """
    able = [topology for topology in pipelines.loaded.values() if source in topology.sources]
    if len(able) == 1:
        return able[0]
    if able:
        names = ", ".join(sorted(topology.name for topology in able))
        raise UsageError(f"several pipelines take the source {source!r}: {names}", next_step="name one of them")
    known = {name for topology in pipelines.loaded.values() for name in topology.sources}
    broken = f"; {len(pipelines.broken)} broken files were not asked: {_CHECK}" if pipelines.broken else ""
    raise UsageError(
        f"no pipeline takes the source {source!r}{broken}", next_step=f"name a pipeline; {suggest(source, known)}"
    )
