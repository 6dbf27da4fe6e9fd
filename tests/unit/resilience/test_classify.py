from __future__ import annotations

import errno
import inspect
import json
import socket
import sqlite3
import ssl
import zlib
from types import ModuleType
from typing import Any

import apsw
import httpcore
import httpx
import pytest
from pydantic import BaseModel
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from penstock.errors import (
    AttemptTimeout,
    BadInput,
    Fenced,
    InvalidOutput,
    PenstockError,
    RateLimited,
    ServiceUnavailable,
    StorageFull,
    StoreBusy,
    TerminalError,
    TransientError,
)
from penstock.resilience.classify import classify, describe, known_name
from penstock.resilience.redaction import redact
from penstock.resilience.retry_after import LONGEST, retry_after_seconds


def exceptions_of(module: ModuleType) -> list[type[BaseException]]:
    return [
        thing
        for name, thing in vars(module).items()
        if not name.startswith("_") and inspect.isclass(thing) and issubclass(thing, Exception)
    ]


def raised(run: Any, *arguments: Any) -> Exception:
    try:
        run(*arguments)
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize("module", [httpx, httpcore], ids=lambda module: module.__name__)
def test_every_exception_of_the_http_libraries_is_in_the_table(module: ModuleType) -> None:
    kinds = exceptions_of(module)
    assert len(kinds) > 10
    missing = [kind.__name__ for kind in kinds if not (known_name(kind) or "").startswith(module.__name__)]
    assert missing == []


def test_the_second_editions_that_the_openai_sdk_uses_are_in_the_table_too() -> None:
    for module in (pytest.importorskip("httpx2"), pytest.importorskip("httpcore2")):
        kinds = [kind for kind in exceptions_of(module) if kind.__name__ != "SSEError"]
        assert [kind.__name__ for kind in kinds if known_name(kind) is None] == []


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (httpx.ConnectError("refused"), ServiceUnavailable, "connect"),
        (httpx.ReadError("reset"), ServiceUnavailable, "service-unavailable"),
        (httpx.RemoteProtocolError("peer closed connection"), ServiceUnavailable, "service-unavailable"),
        (httpx.ReadTimeout("slow"), AttemptTimeout, "timeout"),
        (httpx.ConnectTimeout("slow"), AttemptTimeout, "connect-timeout"),
        (httpx.UnsupportedProtocol("ftp"), TerminalError, "forbidden-url"),
        (httpx.TooManyRedirects("6"), TerminalError, "redirects"),
        (ConnectionResetError("reset"), ServiceUnavailable, "service-unavailable"),
        (BrokenPipeError("pipe"), ServiceUnavailable, "service-unavailable"),
        (TimeoutError("late"), AttemptTimeout, "timeout"),
        (socket.gaierror(-2, "Name or service not known"), ServiceUnavailable, "dns"),
        (ssl.SSLCertVerificationError("expired"), ServiceUnavailable, "tls"),
        (OSError(errno.ENOSPC, "No space left on device"), StorageFull, "storage-full"),
        (OSError(errno.EDQUOT, "Quota exceeded"), StorageFull, "storage-full"),
        (OSError(errno.EFBIG, "File too large"), StorageFull, "storage-full"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), ServiceUnavailable, "service-unavailable"),
        (OSError(errno.EMFILE, "Too many open files"), StoreBusy, "os-shortage"),
        (MemoryError(), TerminalError, "out-of-memory"),
        (RecursionError("maximum recursion depth exceeded"), TerminalError, "too-deep"),
        (apsw.BusyError("database is locked"), StoreBusy, "store-busy"),
        (apsw.FullError("database or disk is full"), StorageFull, "storage-full"),
        (raised(json.loads, "{"), BadInput, "malformed"),
        (raised(bytes.decode, b"\xff"), BadInput, "malformed"),
        (raised(zlib.decompress, b"no"), BadInput, "malformed"),
        (EOFError("Compressed file ended"), BadInput, "truncated"),
        (KeyError("studies"), TerminalError, "unexpected"),
        (FileNotFoundError(errno.ENOENT, "No such file"), TerminalError, "unexpected"),
        (sqlite3.OperationalError("no such table: jobs"), TerminalError, "unexpected"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_a_lower_error_becomes_one_of_ours(error: Exception, kind: type[PenstockError], reason: str) -> None:
    ours = classify(error)
    assert type(ours) is kind
    assert ours.reason == reason
    assert ours.__cause__ is error
    assert type(error).__name__ in ours.message


def test_ours_pass_through_as_they_are() -> None:
    for ours in (Fenced("gone"), TransientError("away", retry_after=3.0), BadInput("empty", reason="empty")):
        assert classify(ours) is ours


def test_the_explicit_cause_decides_where_an_sdk_wrapped_it() -> None:
    class SdkError(Exception):
        pass

    inner = RateLimited("slow down", retry_after=7.0)
    wrapper = SdkError("Connection error.")
    wrapper.__cause__ = inner
    assert classify(wrapper) is inner

    wrapper = SdkError("Connection error.")
    wrapper.__cause__ = httpx.ConnectError("refused")
    assert isinstance(classify(wrapper), ServiceUnavailable)

    unrelated = SdkError("a bug while handling another error")
    unrelated.__context__ = inner
    assert classify(unrelated).reason == "unexpected"


def test_a_cause_that_leads_back_to_itself_ends() -> None:
    one, two = KeyError("one"), KeyError("two")
    one.__cause__, two.__cause__ = two, one
    assert classify(one).reason == "unexpected"


def test_a_locked_sqlite_database_is_busy_and_its_statement_is_not_told(tmp_path: Any) -> None:
    file = tmp_path / "ledger.db"
    holder = sqlite3.connect(file, isolation_level=None)
    holder.execute("create table t (x)")
    holder.execute("begin immediate")
    engine = create_engine(f"sqlite:///{file}", connect_args={"timeout": 0})
    with pytest.raises(OperationalError) as caught, engine.begin() as connection:
        connection.execute(text("insert into t values (:x)"), {"x": "the patient's text"})
    ours = classify(caught.value)
    assert type(ours) is StoreBusy
    assert "patient" not in ours.message
    holder.close()


def test_an_unknown_database_error_does_not_tell_its_parameters(tmp_path: Any) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'x.db'}")
    with pytest.raises(OperationalError) as caught, engine.begin() as connection:
        connection.execute(text("insert into nowhere values (:x)"), {"x": "the patient's text"})
    assert "patient" not in classify(caught.value).message
    assert "patient" not in describe(caught.value)


def test_a_refused_model_tells_places_and_rules_but_not_the_document() -> None:
    class Answer(BaseModel):
        score: int

    ours = classify(raised(Answer.model_validate, {"score": "the whole document's text"}))
    assert type(ours) is InvalidOutput
    assert "score" in ours.message
    assert "document" not in ours.message


@pytest.mark.parametrize(
    ("status", "headers", "kind", "reason"),
    [
        (429, {"Retry-After": "7"}, RateLimited, "rate-limited"),
        (503, {"Retry-After": "7"}, RateLimited, "rate-limited"),
        (503, {}, ServiceUnavailable, "service-unavailable"),
        (500, {}, ServiceUnavailable, "service-unavailable"),
        (408, {}, ServiceUnavailable, "service-unavailable"),
        (401, {}, ServiceUnavailable, "unauthorized"),
        (404, {}, TerminalError, "http-404"),
    ],
)
def test_an_http_status_is_judged(status: int, headers: dict[str, str], kind: type, reason: str) -> None:
    request = httpx.Request("GET", "https://api.example.org/works?api_key=s3cret&page=2")
    response = httpx.Response(status, headers=headers, request=request)
    ours = classify(raised(response.raise_for_status))
    assert type(ours) is kind
    assert ours.reason == reason
    assert "s3cret" not in ours.message
    assert "page=2" in ours.message
    if isinstance(ours, TransientError):
        assert ours.status == status
        assert ours.retry_after == (7.0 if headers else None)


@pytest.mark.parametrize(
    "text_with_secret",
    [
        "GET https://user:s3cret@example.org/",
        "https://example.org/?api_key=s3cret&x=1",
        "https://example.org/?x=1&token=s3cret#top",
        "https://example.org/?email=s3cret@example.org",
        "https://example.org/?X-Amz-Signature=s3cret",
        "https://example.org/?access_token=s3cret",
        "{'Authorization': 'Bearer s3cret-long-enough'}",
        "sent Bearer s3cret-long-enough to it",
        'x-api-key: "s3cret"',
        "postgresql://penstock:s3cret@db/ledger refused",
        "postgresql://penstock:p@s3cret@db/ledger refused",
    ],
)
def test_no_secret_stays_in_a_message(text_with_secret: str) -> None:
    assert "s3cret" not in redact(text_with_secret)
    assert "***" in redact(text_with_secret)
    assert "s3cret" not in classify(ValueError(text_with_secret)).message


def test_ordinary_words_stay_in_a_message() -> None:
    said = "missing key: studies; author of monkey=1 https://example.org/a?page=2"
    assert redact(said).startswith("missing key: studies; author of monkey=1")


def test_a_long_message_is_cut() -> None:
    assert len(classify(ValueError("x" * 10_000)).message) <= 400


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 30.0),
        ("Wed, 21 Oct 2015 07:28:00 -0000", 30.0),
        ("Wed, 21 Oct 2015 07:00:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST),
        ("99999999999999999999", LONGEST),
        ("-5", None),
        ("1e9", None),
        ("nan", None),
        ("soon", None),
        ("", None),
        ("Wed, 99 Oct 2015 07:28:00 GMT", None),
        ("٣", None),
        (None, None),
    ],
)
def test_retry_after_is_read_in_both_forms_and_ignored_when_malformed(value: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(value, now=1445412450.0) == seconds
