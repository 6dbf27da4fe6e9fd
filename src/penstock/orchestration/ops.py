"""One op for each stage, and the run config that all of them get."""

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from dagster import (
    AssetCheckEvaluation,
    AssetCheckSeverity,
    AssetKey,
    AssetMaterialization,
    EnumValue,
    In,
    Nothing,
    OpDefinition,
    OpExecutionContext,
    Out,
    Output,
)
from dagster import Enum as DagsterEnum
from dagster import Field as ConfigField

from penstock.orchestration.metadata import headline, stage_metadata, verdict
from penstock.orchestration.perform import perform
from penstock.pipelines.catalogue import type_name
from penstock.pipelines.topology import Stage, Topology
from penstock.runner.opening import Retire

CONFIG: Mapping[str, Any] = {
    "source": ConfigField(str, default_value="files", description="Which source to list, by its registered name."),
    "request": ConfigField(
        dict,
        default_value={},
        description="The source's own query; for files: {paths: [folder, file, '*.json']}.",
    ),
    "tenant": ConfigField(str, default_value="default", description="Whose documents these are."),
    "full": ConfigField(
        bool, default_value=False, description="List everything, also where the source could tell what changed."
    ),
    "retire": ConfigField(
        DagsterEnum("Retire", [EnumValue(word) for word in get_args(Retire)]),
        default_value="none",
        description="What the source no longer lists leaves index and graph: none; some, up to a tenth; all.",
    ),
    "batch": ConfigField(
        int, is_required=False, description="Work on this batch of the ledger and list nothing (the sensor sets it)."
    ),
}
"""One flat run config for launchpad, sensor, schedule and CI."""

CHECK = "all_documents_through"
"""The asset check of every stage."""


def key_of(topology: Topology, stage: Stage) -> AssetKey:
    """`[pipeline, stage]`."""
    return AssetKey([topology.dagster_name, stage.dagster_name])


def identity_of(stage: Stage) -> str:
    """`ChunkStage sentences`, or for a gate what it waits for."""
    return f"{stage.type} {stage.implementation}" if stage.gate is None else f"Gate: {stage.gate.ledger_field}"


def facts_of(topology: Topology, stage: Stage) -> dict[str, str]:
    """What the YAML says of a stage: op tags and asset metadata."""
    return {
        "penstock/type": stage.type,
        "penstock/implementation": stage.implementation or "-",
        "penstock/policy": stage.policy_name or "-",
        "penstock/yaml": f"{topology.path.name}:{stage.line}",
    }


def stage_op(topology: Topology, stage: Stage) -> OpDefinition:
    """The op of one stage, named `<pipeline>__<stage>` since two jobs may not both define an op `chunk`."""

    def compute(context: OpExecutionContext, inputs: Mapping[str, Any]) -> Iterator[Any]:
        outcome = perform(context, topology, stage)
        for at, report in outcome.passes:
            key = key_of(topology, at)
            failed = outcome.failure is not None and at is outcome.passes[-1][0]
            if not failed:
                metadata = stage_metadata(report, outcome.batch)
                yield AssetMaterialization(key, description=headline(at, report), metadata=metadata)
            if not failed or report.failures:
                said = verdict(context.resources.penstock, topology, at, outcome.tenant)
                yield AssetCheckEvaluation(check_name=CHECK, asset_key=key, severity=AssetCheckSeverity.WARN, **said)
        if outcome.failure is not None:
            raise outcome.failure
        if stage.gate is None or any(at is stage and report.through for at, report in outcome.passes):
            yield Output(None)

    return OpDefinition(
        compute_fn=compute,
        name=f"{topology.dagster_name}__{stage.dagster_name}",
        description=f"{identity_of(stage)} → {type_name(stage.gives)}\n\n"
        f"policy {stage.policy_name}; {topology.path.name}, line {stage.line}",
        ins={parent.dagster_name: In(Nothing) for parent in topology.parents(stage.name)},
        outs={"result": Out(Nothing, is_required=stage.gate is None)},
        config_schema=dict(CONFIG),
        required_resource_keys={"penstock"},
        tags=facts_of(topology, stage),
    )
