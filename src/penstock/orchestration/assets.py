"""The catalogue: an external asset for each stage, and a check for each that asks the ledger."""

from collections.abc import Sequence

from dagster import (
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetKey,
    AssetSpec,
    asset_check,
)

from penstock.bootstrap import open_app
from penstock.orchestration.metadata import failure_metadata
from penstock.orchestration.ops import CHECK
from penstock.pipelines.catalogue import type_name
from penstock.pipelines.topology import Stage, Topology
from penstock.runner import Failure


def key_of(topology: Topology, stage: Stage) -> AssetKey:
    return AssetKey([topology.dagster_name, stage.dagster_name])


def assets_of(topology: Topology) -> Sequence[AssetSpec]:
    """What each stage keeps up to date, with its lineage."""
    return [
        AssetSpec(
            key=key_of(topology, stage),
            deps=[key_of(topology, parent) for parent in topology.parents(stage.name)],
            description=f"{type_name(stage.gives)} of every document, by {stage.type} {stage.implementation}".strip(),
            group_name=topology.dagster_name,
            metadata={"yaml": f"{topology.path}:{stage.line}", "policy": stage.policy_name or "-"},
        )
        for stage in topology.stages
    ]


def checks_of(topology: Topology) -> Sequence[AssetChecksDefinition]:
    return [_check(topology, stage) for stage in topology.stages]


def _check(topology: Topology, stage: Stage) -> AssetChecksDefinition:
    @asset_check(
        asset=key_of(topology, stage),
        name=CHECK,
        description="No document of any tenant stands failed or dead at this stage.",
    )
    def check() -> AssetCheckResult:
        app = open_app()
        try:
            rows = app.ledger.reports.failures(pipeline=topology.name, stage=stage.name)
        finally:
            app.close()
        failures = [
            Failure(r.source_id, r.doc_id, r.stage, r.status, r.reason, r.message, r.next_step) for r in rows
        ]
        return AssetCheckResult(
            passed=not failures,
            severity=AssetCheckSeverity.WARN,
            description=f"{len(failures)} stand failed or dead" if failures else "none stands failed or dead",
            metadata=failure_metadata(failures),
        )

    return check
