"""A pipeline with a gate, from the command line: what waits, who works on it, and going on."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select

from command import PAPERS, Penstock
from flip import GateWorker
from penstock.bootstrap import open_app
from penstock.cli.screen import moment
from penstock.cli.watching import Told
from penstock.ledger.schema import RUNNING, stage_states

SCAN = "referral-letter-scan.pdf"
NEXT = "next: penstock worker pdf; then penstock run pdf-two-phase --resume (--follow: stays until nothing waits)\n"
NOBODY = "2 documents of pdf-two-phase wait for pdf_ir_ready: no worker is there, start one with: penstock worker pdf\n"


def add(root: Path, papers: Path, name: str) -> None:
    shutil.copy(root / "examples-pdf" / name, papers)


def test_a_run_stops_at_the_gate_and_says_how_many_wait_for_what_and_what_to_start(
    penstock: Penstock, papers: Path
) -> None:
    said = penstock("run", "pdf-two-phase", "papers")
    assert said.status == 0
    assert "2 documents wait for pdf_ir_ready" in said.out
    assert said.out.endswith(f"complete: 2 documents: 2 waiting\n{NEXT}")
    again = penstock("run", "pdf-two-phase", "papers")
    assert (again.status, again.out.endswith(f"2 documents: 2 waiting\n{NEXT}")) == (0, True)


def test_with_nothing_ready_resume_is_one_line_that_says_how_many_wait(waiting: Penstock) -> None:
    said = waiting("run", "pdf-two-phase", "--resume")
    assert (said.status, said.out, said.err) == (0, NOBODY, "")
    found = waiting("run", "pdf-two-phase", "--resume", "--json").json
    assert found["runs"] == []
    assert found["queues"] == {"pdf_ir_ready": {"waiting": 2, "ready": 0}}


def test_with_nothing_at_the_gate_it_says_so(penstock: Penstock) -> None:
    for option in ("--resume", "--follow"):
        said = penstock("run", "pdf-two-phase", option)
        assert (said.status, said.out) == (0, "no document of pdf-two-phase waits\n")


def test_what_a_worker_is_through_with_goes_on(waiting: Penstock, work: Penstock) -> None:
    parsed = work()
    assert parsed.status == 0
    assert "papers/ketoacidosis-fourteen-cases.pdf  2 pages, " in parsed.out
    assert parsed.out.endswith("2 documents parsed, 0 failed; 3 pages\n")
    assert waiting("run", "pdf-two-phase", "papers").out.count("complete: 2 documents: 2 done") == 1, "it takes them on"
    assert waiting("run", "pdf-two-phase", "--resume").out == "no document of pdf-two-phase waits\n"


def test_resume_takes_what_is_ready_and_never_waits_for_the_others(
    waiting: Penstock, work: Penstock, root: Path, papers: Path
) -> None:
    work()
    add(root, papers, "liraglutide-regain.pdf")
    listed = waiting("run", "pdf-two-phase", "papers/liraglutide-regain.pdf")
    assert "1 waiting" in listed.out
    assert "then penstock run pdf-two-phase --resume" in listed.out
    said = waiting("run", "pdf-two-phase", "--resume")
    assert said.status == 0
    assert "complete: 2 documents: 2 done\n" in said.out
    assert said.out.endswith("1 document of pdf-two-phase waits for pdf_ir_ready: no worker is there, "
                             "start one with: penstock worker pdf\n")  # fmt: skip


def test_ready_ones_are_told_apart_from_those_that_wait(waiting: Penstock, work: Penstock) -> None:
    jobs = waiting("jobs", "--waiting", "--json").json["jobs"]
    assert [(job["at_gate"]["field"], job["at_gate"]["ready"]) for job in jobs] == [("pdf_ir_ready", False)] * 2
    shown = waiting("jobs", "--waiting").out
    assert shown.count("nobody is at it") == 2
    work()
    assert waiting("jobs", "--status", "waiting").out.count("ready: a run") == 2
    assert "2 are ready for a run" in waiting("worker", "status").out
    waiting("run", "pdf-two-phase", "--resume")
    assert waiting("jobs", "--waiting").out == "none\n"
    assert waiting("jobs", "--json").json["jobs"][0]["at_gate"] is None


def test_follow_goes_on_with_what_is_ready_and_ends_when_nothing_waits(
    waiting: Penstock, work: Penstock, papers: Path
) -> None:
    work()
    said = waiting("run", "pdf-two-phase", "papers", "--follow", "--json")
    assert said.status == 0
    assert [run["outcome"] for run in said.json["runs"]] == ["complete"]
    assert said.json["queues"] == {}


def test_documents_that_fail_in_the_worker_are_dead_and_wait_no_more(
    penstock: Penstock, work: Penstock, root: Path, papers: Path
) -> None:
    add(root, papers, SCAN)
    penstock("run", "pdf-two-phase", "papers")
    parsed = work()
    assert parsed.status == 3
    assert parsed.out.startswith("engine cpu 2, 1 slot\n")
    assert f"papers/{SCAN}  failed, no-text-layer: no text layer" in parsed.out
    assert parsed.out.endswith("2 documents parsed, 1 failed; 3 pages\n")
    assert penstock("run", "pdf-two-phase", "--follow").out.endswith(
        "1 dead: no-text-layer\nno document of pdf-two-phase waits\n"
    )
    assert penstock("run", "pdf-two-phase", "--follow").status == 0, "it is told once"
    (dead,) = penstock("jobs", "--status", "dead", "--json").json["jobs"]
    assert (dead["current_stage"], dead["reason"]) == ("pdf_gate", "no-text-layer")
    shown = penstock("jobs", "--status", "dead").out
    assert f"papers/{SCAN}  dead at pdf_gate, no-text-layer\n    no text layer" in shown
    assert "    next: " in shown
    again = penstock("retry", "--reason", "no-text-layer")
    assert again.status == 0
    assert again.out.endswith(f"\n1 document: 1 waiting\n{NEXT}"), "there is something to do"


def test_a_document_larger_than_was_asked_for_says_which_option_takes_it(waiting: Penstock, work: Penstock) -> None:
    assert "2 pages, more than 1" in work("--max-pages", "1").out
    shown = " ".join(waiting("jobs", "--status", "dead").out.split())
    assert "next: start penstock worker pdf with a larger --max-pages, then: penstock retry --reason too-large" in shown
    waiting("retry", "--reason", "too-large")
    assert work("--max-pages", "2", "--max-mb", "1").out.endswith("1 document parsed, 0 failed; 2 pages\n")


def test_a_worker_that_lost_its_lease_says_that_another_took_over(
    waiting: Penstock, work: Penstock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its claim was free again before it was through, and another worker was faster."""
    began = Told.began

    def overtaken(told: Told, source_id: str) -> None:
        began(told, source_id)
        monkeypatch.setattr(Told, "began", began)
        with closing(open_app()) as other:
            with other.ledger.database.read() as connection:
                runner = connection.execute(select(stage_states.c.runner_id).where(RUNNING)).scalar_one()
            other.ledger.leases.end(runner)
            GateWorker(other).flip()

    monkeypatch.setattr(Told, "began", overtaken)
    said = work()
    assert said.status == 0
    assert said.out.count("  left: it was cancelled or replaced, or another worker has it") == 1
    assert "1 document parsed, 0 failed, 1 left; " in said.out
    assert "complete: 2 documents: 2 done\n" in waiting("run", "pdf-two-phase", "--resume").out


@pytest.fixture
def timed(penstock: Penstock, edit: Callable[[str, str], None]) -> Callable[[str], Penstock]:
    """With a timeout at the gate."""

    def timed(timeout: str) -> Penstock:
        edit("type: Gate\n", f"type: Gate\n    timeout: {timeout}\n")
        return penstock

    return timed


@pytest.fixture
def impatient(timed: Callable[[str], Penstock]) -> Penstock:
    """A gate at which nothing may wait for longer than a second."""
    return timed("1")


def test_until_when_a_document_may_wait_is_shown(timed: Callable[[str], Penstock], papers: Path) -> None:
    penstock = timed("36h")
    penstock("run", "pdf-two-phase", "papers")
    gates = [job["at_gate"] for job in penstock("jobs", "--waiting", "--json").json["jobs"]]
    assert {gate["until"] - gate["since"] for gate in gates} == {36 * 3_600_000}
    shown = penstock("jobs", "--waiting").out
    assert max(map(len, shown.splitlines())) <= 80
    assert {moment(gate["until"])[:16] in shown for gate in gates} == {True}
    told = penstock("explain", f"papers/{PAPERS[0]}").out
    assert any(f", until {moment(gate['until'])} at most" in " ".join(told.split()) for gate in gates)


def test_a_gate_without_a_timeout_has_no_such_column(waiting: Penstock) -> None:
    assert "until" not in waiting("jobs", "--waiting").out
    assert ", until " not in waiting("explain", f"papers/{PAPERS[0]}").out


def test_a_wait_that_the_gate_ends_counts_as_a_failure(impatient: Penstock, papers: Path) -> None:
    said = impatient("run", "pdf-two-phase", "papers", "--follow", "--json")
    assert said.status == 3
    assert said.json["queues"] == {}
    assert [lost["reason"] for lost in said.json["lost"]] == ["gate-timeout"] * 2
    reasons = {job["reason"] for job in impatient("jobs", "--status", "failed", "--json").json["jobs"]}
    assert reasons == {"gate-timeout"}


def test_resume_tells_of_those_whose_time_is_up(impatient: Penstock, papers: Path) -> None:
    impatient("run", "pdf-two-phase", "papers")
    time.sleep(1.1)
    said = impatient("run", "pdf-two-phase", "--resume")
    assert said.status == 3
    assert "failed at pdf_gate, gate-timeout\n" in said.out
    assert "next: start a worker (penstock worker pdf), then: penstock retry --reason gate-timeout" in " ".join(
        said.out.split()
    )
    assert said.out.endswith("2 failed: gate-timeout\nno document of pdf-two-phase waits\n")
    assert impatient("run", "pdf-two-phase", "--resume").status == 0, "it is told once"


def test_following_says_no_line_twice(impatient: Penstock, papers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.cli.resume.LINE_SECONDS", 0.0)
    monkeypatch.setattr("penstock.cli.resume.LOOK_SECONDS", 0.05)
    assert impatient("run", "pdf-two-phase", "papers", "--follow").err.count(NOBODY) == 1


MISTAKES = (
    (("run", "auto", "--resume"), "pipeline 'auto' has no gate: nothing of it waits (penstock run auto PATH…)"),
    (("run", "auto", "--follow"), "pipeline 'auto' has no gate"),
    (
        ("run", "pdf-two-phase", "papers", "--resume"),
        "--resume lists nothing: leave out PATH… (or leave out --resume: penstock run pdf-two-phase …)",
    ),
    (("run", "pdf-two-phase", "--resume", "--full"), "--resume lists nothing: leave out --full"),
    (("run", "pdf-two-phase", "--follow", "--retire"), "--follow without a PATH lists nothing: leave out --retire"),
    (("run", "pdf-two-phase", "--resume", "--batch", "1"), "--resume lists nothing: leave out --batch"),
    (("worker", "pdf", "--engine", "cup"), "no engine is called 'cup' (did you mean 'cpu'?)"),
    (("worker", "pdf", "--engine", "cpu", "--url", "http://x"), "--url is for mineru-http, not for the engine cpu"),
    (("worker", "pdf", "--engine", "cpu", "--tier", "basic"), "--tier is for mineru and mineru-http"),
    (("worker", "pdf", "--engine", "mineru-http"), "which MinerU server? (--url http://HOST:PORT, or set PENSTOCK_"),
    (("worker", "pdf", "--engine", "cpu", "--no-cpu"), "--cpu and --no-cpu are for the engine auto, not for cpu"),
    (
        ("worker", "pdf", "--engine", "mineru-http", "--url", "notaurl"),
        "engine mineru-http: url: must be like http://host:8000",
    ),
    (("worker", "pdf", "--engine", "mineru", "--slots", "2"), "a GPU takes one document at a time"),
)


def test_a_mistake_is_one_line_with_its_fix(penstock: Penstock, papers: Path) -> None:
    for arguments, message in MISTAKES:
        said = penstock(*arguments)
        assert (said.status, said.out, said.err.count("\n")) == (2, "", 1), arguments
        assert said.err.startswith(message), arguments


def test_without_a_gpu_auto_takes_the_cpu_where_that_is_allowed(
    waiting: Penstock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no nvidia-smi
    refused = waiting("worker", "pdf", "--no-cpu", "--once")
    assert (refused.status, refused.err.count("\n")) == (1, 1)
    assert refused.err.startswith("no usable GPU: nvidia-smi is not there")
    assert refused.err.endswith("the CPU engine is not allowed (mend that, or leave out --no-cpu)\n")
    monkeypatch.setenv("PENSTOCK_PDF_CPU", "false")
    by_setting = waiting("worker", "pdf", "--once")
    assert by_setting.status == 1
    assert by_setting.err.endswith("not allowed (mend that, or unset PENSTOCK_PDF_CPU)\n")
    assert "2 documents parsed" in waiting("worker", "pdf", "--cpu", "--slots", "1", "--once").out


def test_a_server_is_asked_before_anything_waits(penstock: Penstock, good: Path) -> None:
    penstock("run", "auto", "notes")
    said = penstock("worker", "pdf", "--engine", "mineru-http", "--url", "http://127.0.0.1:9", "--once")
    assert (said.status, said.out, said.err.count("\n")) == (1, "", 1)


def test_an_engine_that_cant_work_is_one_line_and_the_documents_wait(waiting: Penstock) -> None:
    url = "http://127.0.0.1:9"
    said = waiting("worker", "pdf", "--engine", "mineru-http", "--url", url, "--once")
    assert (said.status, said.out, said.err.count("\n")) == (1, "", 1)
    assert said.err.startswith(f"MinerU at {url} doesn't answer")
    assert waiting("worker", "status", "--json").json["queues"][0]["waiting"] == 2


def test_who_works_is_shown_with_how_fast(waiting: Penstock, work: Penstock) -> None:
    none = waiting("worker", "status").out
    assert none.startswith("no worker is there: penstock worker pdf starts one\n")
    assert "pdf-two-phase: 2 wait for pdf_ir_ready, 0 are ready for a run" in none
    work()
    (row,) = waiting("worker", "status", "--all", "--json").json["workers"]
    assert (row["engine"], row["documents"], row["failures"], row["pages"]) == ("cpu 2", 2, 0, 3)
    assert row["pages_per_second"] > 0
    assert "gone" in waiting("worker", "status", "--all").out


def test_a_worker_makes_no_ledger(penstock: Penstock, tmp_path: Path) -> None:
    for command in (("pdf", "--engine", "cpu", "--once"), ("status",), ("status", "--json")):
        said = penstock("worker", *command)
        assert (said.status, said.out, said.err.count("\n")) == (2, "", 1), command
        assert said.err.startswith("no ledger at .penstock/ledger.db yet"), command
    assert not list(tmp_path.iterdir())
