"""Documents that wait for one host, and then turn out to wait for another: it redirects, or a second URL has to do.
What that other one does is neither the first one's fault nor any other document's. By real servers."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import select

from downloads import CATALOGUE, PIPELINE
from penstock.ir import Origin, RawPayload
from penstock.ledger import schema
from penstock.pipelines.loader import load_pipeline
from penstock.pipelines.topology import Stage
from penstock.resilience.http import Http
from penstock.resilience.limits import LocalLimits
from penstock.resilience.policy import Policy, leaving_alone
from penstock.runner import Runner, RunRequest
from penstock.stages.download import HttpDownload
from tiny import POLICIES, Bench, Listing, World
from wire import Server, whole

POLICY = Policy(max_attempts=2, backoff_strategy="none", timeout_seconds=10)
CLOSE = "Connection: close"
AWAY = whole(b"", CLOSE, status="503 Away")
PAUSED = whole(b"", CLOSE, "Retry-After: 3600", status="429 Later")
PDF = whole(b"%PDF-1.7\n%%EOF", CLOSE)


class Host(Server):
    """Answers each request with the same, but sends who asks for /to/HOST/… there, and has nothing under /no/."""

    def __init__(self, answer: bytes, hosts: dict[str, Host]) -> None:
        self._answer, self._hosts = answer, hosts
        super().__init__(self._say)

    def _say(self, connection: socket.socket, number: int) -> None:
        _, first, *more = self.requests[number - 1].split(b" ")[1].decode().split("/")
        if first == "to":
            location = "/".join([self._hosts[more[0]].url, *more[1:]])
            connection.sendall(whole(b"", CLOSE, f"Location: {location}", status="302 Found"))
        elif first == "no":
            connection.sendall(whole(b"", CLOSE, status="404 Not Found"))
        else:
            connection.sendall(self._answer)


Download = Callable[..., dict[str, tuple[str, str | None]]]


@pytest.fixture
def hosts() -> Iterator[dict[str, Host]]:
    """a and c give PDFs, b is away."""
    made: dict[str, Host] = {}
    for name in "abc":
        made[name] = Host(AWAY if name == "b" else PDF, made)
    yield made
    for host in made.values():
        host.close()


@pytest.fixture
def download(bench: Bench, world: World, hosts: dict[str, Host]) -> Download:
    """Runs the pipeline over documents of these URLs (HOST/PATH, several parted by blanks); answered are each one's
    status and the reason of its failure."""

    def run(*documents: str) -> dict[str, tuple[str, str | None]]:
        world.payloads = [
            RawPayload(
                source="given",
                source_id=f"{n} {urls}",
                kind="record",
                origin=Origin(uri="record", key=str(n)),
                content=str(n).encode(),
                urls=tuple(f"{hosts[url[0]].url}{url[1:]}/{n}.pdf" for url in urls.split()),
                cursor=f"{n} {urls}",
            )
            for n, urls in enumerate(documents)
        ]
        path = bench.folder / "downloads.yaml"
        path.write_text(PIPELINE)
        topology = load_pipeline(path, CATALOGUE, POLICIES, Policy)
        origins = [host.url for host in hosts.values()]
        with Http(leaving_alone(POLICY), origins=origins, limits=LocalLimits()) as http:

            def build(stage: Stage) -> Any:
                if stage.type == "IngestStage":
                    return Listing(stage.options, world=world)
                services: Any = {"http": http, "artifacts": bench.artifacts, "last_download": lambda ctx: None}
                return HttpDownload(stage.options, **services)  # type: ignore[arg-type]

            runner = Runner(bench.ledger, bench.artifacts, build=build, guard=lambda stage: None, sources={})
            with closing(runner):
                runner.run(topology, RunRequest("given"))
        return ended(bench)

    return run


def ended(bench: Bench) -> dict[str, tuple[str, str | None]]:
    states = schema.stage_states.c
    query = (
        select(schema.documents.c.source_id, states.status, states.reason)
        .join_from(schema.stage_states, schema.jobs, states.job_id == schema.jobs.c.id)
        .join(schema.documents, schema.jobs.c.document_id == schema.documents.c.id)
        .where(states.stage == "download")
    )
    with bench.ledger.database.read() as connection:
        return {
            row[0].partition(" ")[2] + f" #{row[0].split()[0]}": (row[1], row[2]) for row in connection.execute(query)
        }


def told(ended: dict[str, tuple[str, str | None]]) -> dict[str, set[tuple[str, str | None]]]:
    """URLs → how the documents of these URLs ended."""
    found: dict[str, set[tuple[str, str | None]]] = {}
    for name, end in ended.items():
        found.setdefault(name.partition(" #")[0], set()).add(end)
    return found


@pytest.mark.parametrize("turned", [False, True], ids=["b first", "c first"])
@pytest.mark.parametrize(
    ("to_b", "to_c"), [("a/to/b", "a/to/c"), ("a/no b/x", "a/no c/x")], ids=["redirects", "further URLs"]
)
@pytest.mark.parametrize(
    ("b_says", "reason"), [(AWAY, "service-unavailable"), (PAUSED, "paused")], ids=["away", "paused"]
)
def test_another_host_that_is_away_fails_its_own_documents_only(
    hosts: dict[str, Host], download: Download, to_b: str, to_c: str, b_says: bytes, reason: str, turned: bool
) -> None:
    hosts["b"]._answer = b_says
    documents = [*[to_b] * 3, *[to_c] * 3, "a/x"]
    found = told(download(*(reversed(documents) if turned else documents)))
    assert found.pop(to_b) <= {("failed", reason), ("failed", "rate-limited")}
    assert found == {to_c: {("done", None)}, "a/x": {("done", None)}}


def test_who_got_through_by_another_host_is_no_proof_that_the_first_is_there(
    hosts: dict[str, Host], download: Download
) -> None:
    """Else those that have nothing but the first one, which is away, would be taken for poison."""
    found = told(download("b/x c/x", "b/x", "b/x", "b/x c/x"))
    assert found["b/x"] == {("failed", "service-unavailable")}
    assert ("done", None) in found["b/x c/x"]
    assert not [end for ends in found.values() for end in ends if end[0] == "dead"]


def test_poison_of_the_first_host_is_known_as_such_by_those_that_it_redirects(
    hosts: dict[str, Host], download: Download
) -> None:
    """It answers them, after all."""
    found = told(download("b/to/c", "b/to/c", "b/x", "b/to/c", "b/x", "b/to/c"))
    assert found == {"b/to/c": {("done", None)}, "b/x": {("dead", "service-unavailable")}}


def test_a_port_that_goes_without_saying_and_a_name_in_other_letters_are_the_same_host() -> None:
    with Http(POLICY) as http:
        services: Any = {"http": http, "artifacts": None, "last_download": None}
        stage = HttpDownload(HttpDownload.Options(), **services)
        origin = Origin(uri="record", key="1")
        lanes = {
            stage.lane(RawPayload(source="s", source_id="1", kind="x", origin=origin, content=b"{}", urls=(url,)))
            for url in (
                "https://PAPERS.test:443/a",
                "http://papers.test/a",
                "https://user@papers.test/a",
            )
        }
    assert lanes == {"papers.test"}


@pytest.mark.parametrize("b_says", [AWAY, PAUSED], ids=["away", "paused"])
def test_who_has_somewhere_else_to_go_goes_there_when_the_first_host_is_away(
    hosts: dict[str, Host], download: Download, b_says: bytes
) -> None:
    hosts["b"]._answer = b_says
    found = told(download(*["b/x"] * 3, *["b/x a/no c/x"] * 2, *["b/x a/no"] * 2))
    assert found["b/x a/no c/x"] == {("done", None)}
    assert {status for urls in ("b/x", "b/x a/no") for status, _ in found[urls]} == {"failed"}
    assert hosts["b"].connections <= 3 * POLICY.max_attempts
