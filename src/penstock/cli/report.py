"""How a run ended, as tables and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from penstock.cli.screen import counted, fault, one_line, say, text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from penstock.runner import Failure, RunReport, StageReport

SHOWN_FAILURES = 20
_COUNTS = ("done", "reused", "before", "dead", "failed", "waiting")
_STYLES = {"dead": "red", "failed": "yellow", "waiting": "cyan"}
_OUTCOMES = {"complete": "green", "partial": "yellow", "failed": "red"}
_ORDER = ("done", "waiting", "pending", "failed", "dead", "cancelled", "superseded", "retired")


def report_json(pipeline: str, report: RunReport) -> dict[str, Any]:
    return {"pipeline": pipeline, **asdict(report), "nothing_to_do": report.nothing_to_do}


def show_report(console: Console, report: RunReport) -> None:
    """Stages, notes, failures, outcome; of a run that found nothing to do only that."""
    if report.nothing_to_do:
        say(console, nothing_to_do(report), "green")
        return
    console.print(stage_table(report.stages))
    for note in dict.fromkeys(report.notes):
        say(console, f"note: {note}", "yellow")
    failures = [failure for stage in report.stages for failure in stage.failures]
    lost = sum(stage.dead + stage.failed for stage in report.stages)
    if failures:
        show_failures(console, failures[:SHOWN_FAILURES])
        if lost > SHOWN_FAILURES:
            say(console, f"… and {lost - SHOWN_FAILURES:,} more: penstock jobs --status dead, --status failed")
    if report.error:
        console.print(fault(report.error, next((f.next_step for f in failures if f.next_step), _AFTER_FAILURE)))
    say(console, f"{report.outcome}: {statuses(report)}", _OUTCOMES[report.outcome])
    if report.outcome == "partial" and not failures:
        say(console, "penstock jobs --status dead shows what stands dead, penstock retry tries it again")


_AFTER_FAILURE = "mend the cause, then run the same again, or: penstock retry"


def nothing_to_do(report: RunReport) -> str:
    if not report.documents:
        return "nothing to do: no documents were found there"
    if report.statuses.get("done", 0) == report.documents:
        return f"nothing to do: all {counted(report.documents, 'document')} are done"
    return f"nothing to do: {statuses(report)}"


def statuses(report: RunReport) -> str:
    """`34 documents: 33 done, 1 dead`."""
    told = [f"{report.statuses[s]:,} {s}" for s in _ORDER if report.statuses.get(s) and s != "superseded"]
    return f"{counted(report.documents, 'document')}{': ' if told else ''}{', '.join(told)}"


def stage_table(stages: list[StageReport] | tuple[StageReport, ...] | Any) -> Table:
    """A row a stage; a count of nothing is left blank."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Column, Table

    table = Table("stage", *(Column(name, justify="right") for name in (*_COUNTS, "seconds")), box=SIMPLE_HEAD)
    for stage in stages:
        counts = [(name, getattr(stage, name)) for name in _COUNTS]
        cells = [text(f"{count:,}" if count else "", _STYLES.get(name, "")) for name, count in counts]
        table.add_row(text(stage.stage), *cells, text(f"{stage.seconds:.1f}", "dim"))
    return table


def show_failures(console: Console, failures: list[Failure]) -> None:
    """Document, stage and reason in a line, then what was said and what helps."""
    from rich.padding import Padding
    from rich.text import Text

    for failure in failures:
        head = (f"{failure.status} at {failure.stage}, {failure.reason}", _STYLES.get(failure.status, ""))
        console.print(Text.assemble((one_line(failure.source_id), "bold"), "  ", head))
        console.print(Padding(text(failure.message), (0, 0, 0, 4)))
        if failure.next_step:
            console.print(Padding(text(f"next: {failure.next_step}", "dim"), (0, 0, 0, 4)))
