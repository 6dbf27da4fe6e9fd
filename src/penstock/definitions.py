"""Dagster's door: `dagster dev -m penstock.definitions`, `dagster job execute -m penstock.definitions -j auto`."""

from dagster import Definitions
from dagster.components import definitions

from penstock.orchestration.build import build_definitions


@definitions
def defs() -> Definitions:
    """Built when Dagster asks, not at import."""
    return build_definitions()
