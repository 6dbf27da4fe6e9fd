"""Where a document stands: which generation ledger, index and graph hold, and if it isn't searchable, why not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from penstock.ledger.explain_read import BatchOfJob, DocumentRow, JobState, StageRow
from penstock.ledger.gate_read import AtGate
from penstock.pipelines.topology import Topology


@dataclass(frozen=True, slots=True)
class Sinks:
    """What the stores hold of a document: generations, None for nothing. `index_store` None: there is no index."""

    index: int | None
    index_store: str | None
    index_path: str
    graph: int | None


@dataclass(frozen=True, slots=True)
class Standing:
    """`searchable`: some generation is in the index now. `why` says what keeps the newest out of index or graph;
    empty when both hold it. `next_step` is what to do about it. `gate`: how it waits at one, if it does."""

    ledger: int
    index: int | None
    graph: int | None
    status: str
    searchable: bool
    why: str = ""
    next_step: str = ""
    gate: AtGate | None = None


FOREIGN_INDEX = (
    "move the index's files (-wal and -shm too) away, or name another by PENSTOCK_INDEX_PATH; then: penstock retry"
)
"""What helps when an index holds what another ledger put there."""
NO_PIPELINE = "penstock pipelines check; or have another pipeline take it: penstock run PIPELINE PATH…"
"""What helps a document whose pipeline is broken, or gone."""
INDEX, KG = "IndexStage", "KGStage"


def standing(
    row: DocumentRow,
    jobs: Sequence[JobState],
    stages: Sequence[StageRow],
    batches: Sequence[BatchOfJob],
    sinks: Sinks,
    topology: Topology | None,
    gate: AtGate | None = None,
    workers: int = 0,
) -> Standing:
    """`jobs` newest generation first; `batches` latest first. `topology` is the owning pipeline's, if it is there.
    `gate`: how it waits, if it does, and how many `workers` are there for what it waits for."""
    job = next((j for j in jobs if j.generation == row.generation and j.pipeline == row.pipeline), None)
    searchable = sinks.index is not None
    if job is None:
        return Standing(row.generation, sinks.index, sinks.graph, "unknown", searchable, "it has no job")
    states = [state for state in stages if state.job_id == job.id]
    batch = next((b.batch for b in batches if b.job_id == job.id), None)
    if job.status == "waiting" and gate is not None:
        why, next_step = _waits(job, gate, workers, topology)
    else:
        why, next_step = _why(job, states, sinks, topology, row, batch)
    graph = None if job.status == "retired" else sinks.graph  # its row stays there, with nothing in it
    return Standing(row.generation, sinks.index, graph, job.status, searchable, why, next_step, gate)


def _why(
    job: JobState,
    states: Sequence[StageRow],
    sinks: Sinks,
    topology: Topology | None,
    row: DocumentRow,
    batch: int | None,
) -> tuple[str, str]:
    if sinks.index is not None and sinks.index > row.generation:
        held = f"the index {sinks.index_path} holds generation {sinks.index}"
        return f"{held}, which this ledger doesn't know: another wrote it", FOREIGN_INDEX
    indexed, in_graph = sinks.index == row.generation, sinks.graph == row.generation
    again = f"penstock run {job.pipeline} --batch {batch}" if batch is not None else "penstock run PIPELINE PATH…"
    lost = next((state for state in states if state.status in ("dead", "failed")), None)
    if job.status in ("dead", "failed") and lost is not None:
        word = "dead-lettered" if job.status == "dead" else "failed"
        return f"{word} at {lost.stage} ({lost.reason}): {lost.message}", lost.next_step or "penstock retry"
    if job.status == "cancelled":
        return "it was cancelled", f"penstock retry --status cancelled {row.doc_id}"
    if job.status == "superseded":
        return "the place it came from now holds another document", ""
    if job.status == "retired":
        return "it was retired", ""
    if job.status == "pending":
        return f"it is under way: {_under_way(states, topology)}", again
    if sinks.index_store is None and _has(states, INDEX):
        return f"the index file {sinks.index_path} is gone", again
    if not indexed:
        return _missing(states, INDEX, "index", sinks.index_store, topology, again)
    if not in_graph:
        return _missing(states, KG, "graph", None, topology, again)
    return "", ""


def _has(states: Sequence[StageRow], contract: str) -> bool:
    return any(state.contract == contract for state in states)


def _missing(
    states: Sequence[StageRow], contract: str, store: str, now: str | None, topology: Topology | None, again: str
) -> tuple[str, str]:
    """Why a job that is done has nothing in a store."""
    sink = next((state for state in states if state.contract == contract), None)
    if sink is None:
        return f"the pipeline has no stage that writes the {store}", ""
    if now is not None and sink.store != now:
        return f"the {store} it was written to is gone, another is in its place", again
    return f"the {store} does not hold this generation, although {sink.stage} is done", again


def _under_way(states: Sequence[StageRow], topology: Topology | None) -> str:
    running = [state.stage for state in states if state.status == "running"]
    if running:
        return f"{', '.join(running)} runs now"
    done = {state.stage for state in states if state.status == "done"}
    order = [stage.name for stage in topology.stages] if topology else []
    following = next((name for name in order if name not in done), None)
    return f"{following} has not run yet" if following else f"{len(done)} stages are done"


def _waits(job: JobState, gate: AtGate, workers: int, topology: Topology | None) -> tuple[str, str]:
    """What it waits for, why it still does, and what would end that."""
    waits = f"it waits at the gate {job.current_stage} for {gate.field}"
    lost = f" (it has brought {gate.lost} down)" if gate.lost else ""
    if topology is None:
        return f"{waits}, and there is no pipeline {job.pipeline!r} that could be run", NO_PIPELINE
    stage = next((stage.gate for stage in topology.gates if stage.name == job.current_stage), None)
    if stage is None:
        return f"{waits}, which the pipeline has no more", f"penstock run {job.pipeline} --resume"
    if gate.ready:
        through = f"it is through the gate {job.current_stage}: a run takes it on next"
        return through, f"penstock run {job.pipeline} --resume"
    if gate.worked_on is not None:
        return f"{waits}: a worker is at it{lost}", "penstock worker status"
    if workers:
        there = "the worker that is there has" if workers == 1 else f"the {workers} workers that are there have"
        return f"{waits}: {there} not come to it yet{lost}", "penstock worker status"
    return f"{waits}: no worker is there{lost}", stage.field.worker
