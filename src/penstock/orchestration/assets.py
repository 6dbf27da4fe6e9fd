"""The catalogue: an external asset for each stage, and a check for each that asks the ledger."""

from collections.abc import Sequence

from dagster import AssetCheckResult, AssetChecksDefinition, AssetCheckSeverity, AssetSpec, asset_check

from penstock.bootstrap import open_app
from penstock.orchestration.metadata import verdict
from penstock.orchestration.ops import CHECK, facts_of, identity_of, key_of
from penstock.pipelines.catalogue import type_name
from penstock.pipelines.topology import Stage, Topology


def assets_of(topology: Topology) -> Sequence[AssetSpec]:
    """What each stage keeps up to date, with its lineage."""
    return [
        AssetSpec(
            key=key_of(topology, stage),
            deps=[key_of(topology, parent) for parent in topology.parents(stage.name)],
            description=f"What {identity_of(stage)} gives for each document: {type_name(stage.gives)}",
            group_name=topology.dagster_name,
            kinds={(stage.implementation or "gate").rpartition(".")[2][:60].lower()},
            metadata=facts_of(topology, stage),
        )
        for stage in topology.stages
    ]


def checks_of(topology: Topology) -> Sequence[AssetChecksDefinition]:
    """For each stage: does any document stand failed or dead there?"""
    return [_check(topology, stage) for stage in topology.stages]


def _check(topology: Topology, stage: Stage) -> AssetChecksDefinition:
    @asset_check(
        asset=key_of(topology, stage),
        name=CHECK,
        description="No document stands failed or dead at this stage. Each run answers for its tenant's documents; "
        "executed by hand, the check asks the ledger about all.",
    )
    def check() -> AssetCheckResult:
        app = open_app()
        try:
            return AssetCheckResult(severity=AssetCheckSeverity.WARN, **verdict(app, topology, stage))
        finally:
            app.close()

    return check
