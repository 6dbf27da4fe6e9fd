"""Listing cuts records into groups that commit together, and goes on where it stopped."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import select

from penstock.errors import InvalidOutput, ListingShort, ServiceUnavailable, Stopped
from penstock.ir import RawPayload
from penstock.ledger import schema
from penstock.ledger.intake import Intake
from penstock.runner import RunReport, RunRequest, ingest
from penstock.runner.ingest import document_id
from tiny import Bench, World, payload


class Breaking(list[RawPayload]):
    """Payloads whose listing breaks off after the last."""

    def __init__(self, payloads: list[RawPayload], error: Exception) -> None:
        super().__init__(payloads)
        self._error = error

    def __getitem__(self, which: Any) -> Any:
        yield from super().__getitem__(which)
        raise self._error


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


def test_a_page_is_committed_before_the_next_one_is_asked_for(
    bench: Bench, world: World, groups: list[list[str]]
) -> None:
    taken: list[int] = []

    class Paged(list[RawPayload]):
        def __getitem__(self, which: Any) -> Any:
            for each in super().__getitem__(which):
                taken.append(len(groups))
                yield each

    last = {"page_end": True}
    pages = [payload(str(n), f"text {n}") for n in range(5)]
    world.payloads = Paged(p.model_copy(update=last) if p.source_id in ("1", "3") else p for p in pages)
    assert bench.run().statuses == {"done": 5}
    assert groups == [["0", "1"], ["2", "3"], ["4"]]
    assert taken[-5:] == [0, 0, 1, 1, 2]


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
    _, batch, _ = bench.ledger.submissions.submit(
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


def sliced(bench: Bench, size: int) -> int:
    asked = {"tenant": "default", "pipeline": "tiny", "source": "given", "request": "{}"}
    return bench.ledger.submissions.submit(**asked, batch_size=size, queued=True)[1].id


def all_stages(bench: Bench, batch: int, run_id: str, root: str | None = None) -> RunReport:
    """A run as Dagster would do it, or its re-execution with all its stages."""
    with closing(bench.open_runner()) as runner:
        run = runner.open(bench.topology, RunRequest("given", batch=batch), run_id=run_id, root_run_id=root)
        return runner.finish(run, [runner.run_stage(run, stage.name) for stage in bench.topology.stages])


def test_a_re_execution_takes_what_is_new_and_leaves_other_slices_alone(bench: Bench, world: World) -> None:
    world.payloads = [payload(str(n), f"text {n}") for n in range(5)]
    first = sliced(bench, 2)
    for number in (first, first + 1, first + 2):
        assert all_stages(bench, number, f"run {number}").outcome == "complete"
    world.payloads[3] = payload("3", "mended")
    world.payloads.append(payload("5", "new"))
    report = all_stages(bench, first + 1, "again", f"run {first + 1}")
    assert report.statuses == {"done": 3, "superseded": 1}, "its own, the mended one and the new one"
    assert bench.statuses() == {"done": 6, "superseded": 1}
    assert len(bench.rows(schema.batches.c.id)) == 3, "no slice was cut again"


def test_a_slice_that_is_cut_lists_nothing_when_its_source_is_away(
    bench: Bench, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "GROUP_RECORDS", 1)
    whole = [payload(str(n), f"text {n}") for n in range(6)]
    first = sliced(bench, 2)
    world.payloads = Breaking(whole[:5], ServiceUnavailable("away"))
    with pytest.raises(ServiceUnavailable):
        all_stages(bench, first, "first")
    assert all_stages(bench, first + 1, "second").statuses == {"done": 2}
    world.payloads = whole
    assert all_stages(bench, first, "first again", "first").statuses == {"done": 2}
    assert bench.statuses() == {"done": 4, "pending": 2}
    third = [bench.ledger.batches.batch(first + 2).status, bench.ledger.batches.size(first + 2)]
    assert third == ["queued", 2], "the slice that was being filled was taken back and filled"


def test_what_is_no_payload_is_the_sources_fault(bench: Bench, world: World) -> None:
    world.payloads = ["not a payload"]  # type: ignore[list-item]
    runner = bench.open_runner()
    run = runner.open(bench.topology, RunRequest("given"))

    class Strange:
        source_id = cursor = "x"

    world.payloads = [Strange()]  # type: ignore[list-item]
    with pytest.raises(InvalidOutput, match="gives RawPayload, not Strange"):
        runner.run_stage(run, "ingest")


def test_what_a_source_raises_by_mistake_is_one_line_and_ends_the_run(bench: Bench, world: World) -> None:
    world.payloads = Breaking([payload("a", "x")], ValueError("no such key"))
    report = bench.run()
    assert (report.outcome, report.error) == ("failed", "ingest: source 'given' failed: ValueError: no such key")
    assert bench.rows(schema.batches.c.status) == ["failed"]


def test_a_listing_that_another_runner_took_over_is_waited_for(
    bench: Bench, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that was stopped past its lease finds its listing done, and goes on with the documents."""
    monkeypatch.setattr(ingest, "GROUP_RECORDS", 2)
    world.payloads = [payload(str(n), f"text {n}") for n in range(6)]
    take, other = Intake.take, bench.open_runner()
    calls = 0

    def overtaken(self, route, batch, group, **more):  # type: ignore[no-untyped-def]
        nonlocal calls
        calls += 1
        if calls == 2:
            monkeypatch.setattr(Intake, "take", take)
            bench.ledger.leases.end(more_than_one(bench))
            run = other.open(bench.topology, RunRequest("given", batch=batch))
            other.run_stage(run, "ingest")
        return take(self, route, batch, group, **more)

    monkeypatch.setattr(Intake, "take", overtaken)
    assert bench.run().statuses == {"done": 6}


def more_than_one(bench: Bench) -> int:
    """The runner that is at work."""
    return max(bench.rows(schema.runners.c.id, schema.runners.c.ended_at.is_(None)))


def test_a_name_no_database_would_index_is_shortened_and_stays_one_documents_own(bench: Bench, world: World) -> None:
    long = "é" * 5000
    world.payloads = [payload(long + "a", "text a"), payload(long + "b", "text b")]
    assert bench.run().statuses == {"done": 2}
    assert bench.run().stages[0].reused == 2
    names = bench.rows(schema.documents.c.source_id)
    assert len(set(names)) == 2
    assert all(len(name.encode()) <= ingest.MAX_NAME_BYTES and name.startswith("éé") for name in names)


def test_the_next_run_writes_again_what_a_store_that_was_lost_held(bench: Bench, world: World) -> None:
    world.payloads = [payload("a", "text a"), payload("b", "text b")]
    bench.run()
    world.store, world.held = "store-2", {}
    world.payloads = [payload("c", "text c")]
    report = bench.run()
    assert report.statuses == {"done": 3}
    assert sorted(world.held) == ["a", "b", "c"]
    assert "2 documents come to index once more: the index they were written to is gone" in report.notes
    assert bench.run().nothing_to_do


def test_a_document_is_called_the_same_everywhere() -> None:
    assert document_id("t", "files", "a") == document_id("t", "files", "a")
    assert len({document_id(*parts) for parts in (("t", "f", "a"), ("t", "fa", ""), ("tf", "", "a"))}) == 3


def test_what_a_broken_listing_leaves_is_found_by_who_asks(bench: Bench, world: World) -> None:
    world.payloads = Breaking([payload("a", "x")], ServiceUnavailable("away"))
    with pytest.raises(ServiceUnavailable):
        bench.run()
    find = bench.ledger.submissions.broken_off
    (batch,) = find("default", ["tiny"])
    assert find("default", ["another"]) == find("other", ["tiny"]) == []
    world.payloads = [payload("a", "x"), payload("b", "y")]
    assert bench.run(batch=batch.id).statuses == {"done": 2}
    assert find("default", ["tiny"]) == []


def test_a_listing_that_comes_up_short_is_taken_and_nothing_is_retired_by_it(bench: Bench, world: World) -> None:
    world.payloads = [payload(name, name) for name in "abc"]
    assert bench.run().outcome == "complete"
    world.payloads = Breaking([payload("d", "d")], ListingShort("the listing came up short by 3"))
    with closing(bench.open_runner()) as runner:
        report = runner.run(bench.topology, RunRequest("given", retire="all"))
    assert (report.outcome, report.statuses) == ("complete", {"done": 1})
    assert report.notes == ["the listing came up short by 3; nothing is retired by it"]
    assert bench.statuses() == {"done": 4}
    assert set(bench.rows(schema.submissions.c.status)) == {"listed"}


def test_a_slice_is_let_go_when_the_run_that_lists_is_given_up(bench: Bench, world: World) -> None:
    first = sliced(bench, 2)
    submission = bench.ledger.submissions.get(1)
    world.payloads = [payload(str(n), f"text {n}") for n in range(2)]
    runner = bench.open_runner()
    listing = bench.ledger.submissions.lease_listing(1, runner.session.runner)
    assert listing is not None
    run = runner.open(bench.topology, RunRequest("given", batch=first))
    runner._ingest.take(run.plan, run.plan.stages["ingest"], run.scope, "given", world.payloads)
    filling, _ = bench.ledger.submissions.filling(submission, first)
    assert bench.ledger.batches.batch(filling.id).status == "filling"
    bench.ledger.batches.requeue(first, note="died", attempts=0)
    assert bench.ledger.batches.batch(filling.id).status == "queued"
