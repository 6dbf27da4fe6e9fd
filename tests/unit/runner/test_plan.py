"""A plan says what a pipeline is now, and what it has become since."""

from __future__ import annotations

import pytest

from penstock.errors import StageFailed
from penstock.runner import RunRequest
from penstock.runner.plan import differences
from tiny import PIPELINE, Bench, Chunker, World


def summary(bench: Bench) -> str:
    return bench.open_runner().plan(bench.topology).summary()


def test_nothing_changed_is_no_difference(bench: Bench) -> None:
    assert differences(summary(bench), summary(bench)) == []


def test_each_change_is_a_line_that_names_the_stage(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    before = summary(bench)
    monkeypatch.setattr(Chunker, "version", "2")
    monkeypatch.setattr(Chunker, "model", "words", raising=False)
    bench.yaml = PIPELINE.replace("EmbedStage, policy: once", "EmbedStage, policy: touchy").replace(
        "depends_on: [embed]", "depends_on: [chunk, embed]"
    )
    assert differences(before, summary(bench)) == [
        "chunk: version 1 → 2",
        "chunk: model none → words",
        "embed: another policy",
        "index: comes after chunk, embed (was embed)",
    ]


def test_stages_that_came_and_went_are_named(bench: Bench) -> None:
    whole = summary(bench)
    bench.yaml = "".join(line for line in PIPELINE.splitlines(True) if "name: embed" not in line).replace(
        "depends_on: [embed]", "depends_on: [chunk]"
    )
    without = summary(bench)
    assert "embed: removed" in differences(whole, without)
    assert "embed: added" in differences(without, whole)


def test_a_plan_is_made_once_for_each_digest(bench: Bench) -> None:
    runner = bench.open_runner()
    assert runner.plan(bench.topology) is runner.plan(bench.topology)


def test_a_run_whose_pipeline_changed_under_way_stops_and_says_what_changed(bench: Bench, world: World) -> None:
    runner = bench.open_runner()
    runner.open(bench.topology, RunRequest("given"), run_id="one")
    bench.yaml = PIPELINE.replace("EmbedStage, policy: once", "EmbedStage, policy: touchy")
    with pytest.raises(StageFailed, match="embed: another policy") as changed:
        runner.open(bench.topology, RunRequest("given"), run_id="one")
    assert changed.value.reason == "topology-changed"
    again = runner.open(bench.topology, RunRequest("given"), run_id="two", root_run_id="one")
    assert again.notes == ("changed since: embed: another policy",)
