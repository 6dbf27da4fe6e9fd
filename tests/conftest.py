"""Shared fixtures. Real inputs live outside the project: PENSTOCK_DATA names their folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wire import Server, Speak

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


@pytest.fixture
def serve() -> Iterator[Callable[[Speak], Server]]:
    """Starts servers that speak so; they end with the test."""
    servers: list[Server] = []

    def start(speak: Speak) -> Server:
        servers.append(Server(speak))
        return servers[-1]

    yield start
    for server in servers:
        server.close()
