"""Reports as Dagster's UI shows them: numbers, tables, notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dagster import MetadataValue, TableColumn, TableRecord, TableSchema

from penstock.runner import Failure, StageReport

_FAILURES = TableSchema(
    columns=[
        TableColumn(name, "string") for name in ("document", "stage", "status", "reason", "message", "next step", "id")
    ]
)


def stage_metadata(report: StageReport) -> dict[str, Any]:
    """What a stage did, in numbers; notes as markdown."""
    metadata: dict[str, Any] = {
        "done": report.done,
        "reused": report.reused,
        "done before": report.before,
        "dead-lettered": report.dead,
        "failed": report.failed,
        "seconds": round(report.seconds, 3),
    }
    if report.waiting:
        metadata["waiting"] = report.waiting
    if report.done and report.seconds:
        metadata["documents a second"] = round(report.done / report.seconds, 1)
    if report.notes:
        metadata["notes"] = MetadataValue.md("\n".join(f"- {note}" for note in report.notes))
    return metadata


def failure_metadata(failures: Sequence[Failure]) -> Mapping[str, Any]:
    """The failures as a table (an empty one needs its schema said)."""
    records = [
        TableRecord(
            {
                "document": f.source_id,
                "stage": f.stage,
                "status": f.status,
                "reason": f.reason,
                "message": f.message,
                "next step": f.next_step,
                "id": f.doc_id,
            }
        )
        for f in failures
    ]
    return {"failures": MetadataValue.table(records, schema=_FAILURES)}
