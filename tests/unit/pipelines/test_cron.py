"""Cron lines and names: what passes here passes in Dagster."""

from __future__ import annotations

import pytest

from penstock.pipelines.cron import check_cron
from penstock.pipelines.names import RESERVED, check_name, dagster_name
from penstock.pipelines.problems import Refused

GOOD = [
    "* * * * *",
    "0 6 * * mon-fri",
    "*/15 0-6/2 1,15 JAN-mar 0,6",
    "5/10 * * * 7",
    "0 0 29 2 *",
    "@daily",
    "59 23 31 12 *",
]
BAD = [
    "",
    "0 6 * *",
    "0 6 * * * *",
    "60 * * * *",
    "* 24 * * *",
    "* * 0 * *",
    "* * * 13 *",
    "* * * * 8",
    "*/0 * * * *",
    "5-1 * * * *",
    "1, * * * *",
    "1-2-3 * * * *",
    "-1 * * * *",
    "* * * foo *",
    "0 0 30 2 *",
    "0 0 31 4,6 *",
    "0 0 31 2 mon",
    "@reboot",
    "٣ * * * *",
    "1/ * * * *",
    "1" * 5000 + " * * * *",
]


@pytest.mark.parametrize("line", GOOD)
def test_a_good_cron_line_is_taken(line: str) -> None:
    assert check_cron(line) == line


@pytest.mark.parametrize("line", BAD)
def test_a_bad_cron_line_is_refused(line: str) -> None:
    with pytest.raises(Refused):
        check_cron(line)


@pytest.mark.parametrize("name", ["auto", "pdf-two-phase", "download_pdf", "A1", "x" * 60])
def test_a_plain_name_is_taken(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "-a", "a-", "a__b", "a-_b", "1a", "a b", "ä", "a.b", "a\n", "x" * 61, "input", "is"]
)
def test_a_name_that_dagster_or_our_op_names_could_not_bear_is_refused(name: str) -> None:
    with pytest.raises(Refused):
        check_name(name)


def test_dagster_agrees_about_names_and_cron_lines() -> None:
    from dagster._core.definitions.utils import DISALLOWED_NAMES, is_valid_name
    from dagster._utils.schedules import is_valid_cron_string

    assert RESERVED == DISALLOWED_NAMES
    assert is_valid_name(dagster_name("pdf-two-phase"))
    assert [line for line in GOOD if not is_valid_cron_string(line)] == []
