"""Which of our errors a lower library's exception is.

The table goes by qualified class names along the exception's MRO, most specific first, so nothing has to be imported
to be recognised. An exception that is not in it is judged by its explicit cause (`raise … from …`): SDKs and database
layers wrap what their driver raised. What remains unknown is a bug: TerminalError with the reason "unexpected".
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from typing import Any

from penstock.errors import (
    AttemptTimeout,
    BadInput,
    CircuitOpen,
    InvalidOutput,
    PenstockError,
    ServiceUnavailable,
    StorageFull,
    StoreBusy,
    TerminalError,
)
from penstock.resilience.redaction import redact
from penstock.resilience.status import status_error

Maker = Callable[[Any], PenstockError | None]
"""None: the exception is not what its class suggests; look further."""

_LONGEST_CHAIN = 10


def classify(error: Exception) -> PenstockError:
    """`error` as one of ours: ours unchanged, also as the explicit cause of a wrapper; else a new error whose
    `__cause__` is `error`, named after its type, with secrets taken out of the message."""
    for link in _causes(error):
        if isinstance(link, PenstockError):
            return link
        known = _look_up(link)
        if known is not None:
            break
    else:
        known = TerminalError(describe(error), reason="unexpected")
    known.__cause__ = error
    return known


def describe(error: BaseException) -> str:
    """`Type: first line of its message`, redacted. A database error's statement and parameters are left out."""
    said = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
    return redact(f"{type(error).__name__}: {said}" if said else type(error).__name__)


def known_name(kind: type[BaseException]) -> str | None:
    """The table's entry that decides for exceptions of this class, or None."""
    return next((name for name in map(_name, kind.__mro__) if name in _TABLE), None)


def _causes(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    for _ in range(_LONGEST_CHAIN):
        if link is None:
            return
        yield link
        link = link.__cause__


def _look_up(error: BaseException) -> PenstockError | None:
    for kind in type(error).__mro__:
        maker = _TABLE.get(_name(kind))
        if maker is not None and (made := maker(error)) is not None:
            return made
    return None


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _as(kind: type[PenstockError], reason: str | None = None) -> Maker:
    return lambda error: kind(describe(error), reason=reason)


def _by_errno(error: OSError) -> PenstockError | None:
    if error.errno in _NO_ROOM:
        return StorageFull(describe(error))
    if error.errno in _NETWORK:
        return ServiceUnavailable(describe(error))
    if error.errno in _SHORTAGE:
        return StoreBusy(describe(error), reason="os-shortage")
    return None


def _by_sqlite(error: Exception) -> PenstockError | None:
    primary = getattr(error, "sqlite_errorcode", -1) & 0xFF
    if primary in _SQLITE_BUSY or "locked" in str(error):
        return StoreBusy(describe(error))
    return StorageFull(describe(error)) if primary == _SQLITE_FULL else None


def _by_sqlstate(error: Exception) -> PenstockError | None:
    """PostgreSQL's 08 connection, 40 rollback, 53 resources, 55P03 lock, 57 operator; no state: the link is gone."""
    state = getattr(error, "sqlstate", None) or ""
    if state == "53100":
        return StorageFull(describe(error))
    if not state or state.startswith(("08", "40", "53", "57")) or state == "55P03":
        return StoreBusy(describe(error))
    return None


def _by_response(error: Any) -> PenstockError:
    """For httpx.HTTPStatusError and openai.APIStatusError, which both carry the response."""
    response = error.response
    request = response.request
    return status_error(response.status_code, response.headers, redact(f"{request.method} {request.url}"))


def _invalid(error: Any) -> PenstockError:
    """pydantic quotes the input in its message; that may be a whole document, so only places and rules are told."""
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    told = "; ".join(f"{'.'.join(map(str, p['loc'])) or error.title}: {p['msg']}" for p in problems[:3])
    more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
    return InvalidOutput(redact(f"{error.title}: {told}{more}"))


_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NETWORK = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.EADDRNOTAVAIL})
_SHORTAGE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EBUSY, errno.ESTALE, errno.EIO})
_SQLITE_BUSY = frozenset({5, 6, 10, 14, 15})
"""SQLITE_BUSY, _LOCKED, _IOERR, _CANTOPEN, _PROTOCOL (sqlite.org/rescode.html)."""
_SQLITE_FULL = 13

_UNAVAILABLE = _as(ServiceUnavailable)
_TIMEOUT = _as(AttemptTimeout)
_BUSY = _as(StoreBusy)
_MALFORMED = _as(BadInput)
_TRUNCATED = _as(BadInput, "truncated")
_BUG = _as(TerminalError, "unexpected")

_HTTP: dict[str, Maker] = {
    "TimeoutException": _TIMEOUT,
    "ConnectTimeout": _as(AttemptTimeout, "connect-timeout"),
    "PoolTimeout": _as(AttemptTimeout, "connect-timeout"),
    "NetworkError": _UNAVAILABLE,
    "ConnectError": _as(ServiceUnavailable, "connect"),
    "ProxyError": _as(ServiceUnavailable, "connect"),
    "ConnectionNotAvailable": _UNAVAILABLE,
    "RemoteProtocolError": _UNAVAILABLE,
    "DecodingError": _UNAVAILABLE,
    "LocalProtocolError": _as(TerminalError, "bad-request"),
    "UnsupportedProtocol": _as(TerminalError, "forbidden-url"),
    "InvalidURL": _as(TerminalError, "forbidden-url"),
    "TooManyRedirects": _as(TerminalError, "redirects"),
    "HTTPStatusError": _by_response,
    "HTTPError": _UNAVAILABLE,
    "ProtocolError": _UNAVAILABLE,
    "CookieConflict": _BUG,
    "StreamError": _BUG,
}
"""httpx and httpcore name their classes alike, and so do their second editions, which the OpenAI SDK uses."""

_TABLE: dict[str, Maker] = {
    **{
        f"{package}.{name}": make
        for package in ("httpx", "httpx2", "httpcore", "httpcore2")
        for name, make in _HTTP.items()
    },
    "idna.core.IDNAError": _as(TerminalError, "forbidden-url"),
    "openai.APITimeoutError": _TIMEOUT,
    "openai.APIStatusError": _by_response,
    "pybreaker.CircuitBreakerError": _as(CircuitOpen),
    "builtins.TimeoutError": _TIMEOUT,
    "builtins.ConnectionError": _UNAVAILABLE,
    "builtins.ConnectionRefusedError": _as(ServiceUnavailable, "connect"),
    "subprocess.TimeoutExpired": _TIMEOUT,
    "socket.gaierror": _as(ServiceUnavailable, "dns"),
    "ssl.SSLError": _as(ServiceUnavailable, "tls"),
    "builtins.OSError": _by_errno,
    "builtins.MemoryError": _as(TerminalError, "out-of-memory"),
    "builtins.RecursionError": _as(TerminalError, "too-deep"),
    "sqlite3.OperationalError": _by_sqlite,
    "sqlite3.DatabaseError": _by_sqlite,
    "sqlalchemy.exc.TimeoutError": _BUSY,
    "psycopg.OperationalError": _by_sqlstate,
    "psycopg.InterfaceError": _BUSY,
    "psycopg2.OperationalError": _BUSY,
    "apsw.BusyError": _BUSY,
    "apsw.LockedError": _BUSY,
    "apsw.CantOpenError": _BUSY,
    "apsw.IOError": _BUSY,
    "apsw.ProtocolError": _BUSY,
    "apsw.FullError": _as(StorageFull),
    "apsw.NoMemError": _as(TerminalError, "out-of-memory"),
    "pydantic_core._pydantic_core.ValidationError": _invalid,
    "json.decoder.JSONDecodeError": _MALFORMED,
    "builtins.UnicodeError": _MALFORMED,
    "lxml.etree.LxmlError": _MALFORMED,
    "xml.parsers.expat.ExpatError": _MALFORMED,
    "xml.etree.ElementTree.ParseError": _MALFORMED,
    "csv.Error": _MALFORMED,
    "_csv.Error": _MALFORMED,
    "zlib.error": _MALFORMED,
    "gzip.BadGzipFile": _MALFORMED,
    "zipfile.BadZipFile": _MALFORMED,
    "tarfile.ReadError": _MALFORMED,
    "builtins.EOFError": _TRUNCATED,
}
