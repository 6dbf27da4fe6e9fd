"""What CI does: Dagster's own commands, each a process of its own, and their exit statuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from .dagster_stack import ROOT, Stack


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return Stack(tmp_path)


def test_the_examples_go_through_auto_and_the_command_exits_0(tmp_path: Path) -> None:
    stack = Stack(tmp_path, config=ROOT / "config/orchestration")
    process = stack.execute("auto", {"request": {"paths": ["examples"]}})
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    app = stack.app()
    assert app.ledger.batches.batch(1).status == "complete"
    assert app.ledger.reports.statuses(1) == {"done": 35}
    app.close()
    with stack.instance() as instance:
        [run] = instance.get_runs()
    assert run.tags["penstock/outcome"] == "complete"


def test_a_folder_nothing_of_which_gets_through_exits_not_0_and_says_why_in_one_line(stack: Stack) -> None:
    stack.pipeline("small")
    folder = stack.documents("lost", "POISON", "POISON")
    process = stack.execute("small", {"request": {"paths": [str(folder)]}})
    output, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert f"chunk: not one of 2 documents got through; the first, {folder}/lost-0.md: there is poison in it" in output


def test_a_partial_run_exits_0_and_is_tagged(stack: Stack) -> None:
    stack.pipeline("small")
    folder = stack.documents("mixed", "fine", "POISON")
    process = stack.execute("small", {"request": {"paths": [str(folder)]}})
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    with stack.instance() as instance:
        [run] = instance.get_runs()
    assert run.tags["penstock/outcome"] == "partial"


@pytest.mark.full
def test_a_pipeline_edited_under_a_run_fails_the_next_op_that_is_a_process_of_its_own(stack: Stack) -> None:
    """The multiprocess executor reads the file for each op; what the run pinned is in the ledger."""
    stack.pipeline("small", more="executor: multiprocess")
    (stack.witness / "hold").touch()
    more = "executor: multiprocess"
    path = stack.pipeline("small", more=more)
    path.write_text(path.read_text() + "  - {name: embed, type: EmbedStage, use: none, depends_on: [chunk]}\n")
    folder = stack.documents("edited", "one")
    process = stack.execute("small", {"request": {"paths": [str(folder)]}})
    stack.until(lambda: (stack.witness / "held").exists(), "the chunker's first call")
    path.write_text(path.read_text().replace("use: witness", "use: witness, with: {size: 50}"))
    (stack.witness / "hold").unlink()
    output, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "pipeline 'small' was changed while this run was under way; chunk: size 200 → 50" in output
    assert len(stack.calls("edited")) == 1


@pytest.mark.full
def test_dg_launch_exits_0_when_the_run_succeeds_and_not_0_when_it_fails(stack: Stack) -> None:
    stack.pipeline("small")
    for text, good in (("fine", True), ("POISON", False)):
        folder = stack.documents(text.lower(), text)
        config = stack.folder / "run.yaml"
        config.write_text(f"request: {{paths: ['{folder}']}}")
        process = stack.command("dg", "launch", "-m", "penstock.definitions", "--job", "small", "-c", str(config))
        output, _ = process.communicate(timeout=120)
        assert (process.returncode == 0) is good, output


@pytest.mark.full
def test_real_pdfs_wait_at_the_gate_and_the_run_succeeds(tmp_path: Path, data: Path) -> None:
    stack = Stack(tmp_path, config=ROOT / "config/orchestration")
    paths = [str(data / "pdf" / name) for name in ("ocrmypdf_acroform.pdf", "pdfminer_base.pdf")]
    process = stack.execute("pdf_two_phase", {"request": {"paths": paths}})
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert "2 documents wait for pdf_ir_ready" in output
    assert output.count("STEP_SKIPPED") == 5
    app = stack.app()
    assert app.ledger.reports.statuses(1) == {"waiting": 2}
    app.close()
