"""Shared fixtures. Real inputs live outside the project: PENSTOCK_DATA names their folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("PENSTOCK_EMBEDDER", "endpoint")  # tests of what embeds say what they want
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real inputs; the test skips, saying so, where there is none."""
    folder = Path(os.environ.get("PENSTOCK_DATA", ROOT / "../shared/data")).resolve()
    if not folder.is_dir():
        pytest.skip(f"no real inputs at {folder}: set PENSTOCK_DATA")
    return folder
