"""DownloadStage "http": the payload itself, or the first of its URLs that gives a PDF."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import orjson
from pydantic import BaseModel, ConfigDict, Field

from penstock.errors import BadInput, PenstockError, StoreBusy, TerminalError, TransientError
from penstock.ir import Origin, PDFFile, RawPayload, StageContext
from penstock.stages.download.content import is_pdf, not_a_pdf
from penstock.stages.download.transfer import Artifacts, HttpService, Transfer, shown
from penstock.stages.faults import check_sound

MAX_CANDIDATES = 10
_HTTP = re.compile(r"https?://", re.IGNORECASE)


class DownloadOptions(BaseModel):
    """`max_mb`: a larger file is refused, as soon as that many MiB of it have come or are announced."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    max_mb: float = Field(default=100, gt=0, le=1024, exclude=True)


class HttpDownload:
    """DownloadStage "http".

    A payload that is a PDF (`%PDF-` within its first KiB) is kept as it is. One that names URLs (its `urls`, or content
    of the form {"urls": [...]}), or that is nothing but the http(s) URL it was found at, has those tried in order until
    one gives a PDF. A URL that gave the document's last PDF is asked whether that has changed.

    Raises BadInput (not-a-pdf, not-available, too-large, empty, unsupported, or what the source says is wrong with the
    payload), TerminalError (forbidden-url) or a TransientError; the latter also when only some of the URLs
    failed that way, since the PDF may yet be had.
    """

    name = "http"
    version = "2"
    contract = "DownloadStage"
    needs: tuple[str, ...] = ("http", "artifacts", "last_download")
    Options = DownloadOptions

    def __init__(
        self,
        options: DownloadOptions,
        *,
        http: HttpService,
        artifacts: Artifacts,
        last_download: Callable[[StageContext], PDFFile | None],
    ) -> None:
        self._max_mb = options.max_mb
        self._http, self._artifacts, self._last_download = http, artifacts, last_download

    def lane(self, payload: RawPayload) -> str:
        """The host that is asked first; "" where none is."""
        return next(iter(self.lanes(payload)), "")

    def lanes(self, payload: RawPayload) -> list[str]:
        """The hosts that are asked, in this order."""
        urls = [] if is_pdf(payload.content) else _urls(payload)
        return [host for host in map(self._host, map(self._over_tls, urls)) if host]

    def lane_of(self, file: PDFFile) -> str:
        """The host whose URL gave it, wherever that led; "" of what was here already."""
        return self._host(file.origin.uri) if _HTTP.match(file.origin.uri) else ""

    def execute(self, ctx: StageContext, payload: RawPayload) -> PDFFile:
        import httpx

        check_sound(payload)
        if is_pdf(payload.content):
            return self._keep(payload)
        if not (urls := _urls(payload)):
            raise _nowhere(payload)
        before = self._last_download(ctx)
        failures: list[PenstockError] = []
        for url in map(self._over_tls, urls):
            try:
                return self._fetch(url, payload.origin.key, before if before and before.origin.uri == url else None)
            except StoreBusy:
                raise  # no URL is to blame
            except (TerminalError, TransientError) as error:
                failures.append(error)
            except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:  # the last of a host that is no name
                failures.append(BadInput(f"{shown(url)}: {type(error).__name__}", reason="not-available"))
        failure = next((error for error in failures if error.transient), failures[0])
        failure.args = ("; ".join(error.message for error in failures),)
        raise failure

    def _host(self, url: str) -> str:
        import httpx

        try:
            return self._http.host(url)
        except httpx.InvalidURL:
            return ""

    def _over_tls(self, url: str) -> str:
        """A plain address that may not be asked as it is: many records are older than their servers' TLS."""
        plain = url.lower().startswith("http://") and not self._http.may_ask(url)
        return f"https://{url[7:]}" if plain else url

    def _keep(self, payload: RawPayload) -> PDFFile:
        size = len(payload.content)
        if size > self._max_mb * (1 << 20):
            raise self._too_large(payload.origin.uri)
        return PDFFile(artifact=self._artifacts.put(payload.content), size=size, origin=payload.origin)

    def _fetch(self, url: str, key: str, before: PDFFile | None) -> PDFFile:
        if before and not (before.origin.version and self._artifacts.has(before.artifact)):
            before = None
        with self._http.client() as client:  # one for each document: cookies are nobody else's
            transfer = Transfer(self._http, client, url)
            try:
                artifact = transfer.into(self._artifacts, before)
            except BadInput as error:
                if error.reason == "too-large":
                    raise self._too_large(url) from error
                raise
        now = time.time_ns() // 1_000_000
        origin = Origin(uri=url, key=key, version=transfer.version, fetched_at=now)
        return PDFFile(artifact=artifact, size=transfer.size, origin=origin)

    def _too_large(self, uri: str) -> BadInput:
        return BadInput(
            f"{shown(uri)} is larger than {self._max_mb:g} MiB",
            reason="too-large",
            next_step="raise max_mb of the download stage, then: penstock retry --reason too-large",
        )


def _urls(payload: RawPayload) -> list[str]:
    """The URLs to try, best first."""
    urls: list[object] = list(payload.urls)
    if not urls and payload.content[:1] == b"{":
        try:
            named = orjson.loads(payload.content).get("urls")
        except orjson.JSONDecodeError:
            named = None
        urls = named if isinstance(named, list) else []
    if not urls and not payload.content:
        urls = [payload.origin.uri]
    asked = (url for url in urls if isinstance(url, str) and _HTTP.match(url))
    return list(dict.fromkeys(asked))[:MAX_CANDIDATES]


def _nowhere(payload: RawPayload) -> BadInput:
    """A record that names no place is right as it is; a file that is no PDF is not."""
    if payload.urls or (payload.content and _HTTP.match(payload.origin.uri)):
        return BadInput(f"{payload.source_id}: its record names no place to have it from", reason="not-available")
    return not_a_pdf(shown(payload.origin.uri), payload.content)
