"""Runs one after the other: what one leaves behind, the next takes up."""

from __future__ import annotations

import pytest

from penstock.errors import Stopped
from penstock.runner import Limits, RunRequest
from tiny import PIPELINE, Bench, World, payload


def test_two_pipelines_that_write_the_same_documents_are_told_apart_by_who_came_later(
    bench: Bench, world: World
) -> None:
    """Each job counts its own claims; a sink must still see the later writer as the later one."""
    world.payloads = [payload(str(n), f"text {n}") for n in range(3)]
    assert bench.run().outcome == "complete"
    world.store = "another"  # done again there: the first pipeline's stage is at its second claim
    assert bench.run().outcome == "complete"
    before = {name: (generation, token) for name, (generation, token, _) in world.held.items()}
    bench.yaml = PIPELINE.replace("name: tiny", "name: tiny-v2")
    world.store = "a third"
    assert bench.run().outcome == "complete"
    assert set(before) == {"0", "1", "2"}
    assert all(world.held[name][:2] > standing for name, standing in before.items())


def test_documents_whose_last_stage_is_taken_out_of_the_pipeline_are_done(bench: Bench, world: World) -> None:
    world.payloads = [payload(str(n), f"text {n}") for n in range(3)]
    bench.yaml = PIPELINE + "  - {name: again, type: ChunkStage, policy: once, depends_on: [index]}\n"

    def stop() -> None:
        if world.texts("index"):
            raise Stopped("enough")

    with pytest.raises(Stopped):
        bench.run(stop=stop)
    assert bench.statuses() == {"pending": 3}
    bench.yaml = PIPELINE
    report = bench.run()
    assert report.outcome == "complete", report
    assert report.statuses == {"done": 3}


def test_what_another_run_did_meanwhile_counts_as_done_before(bench: Bench, world: World) -> None:
    world.payloads = [payload(str(n), f"text {n}") for n in range(5)]
    bench.limits = Limits(group=1)
    first, other = bench.open_runner(), bench.open_runner()
    topology = bench.topology
    ours, theirs = (runner.open(topology, RunRequest("given")) for runner in (first, other))
    for runner, run in ((first, ours), (other, theirs)):
        runner.run_stage(run, "ingest")

    def stop() -> None:
        if len(world.texts("parse")) == 4:
            raise Stopped("enough")

    def meanwhile(stage: str, texts: list[str]) -> None:
        if len(world.texts("parse")) == 1:
            with pytest.raises(Stopped):
                other.run_stage(theirs, "parse", stop=stop)

    world.fault = meanwhile
    report = first.run_stage(ours, "parse")
    assert (report.done, report.before) == (2, 3)


def test_documents_that_only_the_pipeline_makes_new_are_not_new_at_ingest(bench: Bench, world: World) -> None:
    world.payloads = [payload(str(n), f"text {n}") for n in range(3)]
    bench.run()
    world.payloads[0] = payload("0", "other text")
    bench.yaml = PIPELINE + "  - {name: again, type: ChunkStage, policy: once, depends_on: [index]}\n"
    assert [(s.done, s.reused) for s in bench.run().stages if s.stage == "ingest"] == [(1, 2)]
