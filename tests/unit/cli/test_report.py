"""A report says each thing that went wrong once, with whom it met and what helps."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from penstock.cli.report import report_json, show_report
from penstock.runner import Failure, RunReport, StageReport


def failure(name: str, message: str = "503", stage: str = "embed") -> Failure:
    return Failure(name, f"id-{name}", stage, "failed", "outage", message, "penstock retry")


def report(failures: list[Failure], **values: str) -> RunReport:
    stage = StageReport("embed", failed=len(failures), failures=failures)
    count = len(failures)
    return RunReport(values.pop("outcome", "partial"), count, {"failed": count}, [stage], **values)  # type: ignore[arg-type]


def shown(what: RunReport) -> str:
    out = StringIO()
    show_report(Console(file=out, width=120, highlight=False, markup=False), what)
    return out.getvalue()


def test_the_same_failure_of_many_documents_is_told_once() -> None:
    said = shown(report([failure(f"{n}.txt") for n in range(50)] + [failure("other.txt", "404")]))
    assert said.count("    503") == 1
    assert "0.txt, 1.txt, 2.txt and 47 others  failed at embed, outage" in said
    assert "other.txt  failed at embed, outage" in said
    assert "more document" not in said


def test_a_fourth_document_is_the_other_one() -> None:
    assert "and 1 other  failed" in shown(report([failure(f"{n}.txt") for n in range(4)]))


def test_of_many_different_failures_the_first_are_told() -> None:
    assert "… and 1 more document:" in shown(report([failure(f"{n}.txt", f"message {n}") for n in range(21)]))
    assert "… and 5 more documents:" in shown(report([failure(f"{n}.txt", f"message {n}") for n in range(25)]))


def test_an_error_is_told_with_its_own_advice() -> None:
    failed = report([failure("0.txt")], outcome="failed", error="embed: 401", next_step="check the key")
    assert "embed: 401 (check the key)" in shown(failed)
    assert report_json("auto", failed)["next_step"] == "check the key"
