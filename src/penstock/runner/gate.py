"""A gate: documents whose ledger field says so go through, the others leave the run and wait, holding nothing."""

from __future__ import annotations

from penstock.ledger.gates import Gates
from penstock.pipelines.topology import Stage
from penstock.runner.ingest import Scope
from penstock.runner.report import Observer, StageReport


def run_gate(gates: Gates, stage: Stage, scope: Scope, report: StageReport, observer: Observer) -> None:
    """Let ready documents through and mark the others as waiting. The gate is open if any document is ready."""
    assert stage.gate is not None
    outcome = gates.sort(scope.batch, stage.name, stage.depends_on, stage.gate.ledger_field, stage.gate.equals)
    report.before, report.waiting = outcome.ready, outcome.waiting
    if outcome.waiting:
        report.note(
            f"{outcome.waiting} document{'s' if outcome.waiting != 1 else ''} wait for {stage.gate.ledger_field}, "
            f"set by {stage.gate.field.worker}"
        )
    observer.advanced(stage.name, outcome.ready, outcome.ready + outcome.waiting)
