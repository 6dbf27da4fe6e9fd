"""Dagster's executors by the name a pipeline's YAML uses; imported only when named."""

from importlib import import_module

from dagster import ExecutorDefinition, in_process_executor, multiprocess_executor

from penstock.errors import UsageError
from penstock.pipelines.topology import Executor

EXTERNAL = {
    "celery": ("dagster_celery", "celery_executor"),
    "celery_docker": ("dagster_celery_docker", "celery_docker_executor"),
    "celery_k8s": ("dagster_celery_k8s", "celery_k8s_job_executor"),
    "docker": ("dagster_docker", "docker_executor"),
    "k8s": ("dagster_k8s", "k8s_job_executor"),
}
"""Name → the module of Dagster's own libraries that has it, and what it is called there."""


def executor_of(executor: Executor) -> ExecutorDefinition:
    """Raises UsageError when its library is not installed or its options don't fit."""
    found = _named(executor.name)
    if not executor.config:
        return found
    chosen = found.configured(dict(executor.config), name=executor.name)
    checked = chosen.apply_config_mapping({})
    if not checked.success:
        said = " ".join(" ".join(error.message for error in checked.errors or []).split())
        raise UsageError(f"executor {executor.name!r}: {said}", next_step="correct its options")
    return chosen


def _named(name: str) -> ExecutorDefinition:
    if name == "in_process":
        return in_process_executor
    if name == "multiprocess":
        return multiprocess_executor
    module, attribute = EXTERNAL[name]
    try:
        found: ExecutorDefinition = getattr(import_module(module), attribute)
    except (ImportError, AttributeError):
        package = module.replace("_", "-")
        raise UsageError(f"executor {name!r} needs the package {package}", next_step=f"pip install {package}") from None
    return found
