"""Listing cuts records into groups that commit together, and goes on where it stopped."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from penstock.errors import InvalidOutput, Stopped
from penstock.ledger import schema
from penstock.ledger.intake import Intake
from penstock.runner import RunRequest, ingest
from penstock.runner.ingest import document_id
from tiny import Bench, World, payload


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The source ids of each group that was taken in."""
    taken: list[list[str]] = []
    take = Intake.take

    def watched(self, route, batch, group, **more):  # type: ignore[no-untyped-def]
        taken.append([record.source_id for record in group])
        return take(self, route, batch, group, **more)

    monkeypatch.setattr(Intake, "take", watched)
    return taken


def test_a_group_is_full_at_a_number_of_records(
    bench: Bench, world: World, groups: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "GROUP_RECORDS", 4)
    world.payloads = [payload(str(n), f"text {n}") for n in range(10)]
    assert bench.run().statuses == {"done": 10}
    assert [len(group) for group in groups] == [4, 4, 2]


def test_a_group_is_full_at_a_number_of_bytes(bench: Bench, world: World, groups: list[list[str]]) -> None:
    world.payloads = [payload(str(n), "x" * (ingest.GROUP_BYTES // 2)) for n in range(5)]
    bench.run()
    assert [len(group) for group in groups] == [2, 2, 1]


def test_no_document_is_twice_in_a_group_and_the_last_one_counts(
    bench: Bench, world: World, groups: list[list[str]]
) -> None:
    world.payloads = [payload("a", "old"), payload("b", "b"), payload("a", "new", key="elsewhere")]
    report = bench.run()
    assert groups == [["a", "b"], ["a"]]
    assert report.documents == 2
    assert world.held["a"][2] == "new"


def test_a_big_body_rests_in_the_artifact_store(bench: Bench, world: World) -> None:
    big = "x" * (ingest.INLINE_BYTES + 1)
    world.payloads = [payload("small", "x"), payload("big", big)]
    bench.run()
    raw = schema.artifacts.c.kind == "RawPayload"
    inline = bench.rows(schema.artifacts.c.body, raw)
    assert sorted(body is None for body in inline) == [False, True]
    content = bench.rows(schema.documents.c.content, schema.documents.c.source_id == "big")[0]
    assert bench.artifacts.get(content.hex()) == big.encode()


def test_a_sliced_submission_is_cut_into_batches_of_its_size(bench: Bench, world: World) -> None:
    world.payloads = [payload(str(n), f"text {n}") for n in range(10)]
    _, batch, _ = bench.ledger.batches.submit(
        tenant="default", pipeline="tiny", source="given", request="{}", batch_size=4, queued=True
    )
    first = bench.run(batch=batch.id)
    assert first.statuses == {"done": 4}, "the first takes only its own"
    with bench.ledger.database.read() as connection:
        rows = connection.execute(select(schema.batches.c.id, schema.batches.c.status)).all()
    assert [(status, bench.ledger.batches.size(id)) for id, status in rows] == [
        ("complete", 4),
        ("queued", 4),
        ("queued", 2),
    ]


def test_a_listing_that_was_stopped_goes_on_after_what_it_took(
    bench: Bench, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "GROUP_RECORDS", 3)
    world.payloads = [payload(str(n), f"text {n}") for n in range(9)]
    asked = 0

    def stop_at_the_second_group() -> None:
        nonlocal asked
        asked += 1
        if asked == 2:
            raise Stopped("enough")

    with pytest.raises(Stopped):
        bench.run(stop=stop_at_the_second_group)
    assert bench.statuses() == {"pending": 3}
    (number,) = bench.rows(schema.batches.c.id)
    assert bench.run(batch=number).statuses == {"done": 9}
    assert world.texts("ingest") == ["", "2"], "from the cursor of the last record that was taken"


def test_what_is_no_payload_is_the_sources_fault(bench: Bench, world: World) -> None:
    world.payloads = ["not a payload"]  # type: ignore[list-item]
    runner = bench.open_runner()
    run = runner.open(bench.topology, RunRequest("given"))

    class Strange:
        source_id = cursor = "x"

    world.payloads = [Strange()]  # type: ignore[list-item]
    with pytest.raises(InvalidOutput, match="gives RawPayload, not Strange"):
        runner.run_stage(run, "ingest")


def test_a_document_is_called_the_same_everywhere() -> None:
    assert document_id("t", "files", "a") == document_id("t", "files", "a")
    assert len({document_id(*parts) for parts in (("t", "f", "a"), ("t", "fa", ""), ("tf", "", "a"))}) == 3
