"""How long a service asks to be left alone: the Retry-After header (RFC 9110, section 10.2.3), a number of seconds or
an HTTP date; and X-RateLimit-Retry-After, by which those that count requests in windows (CORE) name the next one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

LONGEST = 86_400.0
"""No service is believed that asks for more than a day."""
_EPOCH = 1e9
"""A number beyond this is no pause but a moment, in epoch seconds."""


def pause_asked(headers: Mapping[str, str]) -> float | None:
    """Seconds from now for which a refusal asks to be left alone; None where it doesn't."""
    pause = retry_after_seconds(headers.get("retry-after"))
    return _next_window(headers) if pause is None else pause


def window_spent(headers: Mapping[str, str]) -> float | None:
    """Seconds from now until more is answered, of an answer that says it was the last of its window; else None."""
    left = headers.get("x-ratelimitremaining") or headers.get("x-ratelimit-remaining") or ""
    return _next_window(headers) if left.strip() == "0" else None


def until(pause: float) -> str:
    """When so many seconds from now will have passed, in words."""
    then = datetime.now(UTC) + timedelta(seconds=pause, minutes=1)  # cut to minutes, it is none too early
    return f"until {then:%Y-%m-%d %H:%M} UTC"


def _next_window(headers: Mapping[str, str]) -> float | None:
    """By X-RateLimit-Retry-After, which is written as seconds, epoch seconds, an HTTP date or an ISO one."""
    value = headers.get("x-ratelimit-retry-after", "").strip()
    now = time.time()
    if value.isascii() and value.isdigit():
        number = float(value[:12])
        pause = number - now if number > _EPOCH else number
    else:
        try:
            date = datetime.fromisoformat(value)
        except ValueError:
            return retry_after_seconds(value, now)
        pause = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now
    return min(max(pause, 0.0), LONGEST)


def retry_after_seconds(value: str | None, now: float | None = None) -> float | None:
    """Seconds from now, in 0..LONGEST; None where there is no header or it is malformed.

    `now` is epoch seconds, the system's clock when None: a date is wall-clock time and can be measured by nothing else.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:12]), LONGEST)
    try:
        date = parsedate_to_datetime(text)
        moment = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return min(max(moment - (time.time() if now is None else now), 0.0), LONGEST)
