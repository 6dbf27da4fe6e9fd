"""One PDF on its way from one URL into the artifact store, gone on with where it broke off."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING, Protocol

from penstock.errors import BadInput, TransientError
from penstock.stages.download.content import SNIFFED, pdf_only

if TYPE_CHECKING:
    from collections.abc import Iterable

    import httpx

    from penstock.ir import PDFFile

_HEADERS = {"Accept": "application/pdf, */*;q=0.1", "Accept-Encoding": "identity"}
_LONGEST_MARK = 256


class HttpService(Protocol):
    """Guarded, and no answer is larger than `max_mb`: see resilience/http.py, which says too what `extensions` do."""

    @property
    def attempts(self) -> int: ...

    def due(self) -> float: ...

    def may_ask(self, url: str) -> bool: ...

    def host(self, url: str) -> str: ...

    def client(self) -> httpx.Client: ...


class Artifacts(Protocol):
    def put(self, data: bytes) -> str: ...

    def put_stream(self, pieces: Iterable[bytes]) -> str: ...

    def has(self, digest: str) -> bool: ...


class Transfer:
    """`size` and `version` (the ETag, else Last-Modified) are known once `into` has returned.

    The policy's attempts and deadline hold for all requests of one transfer: those for the rest of a body that broke
    off, where the server has a strong ETag and ranges, and else those that begin again.
    """

    def __init__(self, http: HttpService, client: httpx.Client, url: str) -> None:
        self.size = 0
        self.version = ""
        self._client, self._url = client, url
        self._tries = http.attempts
        self._extensions = {"due": http.due(), "at_once": SNIFFED}

    def into(self, artifacts: Artifacts, before: PDFFile | None = None) -> str:
        """The artifact's name; it is asked for again only when it is no more what it was `before`.

        Raises BadInput (not-a-pdf, not-available, too-large, empty) and TransientErrors.
        """
        while True:
            with self._ask(_unless(before.origin.version) if before else {}) as response:
                if before and response.status_code == 304:
                    self.size, self.version = before.size, before.origin.version
                    return before.artifact
                if response.status_code != 200:
                    raise BadInput(f"{shown(self._url)}: HTTP {response.status_code}", reason="not-available")
                self.version = _version(response.headers)
                media_type = response.headers.get("Content-Type", "")
                try:
                    return artifacts.put_stream(pdf_only(self._body(response), shown(self._url), media_type))
                except _BeginAgain:
                    continue

    def _ask(self, headers: Mapping[str, str]) -> AbstractContextManager[httpx.Response]:
        return self._client.stream("GET", self._url, headers={**_HEADERS, **headers}, extensions=self._extensions)

    def _body(self, response: httpx.Response) -> Iterator[bytes]:
        etag = self.version if self.version.startswith('"') else ""
        total = int(response.headers.get("Content-Length", "0"))  # 0 too where the body came compressed
        ranges = response.headers.get("Accept-Ranges") == "bytes" and etag != ""
        self.size = 0
        with ExitStack() as opened:
            while True:
                try:
                    for piece in response.iter_bytes():
                        self.size += len(piece)
                        yield piece
                    if response.status_code == 206 and self.size != total:  # its Content-Range was a lie
                        raise _BeginAgain
                    return
                except TransientError as error:
                    self._tries -= 1
                    if not self._tries or time.monotonic() >= self._extensions["due"]:
                        raise
                    if not (ranges and 0 < self.size < total):
                        raise _BeginAgain from error
                response = opened.enter_context(self._ask({"Range": f"bytes={self.size}-", "If-Range": etag}))
                rest = (206, f"bytes {self.size}-{total - 1}/{total}", etag)
                if (response.status_code, response.headers.get("Content-Range"), response.headers.get("ETag")) != rest:
                    raise _BeginAgain


class _BeginAgain(Exception):
    """What came is no beginning of what there is to come."""


def shown(url: str) -> str:
    """The URL without user, query and fragment, any of which may hold a key."""
    return re.sub(r"//[^/@]*@", "//", url.partition("?")[0].partition("#")[0])


def _version(headers: Mapping[str, str]) -> str:
    """The ETag, else Last-Modified, else "". What could not be sent back as a header's value is none."""
    marks = (headers.get("ETag", ""), headers.get("Last-Modified", ""))
    return next((mark for mark in marks if mark and mark.isascii() and len(mark) <= _LONGEST_MARK), "")


def _unless(version: str) -> dict[str, str]:
    """Headers that ask for what is no more of this version (RFC 9110, section 13)."""
    return {"If-None-Match" if version.startswith(('"', 'W/"')) else "If-Modified-Since": version}
