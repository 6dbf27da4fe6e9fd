"""How a run ended, as tables and as JSON."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from penstock.cli.screen import counted, document_name, fault, say, text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from rich.console import Console
    from rich.table import Table

    from penstock.cli.resume import Lost
    from penstock.ledger.reports import FailedDocument
    from penstock.runner import Failure, RunReport, StageReport

SHOWN_FAILURES = 20
SHOWN_NAMES = 3
LISTED = "penstock jobs --status dead, --status failed"
_COUNTS = ("done", "reused", "before", "dead", "failed", "waiting")
_STYLES = {"dead": "red", "failed": "yellow", "waiting": "cyan"}
_OUTCOMES = {"complete": "green", "partial": "yellow", "failed": "red"}
_ORDER = ("done", "waiting", "pending", "failed", "dead", "cancelled", "superseded", "retired")


def report_json(pipeline: str, report: RunReport) -> dict[str, Any]:
    return {"pipeline": pipeline, **asdict(report), "nothing_to_do": report.nothing_to_do}


def show_report(console: Console, report: RunReport) -> None:
    """Stages, notes, failures, outcome; of a run that found nothing to do only that, and what the listing noted."""
    if report.nothing_to_do:
        say(console, nothing_to_do(report), "green")
        for note in report.stages[0].notes if report.stages else ():
            say(console, f"note: {note}", "yellow")
        return
    console.print(stage_table(report.stages))
    for note in dict.fromkeys(report.notes):
        say(console, f"note: {note}", "yellow")
    failures = [failure for stage in report.stages for failure in stage.failures]
    lost = sum(stage.dead + stage.failed for stage in report.stages)
    shown = show_failures(console, failures)
    if lost > shown:
        say(console, f"… and {counted(lost - shown, 'more document')}: {LISTED}")
    if report.error:
        console.print(fault(report.error, report.next_step or _AFTER_FAILURE))
    say(console, f"{report.outcome}: {statuses(report)}", _OUTCOMES[report.outcome])
    if report.outcome == "partial" and not failures:
        say(console, "penstock jobs --status dead shows what stands dead, penstock retry tries it again")


_AFTER_FAILURE = "mend the cause, then run the same again, or: penstock retry"


def show_lost(console: Console, lost: Lost, told: Collection[str]) -> None:
    """What was lost besides the runs, or at another's: all but the documents that reports have told of, then how many
    for which reason, also of those that are not named."""
    new = [failure for failure in lost.failures if failure.doc_id not in told]
    if not new:
        return
    shown = show_failures(console, new)
    many = Counter(why for doc_id, why in lost.reasons.items() if doc_id not in told)
    if many.total() > shown:
        say(console, f"… and {counted(many.total() - shown, 'more document')}: {LISTED}")
    say(console, ", ".join(f"{count:,} {status}: {reason}" for (status, reason), count in many.items()), "yellow")


def failures_told(rows: Iterable[FailedDocument]) -> list[Failure]:
    """The ledger's as a run's."""
    from penstock.runner import Failure

    return [Failure(r.source_id, r.doc_id, r.stage, r.status, r.reason, r.message, r.next_step) for r in rows]


def nothing_to_do(report: RunReport) -> str:
    """One line. That documents wait is something to do, though not for this run."""
    if report.statuses.get("waiting"):
        return statuses(report)
    if not report.documents:
        return "nothing to do: no documents were found there"
    if report.statuses.get("done", 0) == report.documents:
        many = report.documents > 1
        return f"nothing to do: {'all ' * many}{counted(report.documents, 'document')} {'are' if many else 'is'} done"
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


def show_failures(console: Console, failures: list[Failure], most: int = SHOWN_FAILURES) -> int:
    """A block for each thing that went wrong: who met it, stage and reason, then what was said and what helps.

    Answers how many of the failures were told of: of different things only the first `most` are.
    """
    from rich.padding import Padding
    from rich.text import Text

    alike: dict[tuple[str, ...], list[Failure]] = {}
    for failure in failures:
        about = (failure.stage, failure.status, failure.reason, failure.message, failure.next_step)
        alike.setdefault(about, []).append(failure)
    told = list(alike.values())[:most]
    for group in told:
        first = group[0]
        names = ", ".join(document_name(failure.source_id) for failure in group[:SHOWN_NAMES])
        more = f" and {counted(len(group) - SHOWN_NAMES, 'other')}" if len(group) > SHOWN_NAMES else ""
        head = (f"{first.status} at {first.stage}, {first.reason}", _STYLES.get(first.status, ""))
        console.print(Text.assemble((names, "bold"), more, "  ", head))
        console.print(Padding(text(first.message), (0, 0, 0, 4), expand=False))
        if first.next_step:
            console.print(Padding(text(f"next: {first.next_step}", "dim"), (0, 0, 0, 4), expand=False))
    return sum(map(len, told))
