"""PDFs from the shell, in processes of their own: one follows, another parses, and either can be stopped."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import oracle
from house import until
from penstock.bootstrap import App, open_app
from penstock.ledger.gate_read import GateReader

GOOD = ("ketoacidosis-fourteen-cases.pdf", "liraglutide-regain.pdf", "pcos-treatment-review.pdf")
SCAN = "referral-letter-scan.pdf"
FOLLOW = ("run", "pdf-two-phase", "papers", "--follow")
WORK = ("worker", "pdf", "--engine", "cpu", "--slots", "1")


class Shell:
    """A folder with PDFs. `start` gives a process, `penstock` what one ended with and said."""

    def __init__(self, root: Path, folder: Path, *names: str) -> None:
        self.root, self.folder = root, folder
        (folder / "papers").mkdir(parents=True)
        self.add(*names)
        keep = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
        own = {"PENSTOCK_CONFIG": str(root / "config/orchestration"), "PENSTOCK_EMBEDDER": "none", "COLUMNS": "100"}
        self.environment = keep | own
        self.started: list[subprocess.Popen[str]] = []

    def add(self, *names: str) -> None:
        for name in names:
            shutil.copy(self.root / "examples-pdf" / name, self.folder / "papers")

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        self.started.append(
            subprocess.Popen(
                [sys.executable, "-m", "penstock", *arguments],
                cwd=self.folder,
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return self.started[-1]

    def penstock(self, *arguments: str) -> tuple[int, str, str]:
        return ended(self.start(*arguments))

    def app(self) -> App:
        return open_app(home=self.folder / ".penstock", config=self.root / "config/orchestration")

    def waiting(self) -> int:
        """How many wait for a worker."""
        if not (self.folder / ".penstock/ledger.db").exists():
            return 0
        with closing(self.app()) as app:
            return sum(queue.waiting for queue in GateReader(app.ledger.database).queues("default"))

    def workers(self) -> int:
        with closing(self.app()) as app:
            return app.ledger.workers.waiting_on("pdf_ir_ready")


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=180)
    return process.returncode, out, err


@pytest.fixture
def shell(root: Path, tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(root, tmp_path / "shell", *GOOD)
    yield shell
    for process in shell.started:
        if process.poll() is None:
            process.kill()
            process.communicate()


def test_one_follows_while_another_parses_and_outputs_are_those_of_a_resumed_run(
    shell: Shell, root: Path, tmp_path: Path
) -> None:
    follower = shell.start(*FOLLOW)
    until(lambda: shell.waiting() == len(GOOD), "the documents come to the gate")
    status, out, _ = shell.penstock(*WORK, "--once")
    assert (status, out.splitlines()[-1]) == (0, "3 documents parsed, 0 failed; 5 pages")
    status, out, err = ended(follower)
    assert status == 0, err
    assert "3 documents of pdf-two-phase wait for pdf_ir_ready" in err
    assert out.endswith("no document of pdf-two-phase waits\n")
    assert oracle.problems(shell.folder / ".penstock") == []

    first = shell.folder.rename(tmp_path / "first")
    again = Shell(root, shell.folder, *GOOD)  # in the same place: documents are known by where they lie
    for command in (("run", "pdf-two-phase", "papers"), (*WORK, "--once"), ("run", "pdf-two-phase", "--resume")):
        assert again.penstock(*command)[0] == 0
    assert oracle.digest(again.folder / ".penstock") == oracle.digest(first / ".penstock")


def test_who_follows_is_told_of_documents_that_failed_meanwhile(shell: Shell) -> None:
    shell.add(SCAN)
    follower = shell.start(*FOLLOW)
    until(lambda: shell.waiting() == len(GOOD) + 1, "the documents come to the gate")
    assert shell.penstock(*WORK, "--once")[0] == 3
    status, out, _ = ended(follower)
    assert status == 3
    told = out[out.rindex("complete: ") :]  # of the last run that took some on
    assert f"papers/{SCAN}  dead at pdf_gate, no-text-layer\n    no text layer" in told
    assert told.endswith("1 dead: no-text-layer\nno document of pdf-two-phase waits\n")
    assert oracle.problems(shell.folder / ".penstock") == []


def test_who_follows_can_be_stopped_and_the_documents_wait_on(shell: Shell) -> None:
    follower = shell.start(*FOLLOW)
    until(lambda: shell.waiting() == len(GOOD), "the documents come to the gate")
    assert follower.stderr is not None
    assert "wait for pdf_ir_ready" in follower.stderr.readline()
    follower.send_signal(signal.SIGINT)
    status, _, err = ended(follower)
    assert (status, err) == (130, "no longer followed (penstock run pdf-two-phase --follow)\n")
    assert shell.waiting() == len(GOOD)
    assert oracle.problems(shell.folder / ".penstock") == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_worker_that_waits_for_documents_can_be_stopped(shell: Shell, number: signal.Signals) -> None:
    shell.penstock("run", "auto", "papers")  # there is a ledger, and nothing for a worker
    worker = shell.start(*WORK)
    until(lambda: shell.workers() == 1, "the worker is there")
    worker.send_signal(number)
    status, out, err = ended(worker)
    assert (status, out.splitlines()[-1]) == (128 + number, "0 documents parsed, 0 failed; 0 pages")
    assert err == f"stopped by {number.name}\n"
    assert shell.workers() == 0
