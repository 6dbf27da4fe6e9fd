"""A topology as a Dagster job: one op a stage, `Nothing` edges, one flat run config."""

from collections.abc import Iterator, Mapping
from typing import Any

from dagster import (
    ConfigMapping,
    DependencyDefinition,
    ExecutorDefinition,
    Failure,
    GraphDefinition,
    InitResourceContext,
    JobDefinition,
    NodeInvocation,
    OpDefinition,
    OpExecutionContext,
    ResourceDefinition,
    in_process_executor,
    multiprocess_executor,
)

from penstock.bootstrap import App, open_app
from penstock.errors import ConfigError, UsageError
from penstock.orchestration.ops import CONFIG, opened, stage_op
from penstock.pipelines.topology import Executor, Topology


def _open(context: InitResourceContext) -> Iterator[App]:
    with opened(open_app()) as app:
        yield app


RESOURCE = ResourceDefinition(
    resource_fn=_open, description="The ledger, the stores and the runner, out of PENSTOCK_… settings."
)


def job_of(topology: Topology) -> JobDefinition:
    """The job. Raises UsageError when its executor can't be had."""
    ops = [stage_op(topology, stage) for stage in topology.stages]
    dependencies: dict[Any, Any] = {
        NodeInvocation(name=op.name, alias=stage.dagster_name): {
            parent.dagster_name: DependencyDefinition(parent.dagster_name) for parent in topology.parents(stage.name)
        }
        for op, stage in zip(ops, topology.stages, strict=True)
    }
    names = [stage.dagster_name for stage in topology.stages]

    def spread(config: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"ops": {name: {"config": dict(config)} for name in names}}

    graph = GraphDefinition(
        name=topology.dagster_name,
        description=topology.description or None,
        node_defs=ops,
        dependencies=dependencies,
    )
    return graph.to_job(
        config=ConfigMapping(config_schema=dict(CONFIG), config_fn=spread),
        resource_defs={"penstock": RESOURCE},
        executor_def=executor_of(topology.executor),
        metadata={"yaml": str(topology.path), "version": topology.version, "digest": topology.digest},
        tags={"penstock/pipeline": topology.name},
    )


def broken_job(name: str, error: ConfigError) -> JobDefinition:
    """What stands in for a pipeline whose file can't be taken: visible, and it fails with the reason when launched."""
    said = str(error)

    def compute(context: OpExecutionContext, inputs: Mapping[str, Any]) -> Iterator[Any]:
        raise Failure(f"this pipeline can't be loaded:\n{said}", allow_retries=False)
        yield

    op = OpDefinition(compute_fn=compute, name=f"{name}__broken", description=said, ins={}, outs={}, config_schema=dict(CONFIG))
    graph = GraphDefinition(
        name=name,
        description=f"BROKEN\n\n{said}",
        node_defs=[op],
        dependencies={NodeInvocation(op.name, alias="broken"): {}},
    )
    return graph.to_job(
        config=ConfigMapping(dict(CONFIG), lambda config: {"ops": {"broken": {"config": dict(config)}}}),
        tags={"penstock/broken": "true"},
    )


def executor_of(executor: Executor) -> ExecutorDefinition:
    """In-process by default; others by name, imported only when named."""
    if executor.name == "in_process":
        return in_process_executor
    if executor.name == "multiprocess":
        return multiprocess_executor.configured(dict(executor.config)) if executor.config else multiprocess_executor
    try:
        module = __import__(f"dagster_{executor.name}", fromlist=[f"{executor.name}_job_executor"])
        found: ExecutorDefinition = getattr(module, f"{executor.name}_job_executor")
    except (ImportError, AttributeError):
        raise UsageError(
            f"executor {executor.name!r} needs the module dagster_{executor.name}",
            next_step=f"pip install dagster-{executor.name}",
        ) from None
    return found.configured(dict(executor.config)) if executor.config else found
