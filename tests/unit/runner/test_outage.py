"""One document that a service refuses doesn't stop the others; a service that is away stops the stage, and soon."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import pytest

from penstock.errors import RateLimited, ServiceUnavailable
from penstock.ledger import schema
from penstock.runner import Limits
from tiny import PIPELINE, Bench, Fault, World, payload

pytestmark = pytest.mark.usefixtures("nobody_paused")

STATES = schema.stage_states.c
EACH, MANY = "chunk", "embed"
"""A stage that takes documents one by one, and one that takes a group in one call."""


@pytest.fixture
def ten(world: World) -> World:
    world.payloads = [payload(str(n), f"text {n}") for n in range(10)]
    return world


def refusing(stage: str, names: Collection[str], error: Exception | None = None) -> Fault:
    """The stage's service refuses these documents."""
    refused = {f"text {name}" for name in names}

    def fault(name: str, texts: list[str]) -> None:
        if name == stage and refused & set(texts):
            raise error or ServiceUnavailable("503")

    return fault


@pytest.mark.parametrize("stage", [EACH, MANY])
@pytest.mark.parametrize("refused", ["0", "9", "5", "09", "01", "89", "0189"])
def test_whoever_is_refused_while_others_get_through_is_dead_lettered_alone(
    bench: Bench, ten: World, stage: str, refused: str
) -> None:
    ten.fault = refusing(stage, refused)
    report = bench.run()
    assert report.statuses == {"done": 10 - len(refused), "dead": len(refused)}
    assert {failure.source_id for s in report.stages for failure in s.failures} == set(refused)


@pytest.mark.parametrize("stage", [EACH, MANY])
@pytest.mark.parametrize("group", [1, 2])
def test_poison_in_a_later_group_is_told_by_one_that_got_through_before(
    bench: Bench, ten: World, stage: str, group: int
) -> None:
    bench.limits = Limits(group=group, seconds=0)
    ten.fault = refusing(stage, "45")
    assert bench.run().statuses == {"done": 8, "dead": 2}


@pytest.mark.parametrize("stage", [EACH, MANY])
def test_a_first_document_that_is_refused_stops_one_run_at_most(bench: Bench, ten: World, stage: str) -> None:
    """Alone in its group, with nobody through yet, it looks like an outage. In the next run it comes last."""
    bench.limits = Limits(group=1)
    ten.fault = refusing(stage, "0")
    report = bench.run()
    assert (report.outcome, report.error) == ("failed", f"{stage}: 503")
    assert bench.statuses() == {"failed": 1, "pending": 9}
    assert bench.run().statuses == {"done": 9, "dead": 1}


@pytest.mark.parametrize("stage", [EACH, MANY])
@pytest.mark.parametrize(("through", "calls"), [(0, 6), (4, 4)])
def test_a_service_that_is_away_stops_the_stage_soon(
    bench: Bench, ten: World, stage: str, through: int, calls: int
) -> None:
    bench.limits = Limits(group=4)
    ten.fault = refusing(stage, [str(n) for n in range(through, 10)])
    asked = 0

    def away(name: str, texts: list[str]) -> None:
        nonlocal asked
        if name == stage and (asked or through == 0 or "text 4" in texts):
            asked += 1
            raise ServiceUnavailable("503")

    ten.fault = away
    report = bench.run()
    assert (report.outcome, report.error) == ("failed", f"{stage}: 503")
    assert asked <= calls
    assert set(bench.statuses()) == {"failed", "pending"}
    assert bench.rows(STATES.job_id, (STATES.stage == stage) & (STATES.status == "done")) == list(range(1, through + 1))
    ten.fault = lambda name, texts: None
    assert bench.run().statuses == {"done": 10}


@pytest.mark.parametrize("stage", [EACH, MANY])
@pytest.mark.parametrize("reason", ["rate-limited", "paused"])
def test_a_service_that_asks_to_be_left_alone_makes_nobody_poison(
    bench: Bench, ten: World, stage: str, reason: str
) -> None:
    ten.fault = refusing(stage, "5", RateLimited("not now", reason=reason, retry_after=300))
    report = bench.run()
    assert report.outcome == "failed"
    assert not {"dead", "failed"} & set(bench.statuses()), "the others could not be asked, so nobody is to blame"
    assert report.next_step == "it asks to be left alone for 300 s; after that: penstock retry"


def test_a_circuit_that_opens_makes_nobody_poison(bench: Bench, ten: World) -> None:
    bench.yaml = PIPELINE.replace("ChunkStage, policy: once", "ChunkStage, policy: touchy")
    ten.fault = refusing(EACH, [str(n) for n in range(10)])
    assert bench.run().outcome == "failed"
    assert "dead" not in bench.statuses()


@pytest.mark.parametrize("stage", [EACH, MANY])
def test_a_document_that_is_always_answered_429_fails_alone_and_can_be_tried_again(
    bench: Bench, ten: World, stage: str
) -> None:
    bench.limits = Limits(group=4)
    ten.fault = refusing(stage, "5", RateLimited("too large for your plan"))
    assert bench.run().statuses == {"done": 9, "failed": 1}
    assert bench.run().outcome in ("partial", "failed")
    ten.fault = lambda name, texts: None
    assert bench.run().statuses == {"done": 10}


@pytest.mark.parametrize("stage", ["ChunkStage", "EmbedStage"])
@pytest.mark.parametrize("poison", ["0", "5", "9", "159"])
def test_a_breaker_that_opens_at_the_first_fault_is_not_opened_by_poison(
    bench: Bench, ten: World, stage: str, poison: str
) -> None:
    bench.limits = Limits(group=3)
    bench.yaml = PIPELINE.replace(f"{stage}, policy: once", f"{stage}, policy: touchy")
    ten.fault = refusing(EACH if stage == "ChunkStage" else MANY, list(poison))
    ends = [bench.run().statuses for _ in range(2)]
    assert ends[-1] == {"done": 10 - len(poison), "dead": len(poison)}, ends


class Panic(BaseException):
    """As a library's may be that is written in another language."""


@pytest.mark.parametrize("stage", [EACH, MANY])
@pytest.mark.parametrize("error", [Panic, asyncio.CancelledError, GeneratorExit])
def test_whatever_a_stage_raises_is_its_documents_dead_letter(
    bench: Bench, ten: World, stage: str, error: type[BaseException]
) -> None:
    ten.fault = refusing(stage, "5", error("index out of range"))  # type: ignore[arg-type]
    assert bench.run().statuses == {"done": 9, "dead": 1}


def test_the_advice_of_an_error_reaches_the_report(bench: Bench, ten: World) -> None:
    refused = ServiceUnavailable("401", reason="unauthorized", next_step="check the key")
    ten.fault = refusing(MANY, "0123456789", refused)
    assert bench.run().next_step == "check the key"


def test_trying_again_what_got_through_changes_nothing_about_it(bench: Bench, ten: World) -> None:
    bench.limits = Limits(group=1)
    ten.fault = refusing("index", "3")
    assert bench.run().statuses == {"done": 9, "dead": 1}
    assert ten.texts("index").count("text 2") == 2
    indexed = schema.outbox.c.stage == "index"
    assert bench.rows(schema.outbox.c.type, indexed & (schema.outbox.c.job_id == 3)) == ["started", "completed"]
