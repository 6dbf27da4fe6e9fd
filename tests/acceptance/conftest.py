"""Houses to run the command in: see house.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from house import House, Warm, install_plugin


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the witness plugin is installed."""
    return install_plugin(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="session")
def warm(site: Path) -> Iterator[Warm]:
    with Warm(site) as warm:
        yield warm


@pytest.fixture
def new_house(tmp_path: Path, site: Path, warm: Warm) -> Callable[[str], House]:
    """Another house, by name."""

    def build(name: str) -> House:
        folder = tmp_path / name
        folder.mkdir()
        return House(folder, site, warm)

    return build


@pytest.fixture
def house(new_house: Callable[[str], House]) -> House:
    return new_house("house")
