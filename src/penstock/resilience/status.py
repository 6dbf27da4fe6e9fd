"""What an HTTP status means to us (RFC 9110, section 15; RFC 6585 for 429)."""

from __future__ import annotations

from collections.abc import Mapping

from penstock.errors import PenstockError, RateLimited, ServiceUnavailable, TerminalError
from penstock.resilience.retry_after import pause_asked, until

_TRY_AGAIN = frozenset({408, 425})
_WHO_ARE_YOU = frozenset({401, 403, 407})


def service_fault(status: int, headers: Mapping[str, str], what: str) -> RateLimited | ServiceUnavailable | None:
    """The error for a status that says "not now": 429, 408, 425 and 5xx; None for any other.

    A 503 that names a time is a rate limit, as services under load use it. `what` names the request, without secrets.
    """
    pause = pause_asked(headers)
    if status == 429 or (status == 503 and pause is not None):
        asked = f" and asked for a pause, {until(pause)}" if pause else ""
        return RateLimited(f"{what} answered {status}{asked}", retry_after=pause, status=status)
    if status >= 500 or status in _TRY_AGAIN:
        return ServiceUnavailable(f"{what} answered {status}", retry_after=pause, status=status)
    return None


def status_error(status: int, headers: Mapping[str, str], what: str) -> PenstockError:
    """The error for any status that is not a success: a service fault, refused credentials, or a refused request.

    Refused credentials are no document's fault, so they are transient: the documents wait until the key is mended.
    """
    fault = service_fault(status, headers, what)
    if fault is not None:
        return fault
    if status in _WHO_ARE_YOU:
        return ServiceUnavailable(
            f"{what} answered {status}",
            reason="unauthorized",
            next_step="check the service's credentials, then: penstock retry --reason unauthorized",
            status=status,
        )
    return TerminalError(f"{what} answered {status}", reason=f"http-{status}")
