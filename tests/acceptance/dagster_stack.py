"""A project in a folder, run by Dagster's own processes: `dagster job execute`, or `dagster dev` with its daemon."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil
from dagster import DagsterEventType, DagsterInstance

from penstock.bootstrap import App, open_app

ROOT = Path(__file__).parents[2]
PLUGIN = Path(__file__).parent / "dagster_plugin"
POLICIES = "policies:\n  default: {max_attempts: 1, backoff_strategy: none, timeout_seconds: 60}\n"
PATIENCE = 90.0
FAILED = "FROM_FAILURE"

T = TypeVar("T")


def script(name: str) -> str:
    """A console script of this environment."""
    return str(Path(sys.executable).with_name(name))


class Stack:
    """Everything lies under `folder`; `stop()` ends what was started."""

    def __init__(self, folder: Path, config: Path | None = None, cwd: Path = ROOT) -> None:
        self.folder = folder
        self.docs, self.witness, self.dagster_home = folder / "docs", folder / "witness", folder / "dagster"
        self.pipelines = folder / "config/pipelines"
        for made in (self.docs, self.witness, self.dagster_home, self.pipelines):
            made.mkdir(parents=True, exist_ok=True)
        (folder / "config/resilience.yaml").write_text(POLICIES)
        (self.dagster_home / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
        self._config = config or folder / "config"
        self._cwd = cwd
        self._dev: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def environment(self) -> dict[str, str]:
        keep = {k: v for k, v in os.environ.items() if not k.startswith(("PENSTOCK_", "DAGSTER_"))}
        return keep | {
            "DAGSTER_HOME": str(self.dagster_home),
            "PENSTOCK_HOME": str(self.folder / "home"),
            "PENSTOCK_CONFIG": str(self._config),
            "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(PLUGIN))),
            "WITNESS": str(self.witness),
        }

    def pipeline(self, name: str, chunk: str = "use: witness", more: str = "") -> Path:
        """Three stages, the last of which is the witness."""
        path = self.pipelines / f"{name}.yaml"
        path.write_text(
            f'version: "1.0"\nname: {name}\n{more}\nstages:\n'
            "  - {name: ingest, type: IngestStage}\n"
            "  - {name: parse, type: ParseStage, depends_on: [ingest]}\n"
            f"  - {{name: chunk, type: ChunkStage, {chunk}, depends_on: [parse]}}\n"
        )
        return path

    def documents(self, name: str, *texts: str) -> Path:
        """A folder of its own with a document for each text."""
        folder = self.docs / name
        folder.mkdir()
        for number, text in enumerate(texts):
            (folder / f"{name}-{number}.md").write_text(f"# {name}-{number}\n\n{text}\n")
        return folder

    def calls(self, name: str) -> list[str]:
        """What the witness was called with, of the documents of that name."""
        log = self.witness / "calls"
        return sorted(line for line in log.read_text().split() if line.startswith(name)) if log.exists() else []

    def app(self) -> App:
        return open_app(home=self.folder / "home", config=self._config)

    def instance(self) -> DagsterInstance:
        return DagsterInstance.from_config(str(self.dagster_home))

    def command(self, name: str, *arguments: str) -> subprocess.Popen[str]:
        """A console script of this environment, started."""
        return subprocess.Popen(
            [script(name), *arguments],
            cwd=self._cwd,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def execute(self, job: str, config: Mapping[str, Any]) -> subprocess.Popen[str]:
        """`dagster job execute`, started."""
        path = self.folder / f"{job}-run.yaml"
        path.write_text(json.dumps(config))
        return self.command("dagster", "job", "execute", "-m", "penstock.definitions", "-j", job, "-c", str(path))

    def start(self) -> None:
        """`dagster dev`: webserver, daemon and code server, on a free port."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._dev = subprocess.Popen(
            [script("dagster"), "dev", "-w", str(ROOT / "workspace.yaml"), "-h", "127.0.0.1", "-p", str(self.port)],
            cwd=self._cwd,
            env=self.environment,
            stdout=(self.folder / "dev.log").open("wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # what a script starts in the background ignores SIGINT, and so would all of Dagster's processes
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        self.until(self._loaded, "Dagster's webserver")

    def stop(self) -> None:
        """End the processes of the stack: asked first, then killed, by pid."""
        if self._dev is None:
            return
        family = [psutil.Process(self._dev.pid), *psutil.Process(self._dev.pid).children(recursive=True)]
        os.killpg(self._dev.pid, signal.SIGINT)
        _, left = psutil.wait_procs(family, timeout=15)
        for process in left:
            process.kill()
        self._dev.wait()
        self._dev = None

    def graphql(self, query: str, **variables: Any) -> Any:
        answer = httpx.post(
            f"http://127.0.0.1:{self.port}/graphql", json={"query": query, "variables": variables}, timeout=60
        ).json()
        assert "errors" not in answer, answer
        return answer["data"]

    def launch(self, job: str, **config: Any) -> str:
        """As the launchpad does; the run's id."""
        answer = self.graphql(
            "mutation($p: ExecutionParams!) { launchRun(executionParams: $p) {"
            " __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }",
            p={"selector": self._selector(job), "runConfigData": config},
        )["launchRun"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return str(answer["run"]["runId"])

    def re_execute(self, run_id: str, *steps: str) -> str:
        """As "Re-execute from failure" does, or of these steps "Selected"; the new run's id."""
        answer = self.graphql(
            "mutation($p: ReexecutionParams, $e: ExecutionParams) {"
            " launchRunReexecution(reexecutionParams: $p, executionParams: $e) {"
            " __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }",
            **({"e": self._selected(run_id, steps)} if steps else {"p": {"parentRunId": run_id, "strategy": FAILED}}),
        )["launchRunReexecution"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return str(answer["run"]["runId"])

    def _selected(self, run_id: str, steps: Sequence[str]) -> dict[str, Any]:
        with self.instance() as instance:
            run = instance.get_run_by_id(run_id)
        assert run is not None
        return {
            "selector": self._selector(run.job_name),
            "runConfigData": run.run_config,
            "stepKeys": list(steps),
            "executionMetadata": {"parentRunId": run_id, "rootRunId": run.root_run_id or run_id},
        }

    def terminate(self, run_id: str) -> None:
        answer = self.graphql(
            "mutation($id: String!) { terminateRun(runId: $id) { __typename ... on PythonError { message } } }",
            id=run_id,
        )["terminateRun"]
        assert answer["__typename"] == "TerminateRunSuccess", answer

    def ended(self, run_id: str) -> str:
        """The status in which a run ends."""
        with self.instance() as instance:

            def status() -> str | None:
                run = instance.get_run_by_id(run_id)
                return run.status.value if run is not None and run.is_finished else None

            return self.until(status, f"the end of run {run_id}")

    def outcome(self, run_id: str) -> str:
        with self.instance() as instance:
            run = instance.get_run_by_id(run_id)
        assert run is not None
        return run.tags.get("penstock/outcome", "")

    def failure(self, run_id: str) -> str:
        """The line with which the failed op of a run failed."""
        with self.instance() as instance:
            records = instance.get_records_for_run(run_id, of_type=DagsterEventType.STEP_FAILURE).records
        [record] = records
        event = record.event_log_entry.dagster_event
        assert event is not None
        data = event.step_failure_data.user_failure_data
        assert data is not None
        return str(data.description)

    def pid(self, run_id: str) -> int:
        """The process of a run."""
        with self.instance() as instance:
            started = instance.get_records_for_run(run_id, of_type=DagsterEventType.ENGINE_EVENT).records
        for record in started:
            event = record.event_log_entry.dagster_event
            assert event is not None
            if "pid" in event.event_specific_data.metadata:  # type: ignore[union-attr]
                return int(str(event.event_specific_data.metadata["pid"].value))  # type: ignore[union-attr]
        raise AssertionError("no process has been started")

    def until(self, found: Callable[[], T | None], what: str) -> T:
        """What `found` gives as soon as it gives something."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            if result := found():
                return result
            time.sleep(0.1)
        log = self.folder / "dev.log"
        raise AssertionError(f"waited for {what} in vain\n{log.read_text()[-4000:] if log.exists() else ''}")

    def _selector(self, job: str) -> dict[str, str]:
        return {"repositoryLocationName": "penstock", "repositoryName": "__repository__", "jobName": job}

    def _loaded(self) -> bool:
        assert self._dev is not None
        assert self._dev.poll() is None, (self.folder / "dev.log").read_text()
        try:
            answer = self.graphql("{ repositoriesOrError { ... on RepositoryConnection { nodes { name } } } }")
        except httpx.HTTPError:
            return False
        return bool(answer["repositoriesOrError"].get("nodes"))
