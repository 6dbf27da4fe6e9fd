"""A mill for each test: see mill.py."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mill import Mill


@pytest.fixture
def mill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mill]:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    mill = Mill(tmp_path)
    with closing(mill.app):
        yield mill
