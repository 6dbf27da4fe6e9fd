"""Dagster's executors by the name a pipeline's YAML uses; imported only when named."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from dagster import ExecutorDefinition, in_process_executor, multiprocess_executor

from penstock.errors import ConfigError, Problem
from penstock.pipelines.problems import suggest
from penstock.pipelines.source import YamlFile, read
from penstock.pipelines.topology import Topology

EXTERNAL = {
    "celery": ("dagster_celery", "celery_executor"),
    "celery_docker": ("dagster_celery_docker", "celery_docker_executor"),
    "celery_k8s": ("dagster_celery_k8s", "celery_k8s_job_executor"),
    "docker": ("dagster_docker", "docker_executor"),
    "k8s": ("dagster_k8s", "k8s_job_executor"),
}
"""Name → the module of Dagster's own libraries that has it, and what it is called there."""


def executor_of(topology: Topology) -> ExecutorDefinition:
    """Raises ConfigError, with the places in the file, when its library is not installed or its options don't fit."""
    name, config = topology.executor.name, dict(topology.executor.config)
    found = _named(name, topology)
    chosen = found.configured(config, name=name) if config else found
    checked = chosen.apply_config_mapping({})
    if not checked.success:
        file = read(topology.path)
        raise ConfigError([_problem(file, name, found, error) for error in checked.errors or []])
    at_once = config.get("max_concurrent")
    if isinstance(at_once, int) and at_once < 0:  # Dagster takes it, and waits for ever
        where = ("executor", name, "max_concurrent")
        message = f"executor {name!r}: {at_once} processes at once"
        raise ConfigError([read(topology.path).problem(where, message, "0 (as many as there are cores) or more")])
    return chosen


def _problem(file: YamlFile, name: str, executor: ExecutorDefinition, error: Any) -> Problem:
    """Dagster's EvaluationError at the value, or the key, that it is about."""
    way = [entry.field_name for entry in error.stack.entries if hasattr(entry, "field_name")][1:]
    unknown = getattr(error.error_data, "field_name", None)
    if unknown is None or unknown not in _at(file.value, ("executor", name, *way)):
        said = " ".join(error.message.split()).replace("root:config", "executor")
        return file.problem(("executor", name, *way), f"executor {name!r}: {said}", "correct its options")
    known = _options(executor.config_schema.config_type, way)
    message = f"executor {name!r} has no option {':'.join([*way, unknown])!r}"
    return file.problem(("executor", name, *way, unknown), message, suggest(unknown, known), key=True)


def _at(value: Any, way: Sequence[str]) -> Any:
    for part in way:
        value = value[part]
    return value


def _options(kind: Any, way: Sequence[str]) -> list[str]:
    """The names of the options that a mapping may have which lies `way` below one of Dagster's config types."""
    for part in way:
        kind = getattr(kind, "fields", {})[part].config_type
    return list(getattr(kind, "fields", {}))


def _named(name: str, topology: Topology) -> ExecutorDefinition:
    if name == "in_process":
        return in_process_executor
    if name == "multiprocess":
        return multiprocess_executor
    module, attribute = EXTERNAL[name]
    try:
        found: ExecutorDefinition = getattr(import_module(module), attribute)
    except (ImportError, AttributeError):
        package = module.replace("_", "-")
        message = f"executor {name!r} needs the package {package}, which is not installed"
        problem = read(topology.path).problem(("executor", name), message, f"pip install {package}")
        raise ConfigError([problem]) from None
    return found
