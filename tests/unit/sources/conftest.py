"""The paged sources, one after another; no service is asked (respx)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from paged import GIVEN, KEY, Given
from penstock.resilience.http import Http
from penstock.resilience.limits import LocalLimits
from penstock.resilience.policy import Policy
from penstock.sources.paging import PagedSource

QUICK = Policy(max_attempts=3, backoff_strategy="none", timeout_seconds=5.0)


@pytest.fixture(params=GIVEN, ids=lambda given: given.kind.name)
def given(request: pytest.FixtureRequest) -> Given:
    made: Given = request.param
    return made


@pytest.fixture
def build() -> Iterator[Callable[..., Any]]:
    """Makes a source over a guarded client with limits of its own."""
    made: list[Http] = []

    def make(kind: type[PagedSource[Any]], policy: Policy = QUICK, **services: Any) -> PagedSource[Any]:
        made.append(Http(policy, kind.name, limits=LocalLimits()))
        if "key" in kind.needs:
            services.setdefault("key", SecretStr(KEY))
        return kind(http=made[-1], **services)

    yield make
    for http in made:
        http.close()
