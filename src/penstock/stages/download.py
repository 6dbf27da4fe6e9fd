"""A payload that is a PDF, or says where one is, to a PDF at rest."""

from __future__ import annotations

import html
import re
import time
from typing import TYPE_CHECKING, Protocol

import orjson
from pydantic import BaseModel, ConfigDict, Field

from penstock.errors import (
    AttemptTimeout,
    BadInput,
    RateLimited,
    ServiceUnavailable,
    TerminalError,
    TransientError,
)
from penstock.ir import Origin, PDFFile, RawPayload, StageContext

if TYPE_CHECKING:
    import httpx

MAX_CANDIDATES = 10
_HEAD = 1024
_PAGE = 64 * 1024
_TITLE = re.compile(rb"<title[^>]{0,200}>([^<]{1,300})", re.IGNORECASE)
_MARKUP = re.compile(rb"\s*(?:<!--|<!doctype\s+html|<html|<head|<body|<\?xml)", re.IGNORECASE)


class HttpService(Protocol):
    def transport(self) -> httpx.BaseTransport: ...


class Artifacts(Protocol):
    def put(self, data: bytes) -> str: ...


class DownloadOptions(BaseModel):
    """`max_mb`: a larger file is refused, as soon as that many MiB of it have come."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    max_mb: float = Field(default=100, gt=0, le=1024)


class HttpDownload:
    """DownloadStage "http".

    A payload that is a PDF (`%PDF-` within its first KiB) is kept as it is. One of the form {"urls": [...]}, or that
    was found at an http(s) URL, has those tried in order until one gives a PDF.

    Raises BadInput (not-a-pdf, not-available, too-large, empty, unsupported) or a TransientError; the latter also when
    only some of the URLs failed that way, since the PDF may yet be had.
    """

    name = "http"
    version = "1"
    contract = "DownloadStage"
    needs: tuple[str, ...] = ("http", "artifacts")
    Options = DownloadOptions

    def __init__(self, options: DownloadOptions, *, http: HttpService, artifacts: Artifacts) -> None:
        import httpx

        self._limit = int(options.max_mb * 1024 * 1024)
        self._artifacts = artifacts
        self._client = httpx.Client(transport=http.transport(), follow_redirects=True, max_redirects=5)

    def execute(self, ctx: StageContext, payload: RawPayload) -> PDFFile:
        if is_pdf(payload.content):
            return self._keep(payload.content, payload.origin)
        failures: list[TerminalError | TransientError] = []
        for url in _candidates(payload):
            try:
                data, version = self._fetch(url)
            except (TerminalError, TransientError) as error:
                failures.append(error)
                continue
            now = time.time_ns() // 1_000_000
            return self._keep(data, Origin(uri=url, key=payload.origin.key, version=version, fetched_at=now))
        raise next((error for error in failures if error.transient), failures[0])

    def _keep(self, data: bytes, origin: Origin) -> PDFFile:
        if len(data) > self._limit:
            raise self._too_large(origin.uri)
        return PDFFile(artifact=self._artifacts.put(data), size=len(data), origin=origin)

    def _fetch(self, url: str) -> tuple[bytes, str]:
        """The PDF's bytes and its ETag."""
        import httpx

        try:
            with self._client.stream("GET", url, headers={"Accept": "application/pdf, */*;q=0.1"}) as response:
                _check_status(response, url)
                return self._read(response, url), response.headers.get("ETag", "")
        except httpx.TimeoutException as error:
            raise AttemptTimeout(f"{_shown(url)}: no answer in time") from error
        except (httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.TooManyRedirects, httpx.DecodingError) as error:
            raise BadInput(f"{_shown(url)}: {type(error).__name__}", reason="not-available") from error
        except httpx.TransportError as error:
            raise ServiceUnavailable(f"{_shown(url)}: {type(error).__name__}") from error

    def _read(self, response: httpx.Response, url: str) -> bytes:
        length = response.headers.get("Content-Length", "")
        if length.isdecimal() and len(length) < 20 and int(length) > self._limit:
            raise self._too_large(url)
        data = bytearray()
        for piece in response.iter_bytes(_PAGE):
            data += piece
            if len(data) > self._limit:
                raise self._too_large(url)
            if len(data) >= _PAGE and not is_pdf(data):
                break
        if not data:
            raise BadInput(f"{_shown(url)}: no bytes came", reason="empty")
        if not is_pdf(data):
            raise BadInput(f"{_shown(url)} is {_what(data)}", reason="not-a-pdf")
        return bytes(data)

    def _too_large(self, url: str) -> BadInput:
        return BadInput(
            f"{_shown(url)} is larger than {self._limit / 1024 / 1024:g} MiB",
            reason="too-large",
            next_step="raise max_mb of the download stage, then: penstock retry --reason too-large",
        )


def is_pdf(data: bytes | bytearray) -> bool:
    """Whether `%PDF-` stands within the first KiB, where readers look for it (ISO 32000-1, annex H, 3.4.1)."""
    return b"%PDF-" in data[:_HEAD]


def _candidates(payload: RawPayload) -> list[str]:
    """The URLs to try. Raises BadInput (unsupported) when there are none."""
    urls: list[str] = []
    if payload.content[:1] == b"{":
        try:
            named = orjson.loads(payload.content).get("urls")
        except orjson.JSONDecodeError:
            named = None
        if isinstance(named, list):
            urls = [url for url in named if isinstance(url, str)]
    if not urls:
        urls = [payload.origin.uri]
    urls = [url for url in urls if url.startswith(("http://", "https://"))]
    if not urls:
        raise BadInput(f"{payload.origin.uri} is no PDF and names no URL of one", reason="unsupported")
    return list(dict.fromkeys(urls))[:MAX_CANDIDATES]


def _check_status(response: httpx.Response, url: str) -> None:
    status = response.status_code
    if status == 200:
        return
    said = f"{_shown(url)}: HTTP {status}"
    if status == 429:
        raise RateLimited(said, status=status)
    if status >= 500 or status in (408, 425):
        raise ServiceUnavailable(said, status=status)
    raise BadInput(said, reason="not-available")


def _what(data: bytearray) -> str:
    """What came instead of a PDF, in a few words."""
    if not _MARKUP.match(data[:_HEAD]):
        return "no PDF"
    title = _TITLE.search(data[:_PAGE])
    if title is None:
        return "a web page"
    return f"a web page: “{' '.join(html.unescape(title[1].decode(errors='replace')).split())}”"


def _shown(url: str) -> str:
    """The URL without user, query and fragment, any of which may hold a key."""
    return re.sub(r"//[^/@]*@", "//", url.partition("?")[0].partition("#")[0])
