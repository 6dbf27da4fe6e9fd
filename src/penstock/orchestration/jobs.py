"""A topology as a Dagster job: one op a stage, `Nothing` edges, one flat run config."""

from collections.abc import Iterator, Mapping
from typing import Any

from dagster import (
    ConfigMapping,
    DependencyDefinition,
    Failure,
    GraphDefinition,
    InitResourceContext,
    JobDefinition,
    MetadataValue,
    NodeInvocation,
    OpDefinition,
    OpExecutionContext,
    ResourceDefinition,
)

from penstock.bootstrap import App, open_app
from penstock.errors import ConfigError
from penstock.ir.model import clean_text
from penstock.orchestration.executors import executor_of
from penstock.orchestration.metadata import shape_of
from penstock.orchestration.ops import CONFIG, stage_op
from penstock.pipelines.topology import Topology


def _open(context: InitResourceContext) -> Iterator[App]:
    app = open_app()
    try:
        yield app
    finally:
        app.close()


RESOURCE = ResourceDefinition(
    resource_fn=_open, description="The ledger, the stores and the runner, out of PENSTOCK_… settings."
)


def job_of(topology: Topology) -> JobDefinition:
    """The job. Raises ConfigError when its executor can't be had."""
    ops = [stage_op(topology, stage) for stage in topology.stages]
    dependencies: dict[Any, Any] = {
        NodeInvocation(name=op.name, alias=stage.dagster_name): {
            parent.dagster_name: DependencyDefinition(parent.dagster_name) for parent in topology.parents(stage.name)
        }
        for op, stage in zip(ops, topology.stages, strict=True)
    }
    graph = GraphDefinition(
        name=topology.dagster_name,
        description=topology.description or None,
        node_defs=ops,
        dependencies=dependencies,
    )
    return graph.to_job(
        config=_flat([stage.dagster_name for stage in topology.stages]),
        resource_defs={"penstock": RESOURCE},
        executor_def=executor_of(topology),
        metadata={
            "file": MetadataValue.path(str(topology.path)),
            "takes": ", ".join(topology.sources) or "what names it",
            "batch size": topology.batch_size,
            "on dead letters": topology.on_dead_letter,
            **shape_of(topology),
        },
        tags={"penstock/pipeline": topology.name},
    )


def broken_job(name: str, error: ConfigError) -> JobDefinition:
    """What stands in for a pipeline whose file can't be taken: visible, and it fails with the reason when launched."""
    said = clean_text(str(error))

    def compute(context: OpExecutionContext, inputs: Mapping[str, Any]) -> Iterator[Any]:
        raise Failure(f"this pipeline can't be loaded:\n{said}", allow_retries=False)
        yield  # an op's compute function must be a generator

    op = OpDefinition(
        compute, name=f"{name}__broken__why", description=said, ins={}, outs={}, config_schema=dict(CONFIG)
    )
    graph = GraphDefinition(
        name=name,
        description=f"BROKEN, and can't run until its file is mended:\n\n```\n{said}\n```",
        node_defs=[op],
        dependencies={NodeInvocation(op.name, alias="broken"): {}},
    )
    return graph.to_job(config=_flat(["broken"]), tags={"penstock/broken": "true"})


def _flat(ops: list[str]) -> ConfigMapping:
    """One config for all ops."""

    def spread(config: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"ops": {name: {"config": dict(config)} for name in ops}}

    return ConfigMapping(config_schema=dict(CONFIG), config_fn=spread)
