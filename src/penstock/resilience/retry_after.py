"""The Retry-After header (RFC 9110, section 10.2.3): a number of seconds, or an HTTP date."""

from __future__ import annotations

import time
from datetime import UTC
from email.utils import parsedate_to_datetime

LONGEST = 86_400.0
"""No service is believed that asks for more than a day."""


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
