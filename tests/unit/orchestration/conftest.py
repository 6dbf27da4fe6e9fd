"""A project of its own for each test: configuration, data, ledger, and Dagster's instance in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dagster import DagsterEvent, DagsterInstance, Definitions, ExecuteInProcessResult

from penstock.bootstrap import App, open_app
from penstock.orchestration.build import build_definitions

PLUGIN = Path(__file__).parents[2] / "acceptance" / "dagster_plugin"

POLICIES = """
policies:
  default: {max_attempts: 1, backoff_strategy: none, timeout_seconds: 30}
  gpu-bound: {max_attempts: 1, backoff_strategy: none, timeout_seconds: 60}
  polite-api: {max_attempts: 1, backoff_strategy: none, timeout_seconds: 10}
"""

SMALL = """
version: "1.0"
name: small
stages:
  - {name: ingest, type: IngestStage}
  - {name: parse, type: ParseStage, depends_on: [ingest]}
  - {name: chunk, type: ChunkStage, use: witness, depends_on: [parse]}
"""

TWO_LEAVES = (
    SMALL
    + """
  - {name: embed, type: EmbedStage, use: none, depends_on: [chunk]}
  - {name: extract, type: ExtractStage, depends_on: [chunk]}
"""
)


class Project:
    """A folder with pipelines, documents and a home; `definitions()` loads it as Dagster would."""

    def __init__(self, folder: Path, instance: DagsterInstance) -> None:
        self.folder, self.instance = folder, instance
        self.witness, self.docs = folder / "witness", folder / "docs"
        for made in (self.pipelines, self.witness, self.docs):
            made.mkdir(parents=True)
        (folder / "config/resilience.yaml").write_text(POLICIES)

    @property
    def pipelines(self) -> Path:
        return self.folder / "config/pipelines"

    def pipeline(self, text: str, name: str = "small") -> Path:
        path = self.pipelines / f"{name}.yaml"
        path.write_text(text)
        return path

    def document(self, name: str, text: str = "Metformin lowers glucose.") -> Path:
        path = self.docs / name
        path.write_text(f"# {path.stem}\n\n{text}\n" if path.suffix == ".md" else text)
        return path

    def definitions(self) -> Definitions:
        return build_definitions()

    def run(self, job: str = "small", **config: object) -> ExecuteInProcessResult:
        """The job over the project's documents, in this process."""
        return (
            self.definitions()
            .get_job_def(job)
            .execute_in_process(
                run_config=config or {"request": {"paths": [str(self.docs)]}},
                instance=self.instance,
                raise_on_error=False,
            )
        )

    def outcome(self, result: ExecuteInProcessResult) -> str:
        run = self.instance.get_run_by_id(result.run_id)
        assert run is not None
        return run.tags["penstock/outcome"]

    def said(self, run_id: str) -> list[str]:
        """What a run logged, line by line."""
        return [record.event_log_entry.user_message for record in self.instance.get_records_for_run(run_id).records]

    def calls(self) -> list[str]:
        log = self.witness / "calls"
        return sorted(log.read_text().split()) if log.exists() else []


def line_of(failed: DagsterEvent) -> str:
    """The line a step failed with."""
    data = failed.step_failure_data.user_failure_data
    assert data is not None
    assert data.description is not None
    return data.description


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.syspath_prepend(str(PLUGIN))
    with DagsterInstance.ephemeral() as instance:
        made = Project(tmp_path, instance)
        monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path / "home"))
        monkeypatch.setenv("PENSTOCK_CONFIG", str(tmp_path / "config"))
        monkeypatch.setenv("WITNESS", str(made.witness))
        yield made


@pytest.fixture
def app(project: Project) -> Iterator[App]:
    app = open_app()
    yield app
    app.close()


@pytest.fixture
def seeds(project: Project, root: Path) -> Callable[[], None]:
    """Put the pipelines this project ships into the test's own."""

    def copy() -> None:
        for path in (root / "config/orchestration/pipelines").glob("*.yaml"):
            project.pipeline(path.read_text(), path.stem)

    return copy
