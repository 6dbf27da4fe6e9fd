"""The JSON Schema of pipeline files, for editors. `python -m penstock.pipelines.schema` prints it.

It knows the format, not what is installed: names of contracts, implementations and policies are checked on loading.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from penstock.pipelines.models import PipelineFile

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def pipeline_schema() -> str:
    """The schema as text, the same for the same models."""
    schema = {"$schema": DIALECT, "title": "Penstock pipeline", **_tidy(PipelineFile.model_json_schema(by_alias=True))}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _tidy(schema: Any) -> Any:
    """Without the titles that pydantic makes of names, and without null: an empty key is refused, not absent."""
    if isinstance(schema, list):
        return [_tidy(item) for item in schema if item != {"type": "null"}]
    if not isinstance(schema, dict):
        return schema
    kept = {
        key: _tidy(value)
        for key, value in schema.items()
        if not (key == "title" and isinstance(value, str)) and not (key == "default" and value is None)
    }
    if len(kept.get("anyOf", ())) == 1:
        [only] = kept.pop("anyOf")
        kept = {**only, **kept}
    return kept


if __name__ == "__main__":
    sys.stdout.write(pipeline_schema())
