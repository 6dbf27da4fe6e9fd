"""`penstock pipelines` as a person meets it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from penstock.cli.pipelines import app


@pytest.fixture
def folder(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the configuration, as the current one."""
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "resilience.yaml").write_bytes((root / "config/orchestration/resilience.yaml").read_bytes())
    seed = (root / "config/orchestration/pipelines/auto.yaml").read_bytes()
    (tmp_path / "pipelines/auto.yaml").write_bytes(seed)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENSTOCK_CONFIG", ".")
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_check_passes_what_is_right_and_warns_of_unknown_sources(folder: Path) -> None:
    auto = folder / "pipelines/auto.yaml"
    auto.write_text(auto.read_text().replace("[clinicaltrials", "[clinicaltrails"))
    result = run("check")
    assert result.exit_code == 0
    assert "pipelines/auto.yaml: ok, pipeline 'auto', 7 stages" in result.output
    assert (
        "pipelines/auto.yaml:5:22: warning: no installed plugin provides the source 'clinicaltrails'" in result.output
    )


def test_check_prints_each_problem_on_a_line_of_its_own_with_its_fix(folder: Path) -> None:
    long = "[bold]" + "x" * 200
    (folder / "pipelines/bad.yaml").write_text(f'version: "1.0"\nname: bad\n"{long}": 1\nstages: []\n')
    result = run("check")
    assert result.exit_code == 2
    assert f"pipelines/bad.yaml:3:1: unknown key '{long}'\n    fix: one of: " in result.output
    assert "pipelines/bad.yaml:4:9: 'stages' is empty\n" in result.output
    assert "auto.yaml: ok" in result.output


def test_check_takes_files_of_anywhere(folder: Path) -> None:
    (folder / "draft.yaml").write_text("")
    assert run("check", "pipelines/auto.yaml").exit_code == 0
    result = run("check", "draft.yaml", "pipelines/auto.yaml", "--json")
    assert result.exit_code == 2
    said = json.loads(result.output)
    assert said["ok"] == {"pipelines/auto.yaml": "auto"}
    assert said["problems"][0]["file"] == "draft.yaml"
    assert said["problems"][0]["line"] == 1


@pytest.mark.parametrize(
    ("executor", "said"),
    [
        ("k8s", "auto.yaml:1:11: executor 'k8s' needs the package dagster-k8s, which is not installed\n"
         "    fix: pip install dagster-k8s\n"),
        ("{multiprocess: {max_concurent: 2}}", "auto.yaml:1:27: executor 'multiprocess' has no option 'max_concurent'\n"
         "    fix: did you mean 'max_concurrent'?\n"),
    ],
)  # fmt: skip
def test_check_and_list_refuse_the_executor_that_dagster_refuses(folder: Path, executor: str, said: str) -> None:
    auto = folder / "pipelines/auto.yaml"
    auto.write_text(f"executor: {executor}\n{auto.read_text()}")
    for arguments in ((), ("pipelines/auto.yaml",)):
        result = run("check", *arguments)
        assert result.exit_code == 2
        assert f"pipelines/{said}" in result.output
        assert "ok" not in result.output
    assert "auto.yaml is broken: 1 problem" in run("list").output


def test_an_executor_that_dagster_takes_passes(folder: Path) -> None:
    auto = folder / "pipelines/auto.yaml"
    auto.write_text(f"executor: {{multiprocess: {{max_concurrent: 2}}}}\n{auto.read_text()}")
    assert run("check").exit_code == 0


def test_a_schedule_that_asks_for_nothing_is_warned_of(folder: Path) -> None:
    auto = folder / "pipelines/auto.yaml"
    auto.write_text(f'schedule: "@daily"\n{auto.read_text()}')
    result = run("check")
    assert result.exit_code == 0
    assert "auto.yaml:1:1: warning: the schedule asks for nothing, so each start fails\n    fix: " in result.output


def test_check_of_a_broken_policy_file_fails(folder: Path) -> None:
    (folder / "resilience.yaml").write_text("policies: {default: {max_attempts: no}}")
    result = run("check", "pipelines/auto.yaml")
    assert result.exit_code == 2
    assert "resilience.yaml:1:36: 'max_attempts' must be a whole number" in result.output


def test_show_draws_stages_and_what_flows(folder: Path) -> None:
    result = run("show", "auto")
    assert result.exit_code == 0
    assert "●  chunk    ChunkStage: sentences, policy default" in result.output
    assert "Document from parse, list[Chunk] from chunk, Vectors from embed → IndexReceipt" in result.output


def test_show_as_json_has_every_stage(folder: Path) -> None:
    said = json.loads(run("show", "auto", "--json").output)
    assert [stage["name"] for stage in said["stages"]][:2] == ["ingest", "parse"]
    assert said["stages"][1]["inputs"] == {"payload": "ingest"}


def test_show_of_a_broken_pipeline_says_what_is_wrong(folder: Path) -> None:
    (folder / "pipelines/bad.yaml").write_text("")
    result = run("show", "bad")
    assert result.exit_code == 2
    assert "bad.yaml:1:1: the file is empty" in result.output


def test_list_names_the_broken_too(folder: Path) -> None:
    (folder / "pipelines/bad.yaml").write_text("")
    result = run("list")
    assert result.exit_code == 0
    assert "auto" in result.output
    assert "bad.yaml is broken: 1 problem;" in result.output
    said = json.loads(run("list", "--json").output)
    assert [pipeline["name"] for pipeline in said["pipelines"]] == ["auto"]
    assert list(said["broken"]) == ["pipelines/bad.yaml"]


def test_schema_prints_the_schema() -> None:
    assert json.loads(run("schema").output)["title"] == "Penstock pipeline"


def test_importing_the_commands_imports_nothing_heavy(root: Path) -> None:
    heavy = ("dagster", "haystack", "numpy", "yaml")
    code = f"import sys, penstock.cli.pipelines; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root / "src")
    assert done.stdout.strip() == "[]"
