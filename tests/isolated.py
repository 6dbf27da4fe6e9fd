"""Environments of their own, for what can't be installed beside everything else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest


def environment(folder: Path, requirements: Sequence[str]) -> Path:
    """The Python of a new environment with these requirements.

    The test skips where there is no package index, saying so; in CI it fails.
    """
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin/python"
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1"]
    installed = subprocess.run([*pip, *requirements], capture_output=True, text=True, check=False)
    if installed.returncode:
        told = f"pip could not install {', '.join(requirements)}: {installed.stderr[-500:]}"
        pytest.fail(told) if os.environ.get("CI") else pytest.skip(told)
    return python
