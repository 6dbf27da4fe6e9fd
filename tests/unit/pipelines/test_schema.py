"""The JSON Schema that editors use."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from penstock.pipelines.schema import pipeline_schema

SCHEMA = json.loads(pipeline_schema())
BROKEN = Path(__file__).parent / "broken"


def test_the_committed_schema_is_current(root: Path) -> None:
    committed = (root / "config/orchestration/pipeline.schema.json").read_text(encoding="utf-8")
    assert committed == pipeline_schema(), "run: penstock pipelines schema > config/orchestration/pipeline.schema.json"


@pytest.mark.parametrize("name", ["auto.yaml", "pdf-two-phase.yaml"])
def test_the_seed_files_are_valid(name: str, root: Path) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(yaml.safe_load((root / "config/orchestration/pipelines" / name).read_text()), SCHEMA)


@pytest.mark.parametrize(
    "name",
    [
        "empty-stages",
        "stages-as-mapping",
        "stage-as-text",
        "missing-everything",
        "version-as-number",
        "empty-values",
        "unknown-keys",
        "wrong-kinds",
        "batch-size-out-of-range",
        "name-characters",
        "name-too-long",
        "gate-equals-false",
        "gate-resumes-above",
        "gate-with-a-stages-keys",
        "executor-unknown",
    ],
)
def test_an_editor_sees_what_is_wrong_with_the_form(name: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load((BROKEN / f"{name}.yaml").read_text()), SCHEMA)
