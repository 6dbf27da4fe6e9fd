"""A tick ends before the daemon's next step, however late it came to wait."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance
from dagster._core.remote_origin import (
    InProcessCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    SensorInstigatorData,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from penstock.ledger.batches import Batch
from penstock.orchestration.launching import WAIT_SECONDS, began_ago, wait_for


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[DagsterInstance]:
    with DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


def ticking(instance: DagsterInstance, name: str, began: float) -> None:
    """As the daemon notes it when it begins a tick."""
    location = InProcessCodeLocationOrigin(LoadableTargetOrigin(python_file="definitions.py"))
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "__repository__"), name)
    data = SensorInstigatorData(min_interval=1, last_tick_start_timestamp=began)
    instance.add_instigator_state(InstigatorState(origin, InstigatorType.SENSOR, InstigatorStatus.RUNNING, data))


def test_what_went_before_the_wait_is_taken_off_it(instance: DagsterInstance) -> None:
    ticking(instance, "another", time.time())
    ticking(instance, "mine", time.time() - 2)
    assert 2 <= began_ago(instance, "mine") < WAIT_SECONDS


@pytest.mark.parametrize("off", [-3600, 3600, WAIT_SECONDS])
def test_a_clock_that_is_off_shortens_no_wait(instance: DagsterInstance, off: float) -> None:
    ticking(instance, "mine", time.time() - off)
    assert began_ago(instance, "mine") == 0


def test_a_first_tick_and_an_instance_in_memory_know_of_none(instance: DagsterInstance) -> None:
    assert began_ago(instance, "mine") == 0
    with DagsterInstance.ephemeral() as in_memory:
        assert began_ago(in_memory, "mine") == 0


def test_what_is_there_is_taken_also_when_it_is_late() -> None:
    batch = Batch(1, "default", "p", None, "resume", "claimed", 1, None)
    assert wait_for(lambda: [batch], 0.0) == [batch]
    assert wait_for(list, 0.0) == []
