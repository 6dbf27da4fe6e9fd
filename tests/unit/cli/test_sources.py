from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from api_server import Answer, Service, serving
from command import Penstock
from penstock.cli.request import source_query
from penstock.errors import UsageError

STUDY = b'{"protocolSection":{"identificationModule":{"nctId":"NCT00000001"}}}'
KEY = "k3y-canary"
URLS = {
    "CLINICALTRIALS": "ctgov",
    "OPENALEX": "openalex",
    "OPENFDA": "openfda",
    "CORE": "core",
    "NCBI": "ncbi",
    "NCBI_BUCKET": "pmc",
    "UNPAYWALL": "unpaywall",
}
SOURCES = ["clinicaltrials", "core", "files", "openalex", "openfda-drug-label", "pmc-fulltext", "unpaywall", "urls"]


@pytest.fixture
def services() -> list[Service]:
    return [
        Service("ctgov", {"NCT00000001": STUDY}),
        Service("openalex", {"W1": b'{"id":"https://openalex.org/W1"}'}),
        Service("openfda", {"ab": b'{"set_id":"ab"}'}),
        Service("core", {"7": b'{"id":7,"downloadUrl":"","dataProviders":[]}'}),
        Service("ncbi", {"PMC7": b""}),
        Service("pmc", {"metadata/PMC7.1.json": b'{"pmcid":"PMC7","version":1,"is_pmc_openaccess":true}'}),
        Service(
            "unpaywall",
            {"10.1038/nature12373": b'{"doi":"10.1038/nature12373","best_oa_location":null,"oa_locations":[]}'},
        ),
    ]


@pytest.fixture(autouse=True)
def server(services: list[Service], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """All services, from this process."""
    with serving(*services) as url:
        for name, path in URLS.items():
            monkeypatch.setenv(f"PENSTOCK_{name}_URL", f"{url}/{path}")
        for name in ("OPENFDA_KEY", "CORE_KEY", "NCBI_KEY", "UNPAYWALL_EMAIL"):
            monkeypatch.delenv(f"PENSTOCK_{name}", raising=False)
        monkeypatch.setenv("PENSTOCK_OPENALEX_KEY", KEY)
        yield url


def test_sources_are_listed_with_the_keys_they_want(penstock: Penstock, server: str) -> None:
    said = penstock("sources", "list", "--json")
    known = {each["name"]: each for each in said.json}
    assert sorted(known) == SOURCES
    assert (known["unpaywall"]["key"], known["unpaywall"]["key_set"]) == ("PENSTOCK_UNPAYWALL_EMAIL", False)
    assert [known[name]["key"] for name in ("core", "pmc-fulltext", "urls")] == [
        "PENSTOCK_CORE_KEY",
        "PENSTOCK_NCBI_KEY",
        "",
    ]
    assert (known["openalex"]["key"], known["openalex"]["key_set"]) == ("PENSTOCK_OPENALEX_KEY", True)
    assert (known["openfda-drug-label"]["key"], known["openfda-drug-label"]["key_set"]) == (
        "PENSTOCK_OPENFDA_KEY",
        False,
    )
    assert known["clinicaltrials"]["key"] == ""
    assert known["clinicaltrials"]["url"] == f"{server}/ctgov"
    assert known["clinicaltrials"]["incremental"]
    shown = penstock("sources", "list")
    assert "PENSTOCK_OPENFDA_KEY is not set" in shown.out
    assert KEY not in said.out + shown.out


def test_each_source_is_asked_for_one_record_and_nothing_is_written(
    penstock: Penstock, services: list[Service], tmp_path: Path
) -> None:
    said = penstock("sources", "check")
    assert said.status == 0, said.err
    told = {line[6:].partition(":")[0]: line for line in said.out.splitlines()}
    assert sorted(told) == SOURCES
    keyless = {"core": "CORE_KEY", "openfda-drug-label": "OPENFDA_KEY", "pmc-fulltext": "NCBI_KEY"}
    for name, variable in (keyless | {"unpaywall": "UNPAYWALL_EMAIL"}).items():
        assert told.pop(name).startswith("warn")
        assert f"PENSTOCK_{variable}" in said.out
    assert {line[:4] for line in told.values()} == {"ok  "}
    assert {service.name: len(service.asked) for service in services} == {
        "ctgov": 1,
        "openalex": 1,
        "openfda": 1,
        "core": 1,
        "ncbi": 1,
        "pmc": 2,
        "unpaywall": 0,
    }
    assert list(tmp_path.iterdir()) == []


def test_an_address_that_is_set_is_all_that_unpaywall_wants(
    penstock: Penstock, services: list[Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_UNPAYWALL_EMAIL", "canary@example.org")
    said = penstock("sources", "check", "unpaywall")
    assert said.status == 0
    assert said.out.startswith("ok    unpaywall: ")
    assert "canary" not in said.out + said.err
    assert "email=canary%40example.org" in services[-1].asked[0][1]


def test_a_source_that_does_not_answer_is_one_line_and_exit_status_one(
    penstock: Penstock, services: list[Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(path: str, asked: dict[str, str]) -> Answer:
        return 503, b"", {}

    def unknown(path: str, asked: dict[str, str]) -> Answer:
        return 401, b'{"error":"API key required"}', {}

    services[0].fault, services[1].fault = away, unknown
    monkeypatch.setenv("PENSTOCK_OPENFDA_URL", "nowhere")
    said = penstock("sources", "check", "clinicaltrials", "openalex", "openfda-drug-label")
    assert said.status == 1
    first, second, third = said.out.splitlines()
    assert first.startswith("bad   clinicaltrials: ")
    assert "answered 503" in first
    assert "API key required (check PENSTOCK_OPENALEX_KEY" in second
    assert "PENSTOCK_OPENFDA_URL must be like https://" in third
    assert len(services[0].asked) == 1
    assert KEY not in said.out + said.err


def test_a_service_that_has_nothing_for_a_probe_is_bad(penstock: Penstock, services: list[Service]) -> None:
    services[2].records.clear()
    said = penstock("sources", "check", "openfda-drug-label", "--json")
    assert said.status == 1
    assert said.json[0]["state"] == "bad"


def test_a_source_there_is_not_is_told_with_the_nearest(penstock: Penstock) -> None:
    said = penstock("sources", "check", "opnalex")
    assert said.status == 2
    assert "did you mean 'openalex'" in said.err


def test_words_are_what_to_search_for_and_a_limit_is_part_of_the_query() -> None:
    assert source_query("openalex", [], ["metformin AND obesity"], 500) == {
        "query": "metformin AND obesity",
        "limit": 500,
    }
    assert source_query("openalex", [], ["a b=c", "filter=type:article"]) == {
        "query": "a b=c",
        "filter": "type:article",
    }
    assert source_query("openalex", [], ['{"query": "x"}', "since=2026-01-01"]) == {"query": "x", "since": "2026-01-01"}
    with pytest.raises(UsageError, match="NAME=VALUE"):
        source_query("files", [], ["metformin"])


def test_a_request_that_asks_for_everything_is_refused_before_anything_is_written(
    penstock: Penstock, tmp_path: Path
) -> None:
    said = penstock("run", "auto", "--source", "clinicaltrials", "--limit", "5")
    assert said.status == 2
    assert said.err.strip() == "source clinicaltrials: query: say what to look for, such as --query 'metformin'"
    assert list(tmp_path.iterdir()) == []
