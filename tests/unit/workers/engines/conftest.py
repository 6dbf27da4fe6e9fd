"""A MinerU server that respx plays, and the CPU engine to read with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import respx

from cpu_read import Read
from mineru_double import HOST, KEY, Mineru, written
from penstock.workers.engines.mineru_api import KEY_VARIABLE


@pytest.fixture
def mineru(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mineru]:
    """The environment has its key."""
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    server = Mineru()
    with respx.mock as router:
        router.route(host=HOST).mock(side_effect=server)
        yield server


@pytest.fixture
def pdf(tmp_path: Path) -> Path:
    """Of one page."""
    return written(tmp_path, 1)


@pytest.fixture
def read(tmp_path: Path) -> Read:
    return Read(tmp_path)
