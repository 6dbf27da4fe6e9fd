"""What the sensors that launch runs have in common: which batches a tick asks Dagster to make runs of."""

import time
from collections.abc import Callable, Collection, Mapping
from hashlib import sha256

from dagster import DagsterInstance, DagsterRunStatus, RunRequest, RunsFilter
from dagster._core.scheduler.instigation import InstigatorType, SensorInstigatorData

from penstock.bootstrap import App
from penstock.ledger.batches import Batch
from penstock.orchestration.housekeeping import reopen
from penstock.pipelines.topology import Topology

WAIT_SECONDS = 4.5
"""A tick waits for something to launch until so long after the daemon began it: so that is launched at once, not at the
next tick. The daemon looks every five seconds which sensors are free; one that isn't has lost its turn."""
POLL_SECONDS = 0.2
IN_LINE = 10
"""At most so many runs of a sensor wait in Dagster's queue; the other batches wait in the ledger."""
ASKS = 5
"""How often a run is asked for that Dagster doesn't make; then the attempt counts as lost."""


class Loaded:
    """Pipelines as they were on disk when the code location was loaded."""

    def __init__(self, topologies: Mapping[str, Topology]) -> None:
        self.topologies = topologies
        self._then = {name: on_disk(topology) for name, topology in topologies.items()}

    def fresh(self) -> dict[str, Topology]:
        """Those that nobody has edited since."""
        return {name: t for name, t in self.topologies.items() if on_disk(t) == self._then[name]}

    def why_none(self, fresh: Collection[str], waiting: int) -> str | None:
        """Why a tick may launch nothing, whatever there is to be launched."""
        if waiting >= IN_LINE:
            return f"{waiting} runs wait in Dagster's queue already"
        edited = sorted(set(self.topologies) - set(fresh))
        return f"reload the code location: {', '.join(edited)} was edited on disk" if edited else None


def runs_for(
    app: App,
    instance: DagsterInstance,
    sensor: str,
    asked: Mapping[str, int],
    fresh: Mapping[str, Topology],
    mine: Callable[[Batch], bool],
    claim: Callable[[int], list[Batch]],
) -> tuple[list[RunRequest], int]:
    """A run for each attempt of each batch, its run key `<batch>:<attempt>`, and how many others wait in Dagster's
    queue.

    Of the batches that are `mine` those that were claimed and never made, or, as soon as there are any, what
    `claim(room)` gives. `asked`: how often each run was asked for that Dagster has not made yet.
    """
    until = time.monotonic() + WAIT_SECONDS - began_ago(instance, sensor)
    due, waiting = unmade(app, instance, asked, fresh, mine)
    room = IN_LINE - len(due) - waiting
    if room > 0:
        due += wait_for(lambda: claim(room), until if not due else 0)
    return [request_of(fresh[batch.pipeline], batch) for batch in due], waiting


def asked_again(asked: Mapping[str, int], requests: Collection[RunRequest]) -> dict[str, int]:
    """`asked` for the next tick: what is no longer asked for was made."""
    return {str(r.run_key): asked.get(str(r.run_key), 0) + 1 for r in requests}


def unmade(
    app: App,
    instance: DagsterInstance,
    asked: Mapping[str, int],
    fresh: Collection[str],
    mine: Callable[[Batch], bool],
) -> tuple[list[Batch], int]:
    """Claimed batches whose run was asked for and not made, to be asked for again under the same key; and how many
    others wait in Dagster's queue.

    One whose run has ended before its first op is reopened, and so is one whose run Dagster keeps refusing to make.
    """
    due, waiting = [], 0
    for batch in filter(mine, app.ledger.batches.claimed()):
        tags = {"penstock/batch": str(batch.id), "penstock/attempt": str(batch.attempt)}
        runs = instance.get_runs(RunsFilter(tags=tags), limit=1)
        if runs and runs[0].is_finished:
            reopen(app, batch, runs[0].run_id, runs[0])
        elif not runs and asked.get(_key(batch), 0) >= ASKS:
            reopen(app, batch, f"{_key(batch)}, asked for {ASKS} times,", None)
        elif batch.pipeline in fresh and (not runs or runs[0].status is DagsterRunStatus.NOT_STARTED):
            due.append(batch)
        elif batch.pipeline in fresh:
            waiting += 1
    return due, waiting


def request_of(topology: Topology, batch: Batch) -> RunRequest:
    """The run of a claimed batch."""
    return RunRequest(
        run_key=_key(batch),
        job_name=topology.dagster_name,
        run_config={"batch": batch.id, "tenant": batch.tenant},
        tags={"penstock/batch": str(batch.id), "penstock/attempt": str(batch.attempt)},
    )


def wait_for(claim: Callable[[], list[Batch]], until: float) -> list[Batch]:
    """What `claim` gives as soon as it gives anything, or when it is that late."""
    while not (batches := claim()) and time.monotonic() < until:
        time.sleep(POLL_SECONDS)
    return batches


def began_ago(instance: DagsterInstance, sensor: str) -> float:
    """For how many seconds the daemon has been at a sensor's tick; 0 where that can't be told: an instance in memory
    keeps no such thing, and another machine's clock may be another."""
    sensors = instance.all_instigator_state(instigator_type=InstigatorType.SENSOR) if instance.schedule_storage else ()
    began = [
        state.instigator_data.last_tick_start_timestamp or 0.0
        for state in sensors
        if state.name == sensor and isinstance(state.instigator_data, SensorInstigatorData)
    ]
    ago = time.time() - max(began, default=0.0)
    return ago if 0 <= ago < WAIT_SECONDS else 0.0


def on_disk(topology: Topology) -> str:
    """What the files of a pipeline are now: its YAML and the policies beside it."""
    digest = sha256()
    for path in (topology.path, topology.path.parent.parent / "resilience.yaml"):
        digest.update(path.read_bytes() if path.is_file() else b"gone")
    return digest.hexdigest()


def _key(batch: Batch) -> str:
    return f"{batch.id}:{batch.attempt}"
