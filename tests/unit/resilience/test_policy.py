from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from penstock.resilience.backoff import backoff
from penstock.resilience.policy import Policy


def pauses(policy: Policy, count: int) -> list[float]:
    from tenacity import RetryCallState, Retrying

    state = RetryCallState(Retrying(), None, (), {})
    found = []
    for number in range(1, count + 1):
        state.attempt_number = number
        found.append(backoff(policy)(state))
    return found


def test_the_three_seed_policies_load_as_printed(root: Path) -> None:
    text = (root / "config/orchestration/resilience.yaml").read_text()
    policies = {name: Policy.model_validate(entry) for name, entry in yaml.safe_load(text)["policies"].items()}
    assert set(policies) == {"default", "gpu-bound", "polite-api"}
    assert policies["default"].max_attempts == 3
    assert policies["gpu-bound"].circuit_breaker is not None
    assert policies["gpu-bound"].circuit_breaker.failure_threshold == 5
    assert policies["polite-api"].rate_limit_per_second == 5.0


@pytest.mark.parametrize(
    ("entry", "place", "says"),
    [
        ({"max_attempts": 0}, ("max_attempts",), "greater than or equal to 1"),
        ({"max_attempts": True}, ("max_attempts",), "valid integer"),
        ({"max_attempts": "3"}, ("max_attempts",), "valid integer"),
        ({"timeout_seconds": 0}, ("timeout_seconds",), "greater than 0"),
        ({"timeout_seconds": float("nan")}, ("timeout_seconds",), "finite"),
        ({"timeout_seconds": 1e9}, ("timeout_seconds",), "86400"),
        ({"backoff_strategy": "quadratic"}, ("backoff_strategy",), "'none', 'linear' or 'exponential'"),
        ({"backoff_initial_seconds": 5, "backoff_max_seconds": 2}, ("backoff_max_seconds",), "backoff_initial_seconds"),
        ({"timeout_seconds": 30, "deadline_seconds": 5}, ("deadline_seconds",), "timeout_seconds (30)"),
        ({"rate_limit_per_second": 0}, ("rate_limit_per_second",), "greater than 0"),
        ({"circuit_breaker": {"failure_threshold": 5}}, ("circuit_breaker", "reset_timeout_seconds"), "required"),
        ({"retries": 3}, ("retries",), "not permitted"),
    ],
)
def test_a_wrong_value_is_refused_at_its_key(entry: dict[str, object], place: tuple[str, ...], says: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Policy.model_validate(entry)
    [problem] = caught.value.errors()
    assert problem["loc"] == place
    assert says in problem["msg"]


def test_a_policy_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        Policy().max_attempts = 5  # type: ignore[misc]


def test_linear_backoff_grows_by_its_first_pause_up_to_the_most() -> None:
    policy = Policy(backoff_strategy="linear", backoff_initial_seconds=2.0, backoff_max_seconds=5.0)
    assert pauses(policy, 4) == [2.0, 4.0, 5.0, 5.0]


def test_exponential_backoff_doubles_up_to_the_most_and_never_overflows() -> None:
    policy = Policy(backoff_strategy="exponential", backoff_initial_seconds=1.0, backoff_max_seconds=10.0)
    assert pauses(policy, 5) == [1.0, 2.0, 4.0, 8.0, 10.0]
    assert pauses(policy, 2000)[-1] == 10.0


def test_no_backoff_is_no_pause_whatever_the_jitter() -> None:
    assert pauses(Policy(backoff_strategy="none", backoff_jitter_seconds=3.0), 3) == [0.0, 0.0, 0.0]


def test_jitter_is_added_within_its_bounds_and_differs() -> None:
    policy = Policy(backoff_strategy="linear", backoff_initial_seconds=1.0, backoff_jitter_seconds=0.5)
    first = [pauses(policy, 1)[0] for _ in range(20)]
    assert all(1.0 <= pause <= 1.5 for pause in first)
    assert len(set(first)) > 1
