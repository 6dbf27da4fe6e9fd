"""A folder of pipelines: each file on its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.errors import ConfigError, NotFound, UsageError
from penstock.pipelines.catalogue import StaticCatalogue
from penstock.pipelines.folder import PipelineSet, load_folder, route
from penstock.pipelines.policies import load_policies
from penstock.resilience.policy import Policy

GOOD = """
version: "1.0"
name: {name}
applicable_sources: [{sources}]
stages:
  - {{name: ingest, type: IngestStage}}
"""


class Folder:
    """A configuration folder under construction."""

    def __init__(self, path: Path, catalogue: StaticCatalogue) -> None:
        self.path = path
        self.catalogue = catalogue
        (path / "pipelines").mkdir()
        (path / "resilience.yaml").write_text("policies: {default: {}}")

    def add(self, file: str, name: str, sources: str = "files") -> Path:
        path = self.path / "pipelines" / file
        path.write_text(GOOD.format(name=name, sources=sources))
        return path

    def load(self) -> PipelineSet:
        return load_folder(self.path, self.catalogue, Policy)


@pytest.fixture
def folder(tmp_path: Path, catalogue: StaticCatalogue) -> Folder:
    return Folder(tmp_path, catalogue)


def test_a_broken_file_leaves_the_others_up(folder: Folder) -> None:
    folder.add("a.yaml", "a")
    folder.add("b.yml", "b")
    bad = folder.path / "pipelines/c.yaml"
    bad.write_text("stages: [")
    (folder.path / "pipelines/d.yaml").mkdir()
    (folder.path / "pipelines/.hidden.yaml").write_text("stages: [")
    (folder.path / "pipelines/notes.txt").write_text("stages: [")
    pipelines = folder.load()
    assert list(pipelines.loaded) == ["a", "b"]
    assert list(pipelines.broken) == [bad, folder.path / "pipelines/d.yaml"]


def test_the_second_file_of_a_name_is_the_broken_one(folder: Folder) -> None:
    first = folder.add("a.yaml", "same")
    second = folder.add("b.yaml", "same")
    third = folder.add("c.yaml", "re-use")
    fourth = folder.add("d.yaml", "re_use")
    pipelines = folder.load()
    assert {t.path for t in pipelines.loaded.values()} == {first, third}
    [problem] = pipelines.broken[second].problems
    assert (problem.line, problem.column) == (3, 7)
    assert str(first) in problem.message
    assert "Dagster can't tell" in pipelines.broken[fourth].problems[0].message


@pytest.mark.parametrize("copy", ["a copy.yaml", "z.yaml"])
def test_a_copied_file_takes_no_name_from_the_file_called_so(folder: Folder, copy: str) -> None:
    own, copied = folder.add("mine.yaml", "mine"), folder.add(copy, "mine")
    pipelines = folder.load()
    assert pipelines.named("mine").path == own
    assert str(own) in pipelines.broken[copied].problems[0].message
    assert pipelines.broken[copied].problems[0].file == str(copied)


def test_a_slip_in_one_policy_breaks_only_the_pipelines_that_name_it(folder: Folder) -> None:
    folder.add("a.yaml", "a")
    path = folder.add("b.yaml", "b")
    path.write_text(path.read_text().replace("IngestStage}", "IngestStage, policy: gentle}"))
    (folder.path / "resilience.yaml").write_text("policies:\n  default: {}\n  gentle: {max_attempts: 0}\n")
    pipelines = folder.load()
    assert list(pipelines.loaded) == ["a"]
    assert list(pipelines.broken) == [folder.path / "resilience.yaml", path]
    [problem] = pipelines.broken[path].problems
    assert problem.message.startswith("the policy 'gentle' can't be used: ")
    assert problem.fix == f"mend {folder.path / 'resilience.yaml'}:3:26"


def test_no_policy_file_is_said_once_and_in_each_pipeline(folder: Folder) -> None:
    folder.add("a.yaml", "a")
    (folder.path / "resilience.yaml").unlink()
    pipelines = folder.load()
    assert [error.problems[0].message for error in pipelines.broken.values()] == [
        "there is no such file",
        "the policy 'default' can't be used: there is no such file",
    ]


def test_a_folder_without_pipelines_is_not_found(tmp_path: Path, catalogue: StaticCatalogue) -> None:
    with pytest.raises(NotFound, match="no folder"):
        load_folder(tmp_path, catalogue, Policy)


def test_a_name_is_looked_up_with_a_hint(folder: Folder) -> None:
    folder.add("auto.yaml", "auto")
    (folder.path / "pipelines/bad.yaml").write_text("")
    pipelines = folder.load()
    assert pipelines.named("auto").name == "auto"
    with pytest.raises(NotFound) as missing:
        pipelines.named("atuo")
    assert missing.value.next_step == "did you mean 'auto'?"
    with pytest.raises(NotFound, match=r"bad\.yaml:1:1: the file is empty"):
        pipelines.named("bad")


def test_a_source_goes_to_the_pipeline_that_takes_it(folder: Folder) -> None:
    folder.add("a.yaml", "a", "openalex, files")
    folder.add("b.yaml", "b", "clinicaltrials")
    assert route(folder.load(), "files").name == "a"


def test_a_copied_pipeline_makes_only_requests_without_a_name_ambiguous(folder: Folder) -> None:
    folder.add("a.yaml", "auto")
    folder.add("b.yaml", "auto-v2")
    pipelines = folder.load()
    assert pipelines.named("auto-v2").name == "auto-v2"
    with pytest.raises(UsageError, match="several pipelines take the source 'files': auto, auto-v2"):
        route(pipelines, "files")


def test_a_source_nobody_takes_is_refused_with_a_hint(folder: Folder) -> None:
    folder.add("a.yaml", "a", "openalex")
    with pytest.raises(UsageError) as refusal:
        route(folder.load(), "openalx")
    assert "did you mean 'openalex'?" in refusal.value.next_step


def test_the_policies_load_as_they_are_printed(root: Path) -> None:
    policies = load_policies(root / "config/orchestration/resilience.yaml", Policy)
    assert sorted(policies) == ["default", "gpu-bound", "polite-api"]
    assert policies["polite-api"].rate_limit_per_second == 5.0
    assert policies["gpu-bound"].circuit_breaker is not None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty"),
        ("[]", "must be a mapping"),
        ("polices: {}", "unknown key 'polices'"),
        ("policies:", "'policies' must be a mapping"),
        ("policies: {a b: {}}", "'a b'"),
        ("policies: {a: 3}", "'a' must be a mapping, which 3 is not"),
        ("policies: {a: }", "'a' is empty"),
        ("policies: {a: {max_attemps: 3}}", "did you mean 'max_attempts'"),
        ("policies: {a: {}, a: {}}", "here twice"),
    ],
)
def test_a_wrong_policy_file_is_refused(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "resilience.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as refusal:
        load_policies(path, Policy)
    assert said in str(refusal.value)
