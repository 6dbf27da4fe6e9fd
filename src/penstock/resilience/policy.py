"""The resilience policies that YAML names: how often, how long and how fast something may be tried."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

_DAY = 86_400.0
_LEFT_ALONE = 300.0

Seconds = Annotated[float, Field(gt=0, le=_DAY)]
PauseSeconds = Annotated[float, Field(ge=0, le=_DAY)]


class _Closed(BaseModel):
    """Frozen, unknown keys refused, and no guessing: `"3"` and `true` are not numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class CircuitBreakerPolicy(_Closed):
    """After `failure_threshold` service faults in a row nothing is tried for `reset_timeout_seconds`, then one call."""

    failure_threshold: int = Field(ge=1, le=10_000, description="service faults in a row that open the breaker")
    reset_timeout_seconds: Seconds = Field(description="how long it stays open before one trial call")


class Policy(_Closed):
    """One entry of resilience.yaml, or a stage's own `policy:` mapping. All durations are seconds."""

    max_attempts: int = Field(default=3, ge=1, le=100, description="tries altogether, the first one included")
    backoff_strategy: Literal["none", "linear", "exponential"] = Field(
        default="exponential", description="how the pause between two tries grows"
    )
    backoff_initial_seconds: PauseSeconds = Field(default=1.0, description="the first pause, and linear's step")
    backoff_max_seconds: PauseSeconds = Field(default=60.0, description="no pause is longer, jitter aside")
    backoff_jitter_seconds: PauseSeconds = Field(default=0.0, description="up to this much is added by chance")
    timeout_seconds: Seconds = Field(default=30.0, description="one attempt; for a stream the gap between bytes")
    deadline_seconds: Seconds | None = Field(default=None, description="all attempts and the pauses between them")
    circuit_breaker: CircuitBreakerPolicy | None = None
    rate_limit_per_second: float | None = Field(
        default=None, gt=0, le=10_000, description="calls a second, evenly spaced; for HTTP each host has its own"
    )
    resume_after_seconds: Seconds | None = Field(
        default=None, description="a job that failed by a service's fault is tried again by itself after this long"
    )

    @field_validator("backoff_max_seconds")
    @classmethod
    def _covers_the_first_pause(cls, value: float, info: ValidationInfo) -> float:
        initial = info.data.get("backoff_initial_seconds", 0.0)
        if value < initial:
            raise ValueError(f"must not be less than backoff_initial_seconds ({initial:g})")
        return value

    @field_validator("deadline_seconds")
    @classmethod
    def _covers_one_attempt(cls, value: float | None, info: ValidationInfo) -> float | None:
        timeout = info.data.get("timeout_seconds", 0.0)
        if value is not None and value < timeout:
            raise ValueError(f"must not be less than timeout_seconds ({timeout:g}), which is one attempt's")
        return value


def leaving_alone(policy: Policy) -> Policy:
    """The same with a circuit breaker, where it has none, that opens when three calls in a row were made in vain: for
    the many hosts that a listing leads to, of which some are away for long."""
    if policy.circuit_breaker is not None:
        return policy
    breaker = CircuitBreakerPolicy(failure_threshold=3 * policy.max_attempts, reset_timeout_seconds=_LEFT_ALONE)
    return policy.model_copy(update={"circuit_breaker": breaker})
