"""How long to pause between two attempts: a policy's backoff as one of tenacity's wait strategies."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tenacity.wait import wait_base

    from penstock.resilience.policy import Policy


def backoff(policy: Policy) -> wait_base:
    """Pause n (from 1), in seconds, with i = initial: linear i·n, exponential i·2ⁿ⁻¹, both at most max, plus jitter."""
    from tenacity.wait import wait_exponential, wait_incrementing, wait_none, wait_random

    initial, most = policy.backoff_initial_seconds, policy.backoff_max_seconds
    match policy.backoff_strategy:
        case "none":
            return wait_none()
        case "linear":
            grows: wait_base = wait_incrementing(start=initial, increment=initial, max=most)
        case "exponential":
            grows = wait_exponential(multiplier=initial, max=most)
    return grows + wait_random(0, policy.backoff_jitter_seconds) if policy.backoff_jitter_seconds else grows
