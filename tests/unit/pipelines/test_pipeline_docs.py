"""The documentation says what is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from penstock.pipelines.catalogue import StaticCatalogue
from penstock.pipelines.loader import load_pipeline
from penstock.pipelines.models import GateEntry, PipelineFile, ScheduleEntry, StageEntry
from penstock.resilience.policy import Policy
from penstock.stages.registry import EntryPointCatalogue


@pytest.fixture(scope="module")
def text(root: Path) -> str:
    return (root / "docs/pipelines.md").read_text(encoding="utf-8")


def test_every_example_loads(text: str, policies: dict[str, Policy], tmp_path: Path) -> None:
    examples = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert len(examples) == 2
    for index, example in enumerate(examples):
        path = tmp_path / f"{index}.yaml"
        path.write_text(example, encoding="utf-8")
        assert load_pipeline(path, EntryPointCatalogue(), policies, Policy).warnings == ()


@pytest.mark.parametrize("model", [PipelineFile, StageEntry, GateEntry, ScheduleEntry])
def test_every_key_is_explained(model: type[PipelineFile], text: str) -> None:
    keys = [field.alias or name for name, field in model.model_fields.items()]
    assert [key for key in keys if f"`{key}`" not in text] == []


def test_every_contract_of_ours_is_named(text: str, catalogue: StaticCatalogue) -> None:
    ours = [name for name in EntryPointCatalogue().contracts if name in catalogue.contracts]
    assert [name for name in ours if f"`{name}`" not in text] == []
