"""Documents that lost leases are claimed in smaller company, so that innocents don't fall with the guilty."""

from __future__ import annotations

import pytest

from penstock.ledger.leases import LOST_CAP, claim_limit, known_dead, owner
from penstock.ledger.work import Claim, next_group


def claims(*lost: int) -> list[Claim]:
    return [Claim(n, n, "d", "s", "t", "c", 1, 1, "pending", 0, losses, 0) for n, losses in enumerate(lost)]


@pytest.mark.parametrize(
    ("lost", "group", "limit"), [(0, 64, 64), (1, 64, 8), (2, 64, 1), (9, 64, 1), (1, 4, 4), (0, 1, 1)]
)
def test_the_more_leases_lost_the_smaller_the_company(lost: int, group: int, limit: int) -> None:
    assert claim_limit(lost, group) == limit


@pytest.mark.parametrize(
    ("lost", "sizes"),
    [
        ((0,) * 130, [64, 64, 2]),
        ((1,) * 20, [8, 8, 4]),
        ((2, 2, 2), [1, 1, 1]),
        ((0, 0, 1, 0, 0), [2, 3]),
        ((0, 0, 2, 0), [2, 1, 1]),
        ((1, 0, 2, 1), [2, 1, 1]),
    ],
)
def test_a_queue_is_taken_in_groups_that_fit_its_most_suspicious(lost: tuple[int, ...], sizes: list[int]) -> None:
    queue, found = claims(*lost), []
    rest = queue
    while rest:
        group, rest = next_group(rest, 64)
        found.append(len(group))
        assert len(group) <= min(claim_limit(c.lost, 64) for c in group)
    assert found == sizes


def test_a_document_is_alone_when_its_last_lease_is_counted() -> None:
    assert claim_limit(LOST_CAP - 1, 64) == 1


def test_this_process_is_alive_and_one_with_its_number_and_another_start_is_not() -> None:
    me = owner()
    assert not known_dead(me)
    assert known_dead(me.rpartition("|")[0] + "|1")
    assert not known_dead("elsewhere|" + me.partition("|")[2]), "another machine's word is not ours to give"
    assert not known_dead("h|||1|")
