"""Documents that wait for different services go side by side: who is slow, paused or away holds up nobody else's."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import select, update

from penstock.errors import BadInput, RateLimited, ServiceUnavailable, Stopped, StorageFull, StoreBusy
from penstock.ir import Document, RawPayload, StageContext
from penstock.ledger import schema
from penstock.runner import Limits
from penstock.runner.inputs import Inputs, Task
from tiny import PIPELINE, Bench, Parser, World, payload

pytestmark = pytest.mark.usefixtures("nobody_paused")

STATES = schema.stage_states.c
ONE_STAGE = "\n".join(PIPELINE.splitlines()[:6])
SECONDS = 20.0
"""Longer than anything here takes, unless somebody waits in vain."""


@pytest.fixture
def hosts(bench: Bench, world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Documents a0, b0, a1, b1, …, which are parsed by the host their name begins with."""

    def lane(self: Any, item: RawPayload) -> str:
        return item.source_id[0]

    monkeypatch.setattr(Parser, "lane", lane, raising=False)
    world.payloads = [payload(f"{host}{n}", f"{host}{n}") for n in range(5) for host in "ab"]
    bench.yaml = ONE_STAGE
    return world


def statuses(bench: Bench) -> Counter[tuple[str, str]]:
    """(host, status of its document) → how many."""
    query = select(schema.documents.c.source_id, schema.jobs.c.status).join_from(
        schema.jobs, schema.documents, schema.jobs.c.document_id == schema.documents.c.id
    )
    with bench.ledger.database.read() as connection:
        return Counter((row[0][0], row[1]) for row in connection.execute(query))


def fails_for(host: str, error: Exception) -> Any:
    def fault(stage: str, texts: list[str]) -> None:
        if stage == "parse" and texts[0].startswith(host):
            raise error

    return fault


def test_a_host_that_hangs_holds_up_no_other(bench: Bench, hosts: World) -> None:
    others = threading.Event()

    def fault(stage: str, texts: list[str]) -> None:
        if texts[0].startswith("a") and stage == "parse" and not others.wait(SECONDS):
            raise BadInput("nobody else's turn came")
        if texts == ["b4"]:
            others.set()

    hosts.fault = fault
    assert bench.run().statuses == {"done": 10}


def test_documents_of_one_host_go_one_after_the_other_in_their_order(bench: Bench, hosts: World) -> None:
    busy, most = Counter[str](), Counter[str]()

    def fault(stage: str, texts: list[str]) -> None:
        if stage == "parse":
            host = texts[0][0]
            busy[host] += 1
            most[host] = max(most[host], busy[host])
            time.sleep(0.001)
            busy[host] -= 1

    hosts.fault = fault
    bench.run()
    assert most == {"a": 1, "b": 1}
    parsed = hosts.texts("parse")
    assert [[text for text in parsed if text[0] == host] for host in "ab"] == [
        [f"{host}{n}" for n in range(5)] for host in "ab"
    ]


@pytest.mark.parametrize(
    ("error", "asked"),
    [(ServiceUnavailable("503"), 3), (RateLimited("leave me alone", reason="paused"), 1)],
)
@pytest.mark.parametrize("alone", [False, True])
def test_a_host_that_is_away_fails_its_own_documents_and_soon(
    bench: Bench, hosts: World, monkeypatch: pytest.MonkeyPatch, error: Exception, asked: int, alone: bool
) -> None:
    if alone:  # in the first group
        monkeypatch.setattr("penstock.runner.lane_loop.GROUP", 5)
        hosts.payloads.sort(key=lambda p: p.source_id)

    hosts.fault = fails_for("a", error)
    report = bench.run()
    assert report.outcome == "partial"
    assert statuses(bench) == {("a", "failed"): 5, ("b", "done"): 5}
    assert len([text for text in hosts.texts("parse") if text[0] == "a"]) == asked
    hosts.fault = lambda stage, texts: None
    assert bench.run().statuses == {"done": 10}, "what failed by a service's fault is tried again"


def test_a_host_that_went_away_is_not_asked_again_in_this_run(
    bench: Bench, hosts: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.runner.lane_loop.GROUP", 6)
    hosts.fault = fails_for("a", ServiceUnavailable("503"))
    bench.run()
    assert [text for text in hosts.texts("parse") if text[0] == "a"] == ["a0", "a1", "a2"]
    assert statuses(bench) == {("a", "failed"): 5, ("b", "done"): 5}


def test_when_nobody_gets_through_anywhere_the_stage_fails(bench: Bench, hosts: World) -> None:
    hosts.fault = fails_for("", ServiceUnavailable("503"))
    report = bench.run()
    assert (report.outcome, report.statuses) == ("failed", {"failed": 10})
    assert "not one of 10 documents got through" in report.error


@pytest.mark.parametrize("host", ["", "z"])
def test_a_store_that_is_away_is_no_hosts_fault(bench: Bench, hosts: World, host: str) -> None:
    """Whoever was asked for something when it showed."""
    error = StoreBusy("the artifact store is away")
    error.host = host
    hosts.fault = fails_for("a", error)
    report = bench.run()
    assert (report.outcome, report.error) == ("failed", "parse: the artifact store is away")
    assert statuses(bench)["a", "pending"] == 2, "those that nobody tried"


def test_poison_of_one_host_is_dead_lettered_alone(bench: Bench, hosts: World) -> None:
    hosts.fault = fails_for("a3", ServiceUnavailable("503"))
    assert bench.run().statuses == {"done": 9, "dead": 1}


@pytest.mark.parametrize("error", [StorageFull("no room"), Stopped("stopped by a test")])
def test_what_is_nobodys_fault_ends_all_and_gives_back_what_was_held(
    bench: Bench, hosts: World, error: Exception
) -> None:
    hosts.fault = fails_for("a2", error)
    with pytest.raises(type(error), match=str(error)):
        bench.run()
    assert set(bench.rows(STATES.status, STATES.stage == "parse")) <= {"done", "pending"}
    hosts.fault = lambda stage, texts: None
    bench.run()
    assert bench.statuses() == {"done": 10}
    assert max(Counter(hosts.texts("parse")).values()) <= 2


def test_a_request_to_stop_reaches_every_lane(bench: Bench, hosts: World) -> None:
    asked = threading.Event()

    def stop() -> None:
        if asked.is_set():
            raise Stopped("stopped by a test")

    hosts.fault = lambda stage, texts: asked.set() if texts == ["b1"] else None
    with pytest.raises(Stopped, match="by a test"):
        bench.run(stop=stop)
    assert "running" not in bench.rows(STATES.status)


def test_a_request_to_stop_waits_for_no_document_that_takes_long(
    bench: Bench, hosts: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.runner.lanes.GRACE_SECONDS", 0.5)
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def fault(stage: str, texts: list[str]) -> None:
        if texts == ["a0"] and stage == "parse":
            begun.set()
            go_on.wait(SECONDS)
            ended.set()

    def stop() -> None:
        if begun.is_set():
            raise Stopped("stopped by a test")

    hosts.fault = fault
    try:
        with pytest.raises(Stopped, match="by a test"):
            bench.run(stop=stop)
        assert not ended.is_set()
        assert "running" not in bench.rows(STATES.status)
    finally:
        go_on.set()
    assert ended.wait(SECONDS)
    hosts.fault = lambda stage, texts: None
    assert bench.run().statuses == {"done": 10}


def test_what_is_through_when_a_stop_is_asked_for_is_kept(bench: Bench, hosts: World) -> None:
    asked = threading.Event()

    def fault(stage: str, texts: list[str]) -> None:
        if texts == ["a2"]:
            asked.set()

    def stop() -> None:
        if asked.is_set():
            raise Stopped("stopped by a test")

    hosts.fault = fault
    with pytest.raises(Stopped, match="by a test"):
        bench.run(stop=stop)
    assert statuses(bench)["a", "done"] == 3


def test_an_interrupt_leaves_lanes_to_themselves_and_what_they_commit_late_is_fenced_off(
    bench: Bench, hosts: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lane can't be broken off in mid-request: who interrupts twice does not want to wait for it."""
    go_on, begun = threading.Event(), threading.Event()
    execute = Parser.execute

    def slow(self: Any, ctx: StageContext, item: RawPayload) -> Document:
        if item.source_id == "a0":
            begun.set()
            assert go_on.wait(SECONDS)
        return execute(self, ctx, item)

    def interrupted(*_: Any) -> None:
        assert begun.wait(SECONDS)
        raise KeyboardInterrupt

    monkeypatch.setattr(Parser, "execute", slow)
    monkeypatch.setattr("penstock.runner.stage.StageLoop._settle", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bench.run()
    monkeypatch.undo()
    go_on.set()
    assert "running" not in bench.rows(STATES.status)


def test_lanes_are_worked_off_by_a_bounded_number_of_threads(
    bench: Bench, hosts: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.runner.lanes.MOST", 2)
    monkeypatch.setattr(Parser, "lane", lambda self, item: item.source_id)
    before = threading.active_count()
    seen = []
    hosts.fault = lambda stage, texts: seen.append(threading.active_count())
    bench.limits = Limits(group=64)
    assert bench.run().statuses == {"done": 10}
    assert max(seen) <= before + 3  # the session's heartbeat is one, too


def test_who_is_claimed_later_does_not_wait_for_the_slowest_of_those_claimed_before(
    bench: Bench, hosts: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.runner.lane_loop.GROUP", 3)
    last = threading.Event()

    def fault(stage: str, texts: list[str]) -> None:
        if texts == ["a0"] and stage == "parse" and not last.wait(SECONDS):
            raise BadInput("nobody else's turn came")
        if texts == ["b4"]:
            last.set()

    hosts.fault = fault
    assert bench.run().statuses == {"done": 10}


def test_dozens_that_wait_hold_up_no_other(bench: Bench, hosts: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Parser, "lane", lambda self, item: item.source_id)
    hosts.payloads = [payload(f"h{n}", f"h{n}") for n in range(100)]
    last = threading.Event()

    def fault(stage: str, texts: list[str]) -> None:
        if stage == "parse" and texts == ["h99"]:
            last.set()
        elif stage == "parse" and not last.wait(SECONDS):
            raise BadInput("the last one's turn never came")

    hosts.fault = fault
    assert bench.run().statuses == {"done": 100}


def test_no_more_are_held_than_allowed(bench: Bench, hosts: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.runner.lane_loop.GROUP", 2)
    monkeypatch.setattr("penstock.runner.lane_loop.HELD", 4)
    bench.limits = Limits(seconds=0)
    held: list[int] = []
    hosts.fault = lambda stage, texts: held.append(len(bench.rows(STATES.job_id, STATES.status == "running")))
    assert bench.run().statuses == {"done": 10}
    assert 2 < max(held) <= 5


def test_what_waits_for_nobody_is_read_no_further_ahead_than_there_is_room(
    bench: Bench, hosts: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.runner.stage.COMMIT_BYTES", 1)
    monkeypatch.setattr(Parser, "lane", lambda self, item: "")
    through: list[int] = []
    read = Inputs.read

    def reading(self: Inputs, tasks: list[Task]) -> None:
        through.append(len(hosts.texts("parse")))
        read(self, tasks)

    monkeypatch.setattr(Inputs, "read", reading)
    assert bench.run().statuses == {"done": 10}
    assert through == list(range(10))


def lost(bench: Bench, hosts: World, times: int, *, only: str = "%") -> list[int]:
    """Documents, whose names are like that, have lost so many leases; their jobs."""
    asked = threading.Event()

    def stop() -> None:
        if asked.is_set():
            raise Stopped("stopped by a test")

    hosts.fault = lambda stage, texts: asked.set() if stage == "parse" else None
    with pytest.raises(Stopped):
        bench.run(stop=stop)
    those = select(schema.jobs.c.id).join(schema.documents, schema.jobs.c.document_id == schema.documents.c.id)
    with bench.ledger.database.write() as connection:
        jobs = list(connection.execute(those.where(schema.documents.c.source_id.like(only))).scalars())
        connection.execute(update(schema.stage_states).where(STATES.job_id.in_(jobs)).values(lost=times))
    return jobs


def test_who_may_have_killed_a_runner_has_no_company(bench: Bench, hosts: World) -> None:
    """Else a further loss would count against a document that was not claimed alone."""
    [one] = lost(bench, hosts, 2, only="b3")
    company: list[int] = []

    def fault(stage: str, texts: list[str]) -> None:
        if texts == ["b3"]:
            company.extend(bench.rows(STATES.job_id, (STATES.status == "running") & (STATES.stage == "parse")))

    hosts.fault = fault
    assert bench.run().statuses.get("done") == 10
    assert company == [one]


def test_after_a_kill_a_few_go_at_a_time_and_none_waits_for_the_slowest(
    bench: Bench, hosts: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Parser, "lane", lambda self, item: item.source_id)
    hosts.payloads = [payload(f"h{n:02}", f"h{n:02}") for n in range(20)]
    assert len(lost(bench, hosts, 1)) == 20
    held, last = [], threading.Event()

    def fault(stage: str, texts: list[str]) -> None:
        held.append(len(bench.rows(STATES.job_id, (STATES.status == "running") & (STATES.stage == "parse"))))
        if texts == ["h19"]:
            last.set()
        elif texts == ["h05"] and not last.wait(SECONDS):
            raise BadInput("the last one's turn never came")

    hosts.fault = fault
    assert bench.run().statuses == {"done": 20}
    assert 2 < max(held) <= 8
