"""What real services and people sent, whole and damaged, by `penstock run`: searchable, or refused for a reason."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

KINDS = ("ctgov", "openalex", "openfda", "jats_pubmed", "office")
KNOWN = {"malformed", "truncated", "empty", "encrypted", "unsupported", "too-large", "schema"}


def run(folder: Path, home: Path) -> tuple[int, dict[str, Any]]:
    command = [sys.executable, "-c", "from penstock.cli import main; main()", "run", "auto", str(folder), "--json"]
    done = subprocess.run(
        command, env=os.environ | {"PENSTOCK_HOME": str(home)}, capture_output=True, text=True, timeout=300, check=False
    )
    return done.returncode, json.loads(done.stdout)


def reasons(report: dict[str, Any]) -> set[str]:
    return {failure["reason"] for stage in report["stages"] for failure in stage["failures"]}


@pytest.mark.parametrize("kind", KINDS)
def test_real_files_are_read_or_refused_for_a_reason_that_is_known(kind: str, data: Path, tmp_path: Path) -> None:
    status, report = run(data / kind, tmp_path)
    assert status in (0, 3), report["error"]
    assert report["statuses"]["done"] > 0
    assert reasons(report) <= KNOWN
    assert set(report["statuses"]) <= {"done", "dead", "superseded"}
    assert all(f["stage"] == "parse" for stage in report["stages"] for f in stage["failures"])


def test_real_files_cut_off_at_any_point_are_read_or_refused_too(data: Path, tmp_path: Path) -> None:
    rng = random.Random(11)
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    files = [path for kind in KINDS[:4] for path in sorted((data / kind).rglob("*")) if path.is_file()]
    for path in rng.sample(files, min(60, len(files))):
        content = path.read_bytes()
        cut = content[: rng.randrange(1, len(content))][:400_000]
        (damaged / f"{len(content)}-{path.name}").write_bytes(cut)
    status, report = run(damaged, tmp_path / "home")
    assert status in (0, 3), report["error"]
    assert reasons(report) <= KNOWN
    assert set(report["statuses"]) <= {"done", "dead", "superseded"}
