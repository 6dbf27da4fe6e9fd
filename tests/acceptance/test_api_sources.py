"""The three API sources from the command line, against a server of recorded records in a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

import oracle
from house import PATIENCE, ROOT, Child, House, pipeline, until

KEY = "k3y-canary"
POLICIES = """\
policies:
  default: {max_attempts: 1, backoff_strategy: none, timeout_seconds: 60}
  polite-api: {max_attempts: 3, backoff_strategy: none, timeout_seconds: 20, rate_limit_per_second: RATE}
"""
ALL = pipeline().replace("[files]", "[clinicaltrials, openalex, openfda-drug-label]")
LISTING = """\
version: "1.0"
name: counted
applicable_sources: [clinicaltrials]
stages:
  - {name: ingest, type: IngestStage}
"""


@dataclass(frozen=True)
class Server:
    """`requests()`: when each came, and what it asked for."""

    url: str
    log: Path

    @property
    def environment(self) -> dict[str, str]:
        services = (("CLINICALTRIALS", "ctgov"), ("OPENALEX", "openalex"), ("OPENFDA", "openfda"))
        urls = {f"PENSTOCK_{name}_URL": f"{self.url}/{path}" for name, path in services}
        return urls | {"PENSTOCK_OPENALEX_KEY": KEY, "PENSTOCK_OPENFDA_KEY": KEY}

    def requests(self) -> list[tuple[float, dict[str, str]]]:
        lines = [line.split() for line in self.log.read_text().splitlines()] if self.log.exists() else []
        return [(float(at), {k: v[0] for k, v in parse_qs(urlsplit(path).query).items()}) for at, path in lines]

    def pages(self) -> Counter[str]:
        """Page token → how often it was asked for."""
        return Counter(asked.get("pageToken", "first") for _, asked in self.requests())


@pytest.fixture
def serve(tmp_path: Path, data: Path) -> Iterator[Callable[..., Server]]:
    """Starts the server, with so many small studies more."""
    running: list[subprocess.Popen[str]] = []

    def start(studies: int = 0) -> Server:
        log = tmp_path / "requests"
        command = [sys.executable, str(ROOT / "tests/api_server.py"), str(log), str(data), str(studies)]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        assert running[-1].stdout is not None
        return Server(running[-1].stdout.readline().strip(), log)

    yield start
    for process in running:
        process.kill()
        process.communicate(timeout=PATIENCE)


def ask(house: House, server: Server, source: str, *arguments: str) -> Child:
    return house.start("run", "counted", "--source", source, *arguments, **server.environment)


@pytest.mark.parametrize(("source", "limit"), [("clinicaltrials", 60), ("openalex", 60), ("openfda-drug-label", 2)])
def test_a_search_becomes_documents_and_its_key_is_written_nowhere(
    house: House, serve: Callable[..., Server], source: str, limit: int
) -> None:
    server = serve()
    house.configure(ALL, POLICIES.replace("RATE", "50"))
    ran = ask(house, server, source, "--query", "metformin AND obesity", "--limit", str(limit), "--json").result()
    assert ran.status == 0, ran.err
    assert ran.report["statuses"] == {"done": limit}
    assert oracle.problems(house.home) == []
    assert {asked.get("api_key") for _, asked in server.requests()} == {None if source == "clinicaltrials" else KEY}
    written = [path for path in house.home.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert written == []
    assert KEY not in ran.out + ran.err


def test_a_killed_listing_goes_on_and_fetches_at_most_the_page_in_flight_again(
    house: House, serve: Callable[..., Server]
) -> None:
    server = serve(1000)
    house.configure(LISTING, POLICIES.replace("RATE", "20"))
    kills = (4, 11)
    for seen in kills:
        child = ask(house, server, "clinicaltrials", "--query", "x")
        until(lambda seen=seen: len(server.requests()) >= seen, "the listing comes that far")
        child.process.kill()
        assert child.result().status < 0
    ran = ask(house, server, "clinicaltrials", "--query", "x", "--json").result()
    assert ran.status == 0, ran.err
    pages = server.pages()
    assert len(pages) > 20
    assert 50 * (len(pages) - 1) < ran.report["documents"] <= 50 * len(pages)
    assert sum(pages.values()) - len(pages) <= len(kills)


def test_what_is_asked_again_is_only_what_changed_unless_everything_is_wanted(
    house: House, serve: Callable[..., Server]
) -> None:
    server = serve(100)
    house.configure(LISTING, POLICIES.replace("RATE", "50"))
    first = ask(house, server, "clinicaltrials", "--query", "x", "--json").result().report
    asked = len(server.requests())
    again = ask(house, server, "clinicaltrials", "--query", "x", "--json").result().report
    assert again["documents"] == 0
    assert len(server.requests()) == asked + 1
    assert re.search(r"RANGE\[20\d\d-\d\d-\d\d,MAX\]", server.requests()[-1][1]["filter.advanced"])
    assert "--full" in again["notes"][0]
    full = ask(house, server, "clinicaltrials", "--query", "x", "--full", "--json").result().report
    assert full["documents"] == first["documents"]
    assert full["nothing_to_do"]
    assert len(server.requests()) == 2 * asked + 1


def test_four_runs_together_stay_under_a_services_limit_and_none_is_starved(
    house: House, serve: Callable[..., Server]
) -> None:
    server = serve(1000)
    house.configure(LISTING, POLICIES.replace("RATE", "5"))
    words = [f"words {n}" for n in range(4)]
    children = [ask(house, server, "clinicaltrials", "--query", each, "--limit", "800") for each in words]
    for child in children:
        ran = child.result()
        assert ran.status == 0, ran.err
    came = sorted(at for at, _ in server.requests())
    assert len(came) == 64
    assert max(sum(begin <= at < begin + 10 for at in came) for begin in came) <= 55
    moments = [[at for at, asked in server.requests() if asked["query.term"] == each] for each in words]
    begin, end = max(map(min, moments)), min(map(max, moments))  # while all four are at it
    shares = [sum(begin <= at <= end for at in each) for each in moments]
    assert max(shares) <= 2 * min(shares) + 2, shares


def test_the_demo_tours_what_the_live_sources_have_of_a_drug(house: House, serve: Callable[..., Server]) -> None:
    server = serve()
    config = {"PENSTOCK_CONFIG": str(ROOT / "config/orchestration"), "PENSTOCK_EMBEDDER": "none"}
    ran = house.penstock("demo", "--live", "metformin", **server.environment, **config)
    assert ran.status == 0, ran.err
    for source in ("clinicaltrials", "openalex", "openfda-drug-label"):
        assert f"penstock run auto --source {source} --query 'metformin' --limit 40" in ran.out
    for kind in ("clinicaltrials-study", "openalex-work", "openfda-drug-label"):
        assert re.search(rf"^  {kind} +\d+", ran.out, re.MULTILINE)
    assert "the very same text stands there" in ran.out
    assert KEY not in ran.out + ran.err


def test_a_live_source_that_is_away_leaves_the_others_their_tour(house: House, serve: Callable[..., Server]) -> None:
    server = serve()
    config = {"PENSTOCK_CONFIG": str(house.folder / "config"), "PENSTOCK_EMBEDDER": "none"}
    house.configure(ALL.replace("name: counted", "name: auto"), POLICIES.replace("RATE", "50"))
    away = {"PENSTOCK_OPENALEX_URL": "http://127.0.0.1:9"}
    ran = house.penstock("demo", "--live", "metformin", **(server.environment | away | config))
    assert ran.status == 1
    assert "127.0.0.1:9" in ran.err
    assert "what to type next:" in ran.out
