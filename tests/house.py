"""A Penstock of a test's own: a home, a configuration whose stages leave traces, and the command that runs there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parent.parent
PLUGIN = ROOT / "tests/acceptance/plugin"
PATIENCE = 120.0
"""Seconds until a child process counts as hanging."""

STAGES = ("parse", "chunk", "embed", "index", "extract", "kg")
CONTRACTS = {
    "parse": ("ParseStage", "Parser"),
    "chunk": ("ChunkStage", "Chunker"),
    "embed": ("EmbedStage", "Embedder"),
    "index": ("IndexStage", "Indexer"),
    "extract": ("ExtractStage", "Extractor"),
    "kg": ("KGStage", "Graph"),
}
POLICIES = """\
policies:
  default: {max_attempts: 1, backoff_strategy: none, timeout_seconds: 60}
"""


def pipeline(
    order: Sequence[str] = STAGES, *, size: int = 200, policy: str = "default", dead_letters: str = "continue"
) -> str:
    """The YAML of `counted`: every stage but the listing is a witness."""
    lines = ['version: "1.0"', "name: counted", "applicable_sources: [files]", f"on_dead_letter: {dead_letters}"]
    lines += ["stages:", "  - {name: ingest, type: IngestStage}"]
    for before, name in zip(("ingest", *order), order, strict=False):
        options = f", with: {{size: {size}}}" if name == "chunk" else ""
        kind = CONTRACTS[name][0]
        lines.append(
            f"  - {{name: {name}, type: {kind}, use: witness, policy: {policy}, depends_on: [{before}]{options}}}"
        )
    return "\n".join(lines) + "\n"


def install_plugin(site: Path) -> Path:
    """What an installer would leave of the plugin beside its code: its entry points. A folder for PYTHONPATH."""
    info = site / "witness-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: witness\nVersion: 1.0\n")
    doors = [f"{contract}.witness = witness.stages:{name}\n" for contract, name in CONTRACTS.values()]
    (info / "entry_points.txt").write_text("[penstock.stages]\n" + "".join(doors))
    return site


@dataclass(frozen=True, slots=True)
class Ran:
    status: int
    out: str
    err: str
    seconds: float = 0.0

    @property
    def report(self) -> dict[str, Any]:
        """What a command with --json printed."""
        found: dict[str, Any] = json.loads(self.out)
        return found


class House:
    def __init__(self, folder: Path, site: Path, warm: Warm) -> None:
        self.folder, self._site, self._warm = folder, site, warm
        self.home = folder / "home"
        self.witness, self.mood, self.failpoints = folder / "witness", folder / "mood", folder / "failpoints"
        self.configure(pipeline())

    def configure(self, yaml: str, policies: str = POLICIES) -> None:
        config = self.folder / "config"
        (config / "pipelines").mkdir(parents=True, exist_ok=True)
        (config / "resilience.yaml").write_text(policies)
        (config / "pipelines/counted.yaml").write_text(yaml)

    @property
    def environment(self) -> dict[str, str]:
        """Groups are cut by number, not by time, so that two runs pass the same failpoints."""
        return {
            "PYTHONPATH": os.pathsep.join((str(self._site), str(PLUGIN))),
            "PENSTOCK_HOME": str(self.home),
            "PENSTOCK_CONFIG": str(self.folder / "config"),
            "PENSTOCK_GROUP_SECONDS": "60",
            "WITNESS": str(self.witness),
            "MOOD": str(self.mood),
            "FAILPOINTS": str(self.failpoints),
            "COLUMNS": "200",
        }

    def start(self, *arguments: str, set_up: Callable[[], None] | None = None, **environment: str) -> Child:
        """The command in a process of its own."""
        command = [sys.executable, "-m", "witness.command", *arguments]
        return Child(
            subprocess.Popen(
                command,
                env=os.environ | self.environment | environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                preexec_fn=set_up,
            )
        )

    def penstock(self, *arguments: str, set_up: Callable[[], None] | None = None, **environment: str) -> Ran:
        return self.start(*arguments, set_up=set_up, **environment).result()

    def run(self, documents: Path, *, seconds: float | None = None, **environment: str) -> Ran:
        """`penstock run` over documents, in a warm process; after `seconds` it is killed."""
        return self.quick("run", "counted", str(documents), "--json", seconds=seconds, **environment)

    def quick(self, *arguments: str, seconds: float | None = None, **environment: str) -> Ran:
        """The command in a warm process; after `seconds` it is killed."""
        return self._warm.run(self.folder, arguments, self.environment | environment, seconds)

    def worked(self) -> Counter[tuple[str, str]]:
        """(stage, document) → how often it was worked on."""
        return Counter((stage, document) for stage, document, _ in self._traces() if stage != "call")

    def calls(self, stage: str) -> list[int]:
        """The sizes of the calls that a stage got."""
        return [int(size) for call, name, size in self._traces() if call == "call" and name == stage]

    def redone(self) -> Counter[str]:
        """Stage → how many times a document was worked on again there."""
        again: Counter[str] = Counter()
        for (stage, _), times in self.worked().items():
            again[stage] += times - 1
        return +again

    def forget(self) -> None:
        """Let the witness begin anew."""
        self.witness.unlink(missing_ok=True)

    def passed(self) -> list[str]:
        """Failpoints passed since the house was made, in order."""
        return self.failpoints.read_text().splitlines() if self.failpoints.exists() else []

    def _traces(self) -> list[list[str]]:
        return [line.split() for line in self.witness.read_text().splitlines()] if self.witness.exists() else []


class Child:
    """A command under way."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.pid = process.pid

    def result(self) -> Ran:
        try:
            out, err = self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        return Ran(self.process.returncode, out, err)

    def until_stopped(self) -> None:
        """Until the process has stopped itself."""
        stat = Path(f"/proc/{self.pid}/stat")

        def stopped() -> bool:
            state = stat.read_text().rpartition(")")[2].split()[0]
            assert state != "Z", f"it came to its end instead: {self.result()}"
            return state == "T"

        until(stopped, "the process stops itself")


class Warm:
    """Runs the command in forks of one process that has imported everything: most of what a start costs."""

    def __init__(self, site: Path) -> None:
        path = os.pathsep.join((str(site), str(PLUGIN)))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "witness.warm"],
            env=os.environ | {"PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self, folder: Path, arguments: Sequence[str], environment: Mapping[str, str], seconds: float | None = None
    ) -> Ran:
        """A status below zero is the signal that ended it; after `seconds` that is SIGKILL."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        out, err = folder / "out", folder / "err"
        request: Mapping[str, object] = {
            "arguments": arguments,
            "environment": environment,
            "out": str(out),
            "err": str(err),
            "seconds": seconds,
        }
        began = time.monotonic()
        self._process.stdin.write(f"{json.dumps(request)}\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline())
        return Ran(status, out.read_text(), err.read_text(), time.monotonic() - began)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=PATIENCE)


def until(true: Callable[[], bool], what: str) -> None:
    """Wait for something that a child process does."""
    due = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < due, f"waited in vain: {what}"
        time.sleep(0.02)
