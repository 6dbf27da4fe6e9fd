"""The engine `mineru-http`: a MinerU server parses, a range of pages at a time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Annotated, NamedTuple

import httpx
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveInt, SecretStr
from pypdfium2 import PdfDocument

from penstock.workers.children import Limits
from penstock.workers.engine import Progress
from penstock.workers.engines.mineru_api import KEY_VARIABLE, URL_VARIABLE, MineruApi
from penstock.workers.engines.mineru_jobs import Jobs, OcrMode, Pace, Tier
from penstock.workers.engines.mineru_raw import RawPart, kept
from penstock.workers.engines.pdf_file import drawn, opened, page_sizes
from penstock.workers.host import ChildHost
from penstock.workers.mineru import read_output
from penstock.workers.parsed import Page, Parsed

PAGE_CLOCK_SECONDS = 180.0
"""Progress is told at least this often while the server lives (with the same number, within a range), so a limit on the
time from call to call must not be shorter."""
LIMITS = Limits(memory_mb=4096, page_seconds=2 * PAGE_CLOCK_SECONDS, document_seconds=5 * 3600.0)
"""Of a child that waits for a server: the limits that count are those here and in `mineru_jobs`."""


def _base_url(url: str) -> str:
    if not url:
        return ""
    try:
        base = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ValueError(f"is no URL: {error}") from None
    if base.scheme not in ("http", "https") or not base.host or base.query or base.fragment:
        raise ValueError("must be like http://host:8000")
    if base.userinfo:
        raise ValueError(f"must not hold a key: it comes from {KEY_VARIABLE}")
    return url.rstrip("/").removesuffix("/v1")


class MineruHttpOptions(BaseModel):
    """`url`: the server's base URL, "" where the environment of the process has it. `tier` and `ocr_mode`: as MinerU
    has them. A PDF of more than `pages_per_job` pages goes in ranges, since its users lose servers to long ones; in all
    it may take `total_seconds`. `max_mb`: of the file, in megabytes of 1,000,000 bytes.

    `poll_seconds`: between two looks at a job, at most; `patience_seconds`: how long a server may be away.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: Annotated[str, AfterValidator(_base_url)] = ""
    tier: Tier = "standard"
    ocr_mode: OcrMode = "auto"
    pages_per_job: int = Field(default=64, ge=1, le=1000)
    max_pages: PositiveInt = 2000
    max_mb: PositiveInt = 200
    poll_seconds: float = Field(default=1.0, gt=0)
    patience_seconds: float = Field(default=60.0, ge=0)
    total_seconds: float = Field(default=4 * 3600.0, gt=0)


class MineruHttp:
    """`PENSTOCK_MINERU_KEY` holds the server's key, if it wants one; it is only sent there. `PENSTOCK_MINERU_URL` says
    where it is if the options don't."""

    name = "mineru-http"
    version = "1"
    Options = MineruHttpOptions

    def __init__(self, options: MineruHttpOptions) -> None:
        self._options = options
        self._url = options.url or _base_url(os.environ.get(URL_VARIABLE, ""))
        key = os.environ.get(KEY_VARIABLE)
        self._key = SecretStr(key) if key else None

    def parse(self, pdf: Path, progress: Progress) -> Parsed:
        """Raises BadInput and EngineUnavailable; of the latter those with the reason `engine-lost` came while the
        server was at this PDF, which may be the cause.

        `raw` is the server's ZIP, without its times; of several ranges, a ZIP that holds theirs.
        """
        options = self._options
        due = time.monotonic() + options.total_seconds
        parts: list[Part] = []
        with opened(pdf, max_mb=options.max_mb, max_pages=options.max_pages) as document:
            sizes, done = page_sizes(document), 0

            def alive() -> None:
                progress(done, len(sizes))

            with MineruApi(self._url, self._key, alive) as api:
                pace = Pace(options.poll_seconds, options.patience_seconds, due)
                producer = f"MinerU {pace.patiently(api.version)} {options.tier}"
                jobs = Jobs(api, options.tier, options.ocr_mode, pace)
                for first in range(1, len(sizes) + 1, options.pages_per_job):
                    last = min(first + options.pages_per_job - 1, len(sizes))
                    raw = jobs.zip_of(pdf, first, last)
                    parts.append(Part(RawPart(first, last, raw), read_output(raw)))
                    for page in range(first, last + 1):
                        progress(page, len(sizes))
                    done = last
            return _told_apart(joined(parts, sizes, producer), document)


class MineruHttpHost(ChildHost):
    """Its children ask the server; whether that is there, and of a version we know, is asked before."""

    def start(self, stop: Callable[[], None]) -> None:
        key = self.environment.get(KEY_VARIABLE)
        with MineruApi(self.options["url"], SecretStr(key) if key else None) as api:
            api.version()


class Part(NamedTuple):
    """The ZIP of a range of pages, and what it says."""

    raw: RawPart
    parsed: Parsed


def joined(parts: Sequence[Part], sizes: Sequence[tuple[float, float]], producer: str) -> Parsed:
    """All parts as one; a page that its part came without is missing. `sizes`: of all pages, in points."""
    pages = {page.number: page for part in parts for page in part.parsed.pages if _holds(part, page.number)}
    elements = [
        # what a later range takes for the title is none of the document's
        element.model_copy(update={"kind": "heading", "level": 1})
        if element.kind == "title" and part.raw.first > 1
        else element
        for part in parts
        for element in part.parsed.elements
        if _holds(part, element.page)
    ]
    return Parsed(
        pages=tuple(
            pages.get(number) or Page(number=number, width=width, height=height, kind="missing")
            for number, (width, height) in enumerate(sizes, 1)
        ),
        elements=tuple(elements),
        title=parts[0].parsed.title,
        producer=producer,
        images=dict(chain.from_iterable(part.parsed.images.items() for part in parts)),
        raw=kept([part.raw for part in parts]),
    )


def _told_apart(parsed: Parsed, document: PdfDocument) -> Parsed:
    """Where MinerU says nothing of a page, that is either blank or not read."""
    unread = drawn(document, [page.number for page in parsed.pages if page.kind == "blank"])
    pages = [page.model_copy(update={"kind": "missing"}) if page.number in unread else page for page in parsed.pages]
    return parsed.model_copy(update={"pages": tuple(pages)})


def _holds(part: Part, page: int) -> bool:
    return part.raw.first <= page <= part.raw.last
