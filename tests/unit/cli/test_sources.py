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


@pytest.fixture
def services() -> list[Service]:
    return [
        Service("ctgov", {"NCT00000001": STUDY}),
        Service("openalex", {"W1": b'{"id":"https://openalex.org/W1"}'}),
        Service("openfda", {"ab": b'{"set_id":"ab"}'}),
    ]


@pytest.fixture(autouse=True)
def server(services: list[Service], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """All three services, from this process."""
    with serving(*services) as url:
        for name, path in (("CLINICALTRIALS", "ctgov"), ("OPENALEX", "openalex"), ("OPENFDA", "openfda")):
            monkeypatch.setenv(f"PENSTOCK_{name}_URL", f"{url}/{path}")
        monkeypatch.setenv("PENSTOCK_OPENALEX_KEY", KEY)
        monkeypatch.delenv("PENSTOCK_OPENFDA_KEY", raising=False)
        yield url


def test_sources_are_listed_with_the_keys_they_want(penstock: Penstock, server: str) -> None:
    said = penstock("sources", "list", "--json")
    known = {each["name"]: each for each in said.json}
    assert known.keys() == {"clinicaltrials", "files", "openalex", "openfda-drug-label"}
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
    assert [line[:4].strip() for line in said.out.splitlines()] == ["ok", "ok", "ok", "warn"]
    assert "PENSTOCK_OPENFDA_KEY" in said.out.splitlines()[-1]
    assert [len(service.asked) for service in services] == [1, 1, 1]
    assert list(tmp_path.iterdir()) == []


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
