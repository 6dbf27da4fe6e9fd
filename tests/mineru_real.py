"""A real mineru-api, at the tier that needs neither models nor a GPU.

It is PENSTOCK_TEST_MINERU_API, or the one on PATH, or installed into .venv-mineru (some 800 MB, once).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.workers.engines.mineru_server import MineruServer

VERSION = "4.0.12"
ROOT = Path(__file__).resolve().parent.parent


def server(home: Path) -> MineruServer:
    """To be started. `home` is empty, so there are no models. Skips where there is no mineru-api to be had; in CI it
    must be."""
    inherited = {"PATH": os.environ["PATH"], "HOME": str(home)}
    options = {"tier": "flash", "ocr_mode": "txt", "poll_seconds": 0.1}
    return MineruServer(options, mineru_api=_program(), allow_cpu=True, inherited=inherited)


def _program() -> Path:
    named = os.environ.get("PENSTOCK_TEST_MINERU_API") or shutil.which("mineru-api")
    return Path(named) if named else _installed(ROOT / ".venv-mineru")


def _installed(folder: Path) -> Path:
    program = folder / "bin/mineru-api"
    if not program.exists():
        try:
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            subprocess.run([folder / "bin/pip", "install", "--quiet", f"mineru=={VERSION}"], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            shutil.rmtree(folder, ignore_errors=True)
            say = pytest.fail if os.environ.get("CI") else pytest.skip
            say(f"mineru=={VERSION} could not be installed into {folder.name} ({error}): set PENSTOCK_TEST_MINERU_API")
    return program
