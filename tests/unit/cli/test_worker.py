"""What a worker says of its work, and who is shown to be at work."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from command import PAPERS, Penstock
from pdfs import IMAGE, pdf, text
from penstock.cli.watching import Told


@pytest.fixture
def stopped(work: Penstock, monkeypatch: pytest.MonkeyPatch) -> Penstock:
    """A worker that is asked to stop while it is at its first document, which it finishes once it has said so."""
    began, finishing, said = Told.began, Told.finishing, threading.Event()

    def begins(told: Told, source_id: str) -> None:
        began(told, source_id)
        said.clear()
        os.kill(os.getpid(), signal.SIGTERM)
        assert said.wait(60)

    def finishes(told: Told, seconds: float) -> None:
        finishing(told, seconds)
        said.set()

    monkeypatch.setattr(Told, "began", begins)
    monkeypatch.setattr(Told, "finishing", finishes)
    return work


def test_a_worker_that_is_stopped_says_that_it_finishes_what_is_under_way(waiting: Penstock, stopped: Penstock) -> None:
    said = stopped()
    assert (said.status, said.err.splitlines()) == (
        128 + signal.SIGTERM,
        [
            "1 document is under way: it has 20 s to finish (once more: it is given back at once)",
            "stopped by SIGTERM",
        ],
    )
    assert "\n1 document parsed, 0 failed; " in said.out


def test_pages_without_text_are_named_by_the_worker_and_by_explain(
    penstock: Penstock, work: Penstock, tmp_path: Path
) -> None:
    shown, folder = text("Metformin lowers glucose in type 2 diabetes."), tmp_path / "papers"
    folder.mkdir()
    (folder / "a.pdf").write_bytes(pdf(shown, IMAGE, IMAGE, shown, shown, shown, IMAGE, shown))
    (folder / "b.pdf").write_bytes(pdf(shown))
    penstock("run", "pdf-two-phase", "papers")
    assert penstock("explain", "papers/a.pdf", "--json").json["pages"] is None, "nobody has counted them"
    said = work()
    assert "papers/a.pdf  8 pages, no text on p. 2–3, 7, " in said.out
    assert "papers/b.pdf  1 page, " in said.out
    assert said.out.endswith("2 documents parsed, 0 failed; 9 pages, 3 of them without text\n")
    penstock("run", "pdf-two-phase", "--resume")
    told = penstock("explain", "papers/a.pdf", "--json").json
    assert (told["pages"], told["missing_pages"]) == (8, [2, 3, 7])
    assert "pages 8, no text on p. 2–3, 7 " in " ".join(penstock("explain", "papers/a.pdf").out.split())
    assert " pages 1 " in " ".join(penstock("explain", "papers/b.pdf").out.split())


def test_those_whose_time_is_up_are_told_and_counted(
    penstock: Penstock, work: Penstock, papers: Path, edit: Callable[[str, str], None]
) -> None:
    edit("type: Gate\n", "type: Gate\n    timeout: 1\n")
    penstock("run", "pdf-two-phase", "papers")
    time.sleep(1.1)
    said = work()
    assert said.status == 3
    assert said.out.splitlines()[1:] == [
        "2 documents failed, gate-timeout: longer at the gate than it allows",
        "0 documents parsed, 2 failed; 0 pages",
    ]


def test_a_worker_serves_all_tenants_and_status_counts_what_waits_of_each(waiting: Penstock, work: Penstock) -> None:
    waiting("run", "pdf-two-phase", f"papers/{PAPERS[0]}", "--tenant", "other")
    theirs = "pdf-two-phase of tenant other: 1 waits for pdf_ir_ready, 0 are ready for a run"
    assert waiting("worker", "status").out.splitlines()[-2:] == [
        "pdf-two-phase: 2 wait for pdf_ir_ready, 0 are ready for a run",
        theirs,
    ]
    assert waiting("worker", "status", "--tenant", "other").out.splitlines()[1:] == [theirs]
    assert waiting("worker", "status", "--tenant", "third").out.endswith("\nno document of tenant third waits\n")
    queues = waiting("worker", "status", "--json").json["queues"]
    assert [(queue["tenant"], queue["waiting"]) for queue in queues] == [("default", 2), ("other", 1)]
    assert "3 documents parsed, 0 failed" in work().out
