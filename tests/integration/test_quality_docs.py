"""docs/quality.md is what the benchmark says today."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_the_figures_are_those_of_this_extractor(root: Path, data: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.entities", str(data / "re_gold")]
    printed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    assert (root / "docs/quality.md").read_text() == printed, "run: python -m benchmarks.entities … > docs/quality.md"
