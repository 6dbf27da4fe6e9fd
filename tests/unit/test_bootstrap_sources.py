"""Under which policy a source's requests are made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from penstock.bootstrap import App
from penstock.resilience.http import Http
from penstock.settings import Settings

POLICIES = """\
policies:
  default: {max_attempts: 1, backoff_strategy: none}
  brisk: {max_attempts: 2, rate_limit_per_second: 9}
"""
POLITE = "  polite-api: {max_attempts: 7, rate_limit_per_second: 5}\n"
PIPELINE = """\
version: "1.0"
name: listing
applicable_sources: [clinicaltrials]
stages:
  - {name: ingest, type: IngestStage, policy: POLICY}
"""


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Callable[..., tuple[str, int, float | None]]]:
    """The name, the attempts and the rate of the policy that a source is under, in a pipeline whose ingest has one."""
    apps = []

    def look(source: str, policy: str, policies: str = POLICIES + POLITE) -> tuple[str, int, float | None]:
        (tmp_path / "pipelines").mkdir(exist_ok=True)
        (tmp_path / "pipelines/listing.yaml").write_text(PIPELINE.replace("POLICY", policy))
        (tmp_path / "resilience.yaml").write_text(policies)
        app = App(Settings(home=tmp_path / "home", config=tmp_path))
        apps.append(app)
        (stage,) = app.pipelines.named("listing").stages
        made = app.build(stage)._sources[source]  # type: ignore[attr-defined]
        http = made.api._http
        assert isinstance(http, Http)
        return http._name, http._policy.max_attempts, http._policy.rate_limit_per_second

    yield look
    for app in apps:
        with closing(app):
            assert not (tmp_path / "home").exists()


def test_a_source_is_asked_under_its_own_policy_unless_the_pipeline_says_otherwise(
    guarded: Callable[..., object],
) -> None:
    assert guarded("clinicaltrials", "default") == ("polite-api", 7, 5.0)
    assert guarded("clinicaltrials", "brisk") == ("brisk", 2, 9.0)
    assert guarded("clinicaltrials", "{max_attempts: 4}") == ("inline", 4, None)


def test_a_service_that_allows_less_gets_less(guarded: Callable[..., object]) -> None:
    assert guarded("openfda-drug-label", "default") == ("polite-api", 7, 4.0)
    assert guarded("openfda-drug-label", "brisk") == ("brisk", 2, 9.0)


def test_a_key_allows_more_where_the_service_says_so(
    guarded: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert guarded("pmc-fulltext", "default") == ("polite-api", 7, 3.0)
    monkeypatch.setenv("PENSTOCK_NCBI_KEY", "k3y-canary")
    assert guarded("pmc-fulltext", "default") == ("polite-api", 7, 5.0)
    assert guarded("pmc-fulltext", "default", POLICIES + POLITE.replace("5}", "50}")) == ("polite-api", 7, 10.0)


def test_without_that_policy_it_is_five_requests_a_second(guarded: Callable[..., object]) -> None:
    assert guarded("clinicaltrials", "default", POLICIES) == ("polite-api", 3, 5.0)
