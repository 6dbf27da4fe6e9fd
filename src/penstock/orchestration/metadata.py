"""Reports as Dagster's UI shows them: numbers, tables, notes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from dagster import MetadataValue, TableColumn, TableRecord, TableSchema

from penstock.bootstrap import App
from penstock.pipelines.topology import Stage, Topology
from penstock.runner import Failure, StageReport

_COLUMNS = ("document", "status", "reason", "message", "next step")
_FAILURES = TableSchema(columns=[TableColumn(name, "string") for name in _COLUMNS])

STAGES = "stages"


def shape_of(topology: Topology) -> dict[str, MetadataValue[Any]]:
    """By what a job is known to be of an older state of its pipeline: its stages with those they wait for, and the
    digest of what they do."""
    stages = "; ".join(f"{s.name} ← {', '.join(s.depends_on)}" if s.depends_on else s.name for s in topology.stages)
    return {STAGES: MetadataValue.text(stages), "digest": MetadataValue.text(topology.digest[:12])}


def stage_metadata(report: StageReport, batch: int | None = None) -> dict[str, Any]:
    """What a stage did, in numbers; its failures as a table, its notes as markdown."""
    metadata: dict[str, Any] = {"done": report.done, "reused": report.reused, "done before": report.before}
    metadata |= {"dead-lettered": report.dead, "failed": report.failed}
    if report.waiting:
        metadata["waiting"] = report.waiting
    if report.failures:
        metadata["failures"] = failure_table(report.failures)
    if report.notes:
        metadata["notes"] = MetadataValue.md("\n".join(f"- {note}" for note in report.notes))
    metadata["seconds"] = round(report.seconds, 3)
    if report.done and report.seconds:
        metadata["documents a second"] = round(report.done / report.seconds, 1)
    if batch is not None:
        metadata["this run's documents"] = MetadataValue.md(f"`penstock jobs --batch {batch}`")
    metadata["dagster/row_count"] = report.through
    return metadata


def failure_table(failures: Sequence[Failure]) -> MetadataValue[Any]:
    """One row a document. An empty table needs its schema said, so it always is."""
    rows = [(f.source_id, f.status, f.reason, f.message, f.next_step) for f in failures]
    records = [TableRecord(dict(zip(_COLUMNS, row, strict=True))) for row in rows]
    return MetadataValue.table(records, schema=_FAILURES)


def headline(stage: Stage, report: StageReport) -> str:
    """`35 done, 2 dead-lettered in 0.3 s`; of a gate also `12 documents wait for pdf_ir_ready`."""
    counts = {
        "done": report.done,
        "reused": report.reused,
        "done before": report.before,
        "dead-lettered": report.dead,
        "failed": report.failed,
    }
    did = [f"{count} {word}" for word, count in counts.items() if count]
    said = [f"{', '.join(did) or 'nothing to do'} in {report.seconds:.1f} s"] if did or not report.waiting else []
    if stage.gate is not None and report.waiting:
        said.append(f"{documents_wait(report.waiting)} for {stage.gate.ledger_field}")
    return "; ".join(said)


def documents_wait(count: int) -> str:
    """Subject and verb."""
    return "1 document waits" if count == 1 else f"{count} documents wait"


def verdict(app: App, topology: Topology, stage: Stage, tenant: str | None = None) -> Mapping[str, Any]:
    """Whether any document stands failed or dead at a stage, as the arguments of an asset check's result.

    `tenant` None: of any tenant.
    """
    rows = app.ledger.reports.failures(tenant=tenant, pipeline=topology.name, stage=stage.name)
    failures = [Failure(r.source_id, r.doc_id, r.stage, r.status, r.reason, r.message, r.next_step) for r in rows]
    reasons = ", ".join(f"{count} {reason}" for reason, count in Counter(r.reason for r in rows).most_common())
    if not failures:
        return {"passed": True, "description": "no document is failed or dead here"}
    return {
        "passed": False,
        "description": f"{len(failures)} failed or dead here: {reasons}",
        "metadata": {"failures": failure_table(failures)},
    }
