"""Downloads from two real hosts, one of which is slow, or asks to be left alone: the other's go on meanwhile."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from hashlib import sha256
from typing import Any

import pytest

from downloads import CATALOGUE, PIPELINE
from penstock.ir import Origin, RawPayload
from penstock.ledger import schema
from penstock.pipelines.loader import load_pipeline
from penstock.pipelines.topology import Stage
from penstock.resilience.http import Http
from penstock.resilience.limits import LocalLimits
from penstock.resilience.policy import Policy
from penstock.runner import Runner, RunReport, RunRequest
from penstock.stages.download import HttpDownload
from tiny import POLICIES, Bench, Listing, World
from wire import Server, whole

PDF = b"%PDF-1.7\n%%EOF"
EACH = 4
SECONDS = 20.0

Speak = Callable[[socket.socket, int], None]


@pytest.fixture
def download(bench: Bench, world: World) -> Iterator[Callable[[Speak, Speak], RunReport]]:
    """Runs the pipeline over EACH documents of two hosts, a0, b0, a1, …, that speak like this."""
    servers: list[Server] = []

    def run(slow: Speak, other: Speak) -> RunReport:
        servers.extend((Server(slow), Server(other)))
        world.payloads = [
            RawPayload(
                source="given",
                source_id=f"{name}{n}",
                kind="record",
                origin=Origin(uri="record", key=f"{name}{n}"),
                content=f"{name}{n}".encode(),
                urls=(f"{server.url}/{n}.pdf",),
                cursor=f"{name}{n}",
            )
            for n in range(EACH)
            for name, server in zip("ab", servers, strict=True)
        ]
        path = bench.folder / "downloads.yaml"
        path.write_text(PIPELINE)
        topology = load_pipeline(path, CATALOGUE, POLICIES, Policy)
        policy = Policy(max_attempts=2, backoff_strategy="none", timeout_seconds=SECONDS)
        with Http(policy, origins=[server.url for server in servers], limits=LocalLimits()) as http:

            def build(stage: Stage) -> Any:
                if stage.type == "IngestStage":
                    return Listing(stage.options, world=world)
                return HttpDownload(
                    stage.options,  # type: ignore[arg-type]
                    http=http,
                    artifacts=bench.artifacts,
                    last_download=lambda ctx: None,
                )

            runner = Runner(bench.ledger, bench.artifacts, build=build, guard=lambda stage: None, sources={})
            with closing(runner):
                return runner.run(topology, RunRequest("given"))

    yield run
    for server in servers:
        server.close()


def test_a_slow_host_holds_up_no_other(bench: Bench, download: Callable[[Speak, Speak], RunReport]) -> None:
    served = threading.Semaphore(0)
    answered_after: list[bool] = []

    def slow(connection: socket.socket, number: int) -> None:
        if number == 1:
            answered_after.append(all(served.acquire(timeout=SECONDS / EACH / 2) for _ in range(EACH)))
        connection.sendall(whole(PDF, "Connection: close"))

    def other(connection: socket.socket, number: int) -> None:
        connection.sendall(whole(PDF, "Connection: close"))
        served.release()

    assert download(slow, other).statuses == {"done": 2 * EACH}
    assert answered_after == [True]
    kept = bench.rows(schema.artifacts.c.body, schema.artifacts.c.kind == "PDFFile")
    assert {bytes(name).decode() for name in kept} == {sha256(PDF).hexdigest()}
    assert bench.artifacts.get(sha256(PDF).hexdigest()) == PDF


def test_a_host_that_asks_to_be_left_alone_is_and_no_other(
    bench: Bench, download: Callable[[Speak, Speak], RunReport]
) -> None:
    report = download(
        lambda connection, _: connection.sendall(whole(b"", "Retry-After: 3600", status="429 Too Many Requests")),
        lambda connection, _: connection.sendall(whole(PDF, "Connection: close")),
    )
    assert (report.outcome, report.statuses) == ("partial", {"done": EACH, "failed": EACH})
    assert {failure.reason for stage in report.stages for failure in stage.failures} <= {"rate-limited", "paused"}
