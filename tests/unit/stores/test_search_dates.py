"""Dates that filters take."""

from __future__ import annotations

import pytest

from penstock.errors import UsageError
from penstock.stores.search_filters import Filters


@pytest.mark.parametrize("date", ["2024", "2024-03", "2024-02-29"])
def test_a_date_may_be_as_precise_as_wanted(date: str) -> None:
    assert Filters(since=date, until=date).since == date


@pytest.mark.parametrize("date", ["2024-13", "2023-02-29", "2024-00", "0000", "24", "2024-3", "2024-03-09T00"])
def test_a_day_that_there_is_not_is_refused(date: str) -> None:
    with pytest.raises(UsageError, match="is no date"):
        Filters(since=date)
