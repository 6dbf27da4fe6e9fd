"""`penstock run` and `penstock submit`."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from command import Penstock


def test_a_run_ends_with_its_stages_and_how_it_went(penstock: Penstock, good: Path) -> None:
    said = penstock("run", "auto", "notes")
    assert said.status == 0
    assert "kg" in said.out
    assert "complete: 2 documents: 2 done" in said.out
    assert "\x1b" not in said.out
    assert max(len(line) for line in said.out.splitlines() if not line.startswith("note: ")) <= 80
    assert said.err == ""


def test_the_second_run_says_that_there_is_nothing_to_do(penstock: Penstock, good: Path) -> None:
    penstock("run", "auto", "notes")
    again = penstock("run", "auto", "notes")
    assert (again.status, again.out) == (0, "nothing to do: all 2 documents are done\n")


def test_a_run_over_nothing_says_so(penstock: Penstock, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    said = penstock("run", "auto", "empty")
    assert (said.status, said.out) == (0, "nothing to do: no documents were found there\n")


def test_a_document_that_does_not_get_through_is_named_with_reason_and_next_step(
    penstock: Penstock, notes: Path
) -> None:
    said = penstock("run", "auto", "notes")
    assert said.status == 3
    assert "notes/c.json  dead at parse, truncated" in said.out
    assert "next: " in said.out
    assert "partial: 3 documents: 2 done, 1 dead" in said.out
    again = penstock("run", "auto", "notes")
    assert again.status == 3
    assert "penstock retry" in again.out


def test_a_run_in_which_nothing_gets_through_has_failed(penstock: Penstock, notes: Path) -> None:
    said = penstock("run", "auto", "notes/c.json")
    assert said.status == 1
    assert "not one of 1 document got through" in said.out
    assert "failed: 1 document" in said.out


def test_a_report_as_json_is_all_that_stdout_holds(penstock: Penstock, notes: Path) -> None:
    said = penstock("run", "auto", "notes", "--json")
    assert said.status == 3
    assert said.json["pipeline"] == "auto"
    assert said.json["outcome"] == "partial"
    assert said.json["statuses"] == {"dead": 1, "done": 2}
    (failure,) = next(stage for stage in said.json["stages"] if stage["stage"] == "parse")["failures"]
    assert (failure["source_id"], failure["reason"]) == (str(notes / "c.json"), "truncated")
    assert said.json["nothing_to_do"] is False


def test_a_name_in_a_document_can_neither_style_the_output_nor_steer_the_terminal(
    penstock: Penstock, tmp_path: Path
) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / "[red]x[bold].json").write_text('{"results": [{"set_id": "x')
    (folder / "esc\x1b[2J.json").write_text('{"results": [{"set_id": "x')
    (folder / "fine.md").write_text("Some text.\n")
    said = penstock("run", "auto", "odd")
    assert "[red]x[bold].json" in said.out
    assert "\x1b" not in said.out


@pytest.mark.parametrize(
    ("arguments", "message", "fix"),
    [
        (("run", "autp", "notes"), "there is no pipeline 'autp'", "did you mean 'auto'?"),
        (("run", "notes"), "'notes' is a path; the pipeline comes first", "penstock run auto notes"),
        (("run", "auto", "nowhere"), "no file or folder answers to", "check the path"),
        (("run", "auto"), "say what to run on", "penstock run PIPELINE PATH…"),
        (("run", "auto", "--source", "fils", "--query", "x=1"), "there is no source 'fils'", "did you mean 'files'?"),
        (("run", "auto", "--query", "paths"), "'paths'", "NAME=VALUE"),
        (("run", "auto", "--query", "{oops"), "--query is no JSON", ""),
        (("run", "auto", "--query", "[1]"), "'[1]'", "a JSON object"),
        (("run", "auto", "notes", "--query", "path=x"), "unknown option 'path'", "did you mean 'paths'?"),
        (("run", "auto", "--batch", "99"), "no batch 99", "penstock jobs --batches"),
        (("run", "auto", "notes", "--batch", "1"), "a batch has its documents already", ""),
        (("submit", "auto", "nowhere"), "no file or folder answers to", ""),
    ],
)
def test_a_mistake_is_one_line_with_its_fix(
    penstock: Penstock, good: Path, arguments: tuple[str, ...], message: str, fix: str
) -> None:
    said = penstock(*arguments)
    assert said.status == 2
    assert said.out == ""
    assert message in said.err
    assert fix in said.err
    assert said.err.count("\n") == 1


def test_a_mistake_leaves_no_submission_behind(penstock: Penstock, good: Path) -> None:
    penstock("run", "auto", "nowhere")
    assert penstock("jobs", "--batches", "--json").json["total"] == 0


def test_a_broken_pipeline_is_refused_with_all_its_problems(
    penstock: Penstock, root: Path, good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = shutil.copytree(root / "config/orchestration", tmp_path / "config")
    broken = (config / "pipelines/auto.yaml").read_text().replace("type: ChunkStage", "type: ChonkStage")
    (config / "pipelines/auto.yaml").write_text(broken)
    monkeypatch.setenv("PENSTOCK_CONFIG", str(config))
    said = penstock("run", "auto", "notes")
    assert said.status == 2
    assert "auto.yaml:18:11: " in said.err
    assert "fix: did you mean 'ChunkStage'?" in said.err


def test_queries_may_be_names_and_values_or_json(penstock: Penstock, good: Path) -> None:
    assert penstock("run", "auto", "--query", "paths=notes/a.md", "-q", "paths=notes/b.txt").status == 0
    assert penstock("run", "auto", "--query", '{"paths": ["notes"]}').out.startswith("nothing to do: all 2")


@contextmanager
def interrupting(*_: object, **__: object) -> Iterator[Any]:
    """Progress of a run that a person stops as soon as anything has been done."""

    class Impatient:
        def advanced(self, stage: str, done: int, total: int | None) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

    yield Impatient()


def test_a_stopped_run_says_so_and_the_next_goes_on(
    penstock: Penstock, good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("penstock.cli.run.progress", interrupting)
        said = penstock("run", "auto", "notes")
    assert said.status == 128 + signal.SIGTERM
    assert said.err.startswith("stopped by SIGTERM")
    assert said.err.count("\n") == 1
    assert penstock("run", "auto", "notes").status == 0


def test_submit_queues_a_batch_that_can_also_be_run_by_hand(penstock: Penstock, good: Path) -> None:
    said = penstock("submit", "auto", "notes", "--key", "today")
    assert said.status == 0
    assert "submission 1 is queued for pipeline auto" in said.out
    assert "dagster dev -w workspace.yaml" in said.out
    again = penstock("submit", "auto", "notes", "--key", "today")
    assert (again.status, "was there already" in again.out) == (0, True)
    other = penstock("submit", "auto", "notes/a.md", "--key", "today")
    assert (other.status, "was used for another request" in other.err) == (2, True)
    assert penstock("run", "auto", "--batch", "1").out.endswith("complete: 2 documents: 2 done\n")


def test_submit_keeps_whole_paths_since_dagster_may_run_elsewhere(penstock: Penstock, good: Path) -> None:
    said = penstock("submit", "auto", "notes", "--batch-size", "7", "--json")
    assert said.json["submission"]["request"] == {"paths": [str(good)]}
    assert said.json["submission"]["batch_size"] == 7
    assert said.json["batch"]["status"] == "queued"
    assert said.json["new"] is True
