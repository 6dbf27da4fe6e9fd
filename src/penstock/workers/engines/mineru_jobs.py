"""A range of pages at a MinerU server, from handing it in to the ZIP that comes of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, NamedTuple, TypeVar

from penstock.errors import BadInput, EngineUnavailable
from penstock.workers.engine import LOST
from penstock.workers.engines.canary import canary
from penstock.workers.engines.mineru_api import Fault, Forgotten, Job, MineruApi

Tier = Literal["flash", "basic", "standard", "advanced"]
OcrMode = Literal["auto", "txt", "ocr"]

START_SECONDS = 180.0
"""A job may take so long, and `PAGE_SECONDS` more for each of its pages: the first one may have to load models."""
PAGE_SECONDS = 60.0
SUBMISSIONS = 3
"""A range is handed in so often, to a server that forgets it."""
_FIRST_PAUSE = 0.05

_REASONS = {
    "file_encrypted": "encrypted",
    "file_corrupted": "corrupt",
    "file_too_large": "too-large",
    "file_type_unsupported": "unsupported",
}
"""Codes that speak of the file alone."""

T = TypeVar("T")


class Pace(NamedTuple):
    """How a server is waited for, in seconds. `poll`: between two looks at it, at most. `patience`: while it is away.
    `due`: the monotonic time at which all must be done."""

    poll: float
    patience: float
    due: float

    def patiently(self, ask: Callable[[], T]) -> T:
        """`ask()`, again and again while the server is away: it may come back. Raises what it raised last."""
        until: float | None = None
        while True:
            try:
                return ask()
            except EngineUnavailable as error:
                now = time.monotonic()
                until = min(now + self.patience, self.due) if until is None else until
                if not _away(error) or now >= until:
                    raise
            time.sleep(min(self.poll, until - now))


def _away(error: EngineUnavailable) -> bool:
    """Rather than there and refusing."""
    return error.status is None or error.status == 429 or error.status >= 500


class Jobs:
    """Hands work to one server, at one tier."""

    def __init__(self, api: MineruApi, tier: Tier, ocr_mode: OcrMode, pace: Pace) -> None:
        self._api, self._tier, self._ocr_mode, self._pace = api, tier, ocr_mode, pace

    def zip_of(self, pdf: Path, first: int, last: int) -> bytes:
        """What MinerU makes of the pages from `first` to `last`, counted from 1.

        Raises BadInput for what it can't parse although it can parse something else, else EngineUnavailable.
        """
        made = self._made(pdf, first, last)
        if isinstance(made, bytes):
            return made
        where = f"pages {first} to {last}"
        if made.code == "engine_dead":
            raise EngineUnavailable(f"MinerU's engine died at {where}: {made.message}", reason=LOST)
        reason = _REASONS.get(made.code or "")
        if reason is None:
            self.prove()
        raise BadInput(f"MinerU can't parse {where}: {made}", reason=reason or "unreadable")

    def prove(self) -> bytes:
        """What MinerU makes of a plain page. A server without its models fails as one does over a broken PDF: every
        file gives `parse_failed`. Raises EngineUnavailable if this one does."""
        with TemporaryDirectory(prefix="penstock-") as folder:
            plain = Path(folder, "plain.pdf")
            plain.write_bytes(canary())
            made = self._made(plain, 1, 1)
        if isinstance(made, Fault):
            raise EngineUnavailable(f"MinerU can't parse even a plain page: {made}")
        return made

    def _made(self, pdf: Path, first: int, last: int) -> bytes | Fault:
        for _ in range(SUBMISSIONS):
            with suppress(Forgotten):
                file_id = self._pace.patiently(partial(self._api.upload, pdf))
                submit = partial(self._api.submit, file_id, first, last, self._tier, self._ocr_mode)
                job = self._pace.patiently(submit)
                job = self._ended(job, last - first + 1)
                file = job.files[0]
                output = file.zip
                if output is not None:
                    return self._dearly(partial(self._api.fetch, output))
                if job.status != "canceled":
                    return file.error or Fault(code=job.status, message="without a word why")
        raise EngineUnavailable(f"MinerU lost the job over pages {first} to {last} {SUBMISSIONS} times", reason=LOST)

    def _ended(self, job: Job, pages: int) -> Job:
        """The job in its last state."""
        due, allowed, pause = self._pace.due, START_SECONDS + PAGE_SECONDS * pages, _FIRST_PAUSE
        ran = False
        while job.status in ("queued", "running"):
            if job.status == "running" and not ran:
                ran, due = True, min(due, time.monotonic() + allowed)
            if time.monotonic() > due:
                raise EngineUnavailable(
                    f"MinerU is late with {pages} pages: its job is {job.status}", reason=LOST if ran else None
                )
            time.sleep(pause)
            pause = min(2 * pause, self._pace.poll)
            job = self._dearly(partial(self._api.job, job.job_id))
        return job

    def _dearly(self, ask: Callable[[], T]) -> T:
        """`ask()` for a job of ours: a server that stays away with it may have been taken down by it."""
        try:
            return self._pace.patiently(ask)
        except EngineUnavailable as error:
            if _away(error):
                error.reason = LOST
            raise
