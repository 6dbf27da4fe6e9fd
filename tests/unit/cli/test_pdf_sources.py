"""`penstock run pdf-two-phase` from each source that says where PDFs may be had, up to the gate."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from api_server import Answer, Service, compact, papers, serving
from command import Penstock

EMAIL = "canary@example.org"


@pytest.fixture
def services(data: Path) -> dict[str, Service]:
    return {service.name: service for service in papers(data)}


@pytest.fixture
def server(
    penstock: Penstock, services: dict[str, Service], root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """All that is asked is at one address, which only the operator's word makes one to be asked; none has to wait."""
    config = shutil.copytree(root / "config", tmp_path / "config") / "orchestration"
    policies = config / "resilience.yaml"
    policies.write_text(re.sub(r" *rate_limit_per_second.*", "", policies.read_text()))
    monkeypatch.setenv("PENSTOCK_CONFIG", str(config))
    with serving(*services.values()) as url:
        for name, path in (("UNPAYWALL", "unpaywall"), ("CORE", "core"), ("NCBI", "ncbi"), ("NCBI_BUCKET", "pmc")):
            monkeypatch.setenv(f"PENSTOCK_{name}_URL", f"{url}/{path}")
        monkeypatch.setenv("PENSTOCK_UNPAYWALL_EMAIL", EMAIL)
        monkeypatch.setenv("PENSTOCK_NCBI_KEY", "k3y-canary")
        monkeypatch.setenv("PENSTOCK_DOWNLOAD_ORIGINS", url)
        yield url


def kept(folder: Path) -> set[str]:
    """The digests of the PDFs that were kept."""
    files = (path.read_bytes() for path in folder.rglob("*") if path.is_file())
    return {sha256(content).hexdigest() for content in files if content.startswith(b"%PDF-")}


def digests(services: dict[str, Service]) -> set[str]:
    return {sha256(content).hexdigest() for content in services["pdf"].records.values()}


@pytest.mark.parametrize("source", ["unpaywall", "core", "pmc-fulltext", "urls"])
def test_pdfs_are_had_from_where_a_source_says_and_wait_at_the_gate(
    penstock: Penstock, server: str, services: dict[str, Service], tmp_path: Path, source: str
) -> None:
    query = {
        "unpaywall": [f"dois={doi}" for doi in services["unpaywall"].records],
        "core": ["anything"],
        "pmc-fulltext": ["anything"],
        "urls": [f"urls={server}/pdf/{name}" for name in services["pdf"].records],
    }[source]
    arguments = [argument for each in query for argument in ("--query", each)]
    said = penstock("run", "pdf-two-phase", "--source", source, *arguments, "--json")
    assert said.status == 0, said.out + said.err
    assert said.json["statuses"] == {"waiting": len(services["pdf"].records)}
    assert kept(tmp_path / ".penstock/artifacts") == digests(services)
    if source == "pmc-fulltext":
        assert "/pmc/PMC1.2/PMC1.2.pdf" in [path for _, path in services["pmc"].asked]
    again = penstock("run", "pdf-two-phase", "--source", source, *arguments, "--json")
    assert again.json["statuses"] == said.json["statuses"]
    files = Counter(path for name in ("pdf", "pmc") for _, path in services[name].asked if path.endswith(".pdf"))
    assert set(files.values()) == {1}
    secrets = [
        path for path in (tmp_path / ".penstock").rglob("*") if path.is_file() and b"canary" in path.read_bytes()
    ]
    assert (secrets, "canary" in said.out + said.err) == ([], False)


def test_what_cannot_be_had_is_dead_for_its_own_reason(
    penstock: Penstock, server: str, services: dict[str, Service]
) -> None:
    records = services["unpaywall"].records
    first, second, third, *_ = records
    records[second] = records[second].replace(b".pdf", b".gone")
    records["10.5555/closed"] = b'{"doi":"10.5555/closed","title":"T","best_oa_location":null,"oa_locations":[]}'
    services["pdf"].records[list(services["pdf"].records)[2]] = b"<!doctype html><title>Please sign in</title>"
    dois = ["10.5555/unknown", first, second, third, "10.5555/closed"]
    arguments = ["--source", "unpaywall", "--query", f"dois={' '.join(dois)}"]
    said = penstock("run", "pdf-two-phase", *arguments, "--json")
    assert said.json["statuses"] == {"waiting": 1, "dead": 4}
    download = next(stage for stage in said.json["stages"] if stage["stage"] == "download_pdf")
    reasons = {failure["source_id"]: (failure["reason"], failure["message"]) for failure in download["failures"]}
    assert {doi: reason for doi, (reason, _) in reasons.items()} == {
        "10.5555/unknown": "not-found",
        second: "not-available",
        third: "not-a-pdf",
        "10.5555/closed": "not-available",
    }
    assert "isn't in Unpaywall" in reasons["10.5555/unknown"][1]
    assert "Please sign in" in reasons[third][1]
    assert not any(path.endswith("/unpaywall") for _, path in services["unpaywall"].asked)


def test_what_a_search_finds_and_nobody_has_stands_in_no_ones_way_out(
    penstock: Penstock, server: str, services: dict[str, Service]
) -> None:
    arguments = (
        "run",
        "pdf-two-phase",
        "--source",
        "pmc-fulltext",
        "--query",
        "anything",
        "--retire",
        "--yes",
        "--json",
    )
    assert penstock(*arguments).json["statuses"] == {"waiting": 8}
    del services["ncbi"].records["PMC3"]
    del services["pmc"].records["metadata/PMC4.1.json"]
    said = penstock(*arguments)
    assert "could not be read" not in said.out
    gone = penstock("jobs", "--status", "retired", "--json").json
    assert "PMC3" in str(gone)
    assert "PMC4" not in str(gone)


def six_of_eight(service: Service) -> Callable[[str, dict[str, str]], Answer | None]:
    """A search that gives fewer than it says it finds, and finds no more of them when it is asked on."""

    def answer(path: str, asked: dict[str, str]) -> Answer | None:
        begin = asked.get("offset", asked.get("retstart"))
        if begin is None:
            return None
        found, names = (8, list(service.records)[:6]) if begin == "0" else (6, [])
        if service.name == "core":
            works = [json.loads(service.records[name]) for name in names]
            return 200, compact({"totalHits": found, "limit": 100, "offset": int(begin), "results": works}), {}
        ids = [name.removeprefix("PMC") for name in names]
        return 200, compact({"esearchresult": {"count": str(found), "idlist": ids}}), {}

    return answer


@pytest.mark.parametrize(("source", "name"), [("core", "core"), ("pmc-fulltext", "ncbi")])
def test_nothing_is_retired_by_a_listing_that_comes_up_short(
    penstock: Penstock, server: str, services: dict[str, Service], source: str, name: str
) -> None:
    run = ("run", "pdf-two-phase", "--source", source, "--query", "anything", "--retire", "--yes", "--json")
    assert penstock(*run).json["statuses"] == {"waiting": 8}
    services[name].fault = six_of_eight(services[name])
    said = penstock(*run)
    assert said.status == 0, said.out + said.err
    (note,) = [note for note in said.json["notes"] if "retired" in note]
    assert note.startswith("the listing came up short by 2: ")
    assert penstock("jobs", "--status", "retired", "--json").json["total"] == 0
    services[name].fault = lambda path, asked: None
    services[name].records.popitem()
    assert penstock(*run).status == 0
    assert penstock("jobs", "--status", "retired", "--json").json["total"] == 1


def test_a_private_address_is_refused_unless_the_operator_names_it(
    penstock: Penstock, server: str, services: dict[str, Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PENSTOCK_DOWNLOAD_ORIGINS")
    monkeypatch.delenv("PENSTOCK_NCBI_BUCKET_URL")
    url = f"{server}/pdf/{next(iter(services['pdf'].records))}"
    said = penstock("run", "pdf-two-phase", "--source", "urls", "--query", f"urls={url}", "--json")
    (failure,) = next(stage for stage in said.json["stages"] if stage["stage"] == "download_pdf")["failures"]
    assert failure["reason"] == "forbidden-url"
    assert services["pdf"].asked == []


@pytest.mark.parametrize("origins", ["127.0.0.1:8000", "ftp://x.org https://ok.example.org", "https://a.org/path"])
def test_a_server_that_is_none_is_one_line(penstock: Penstock, monkeypatch: pytest.MonkeyPatch, origins: str) -> None:
    monkeypatch.setenv("PENSTOCK_DOWNLOAD_ORIGINS", origins)
    said = penstock("run", "pdf-two-phase", "--source", "urls", "--query", "urls=https://example.org/a.pdf")
    assert said.status == 2
    wrong = f"'{origins.partition(' ')[0]}' is not like https://host[:port]"
    assert " ".join(said.err.split()) == f"settings: PENSTOCK_DOWNLOAD_ORIGINS: {wrong}"
