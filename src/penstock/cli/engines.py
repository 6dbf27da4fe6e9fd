"""Which engine a worker is to have, out of options and settings."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.errors import EngineUnavailable, UsageError

if TYPE_CHECKING:
    from penstock.settings import Settings
    from penstock.workers.children import Limits
    from penstock.workers.host import Host

ENGINES = ("auto", "cpu", "mineru", "mineru-http")
_SIZES = ("max_pages", "max_mb")
_MINERU = ("tier", "ocr_mode")
"""Options of engines."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What `penstock worker pdf` was asked for; None and "": the settings' or the engine's own."""

    engine: str | None = None
    cpu: bool | None = None
    url: str = ""
    slots: int | None = None
    memory_mb: int | None = None
    page_seconds: float | None = None
    document_seconds: float | None = None
    max_pages: int | None = None
    max_mb: int | None = None
    tier: str | None = None
    ocr_mode: str | None = None
    mineru_api: Path | None = None


def host_of(settings: Settings, asked: Asked) -> Host:
    """The engine's host. Raises UsageError for what doesn't go together, EngineUnavailable where `auto` finds none."""
    from penstock.cli.names import known_name

    engine = asked.engine or settings.pdf_engine
    known_name("engine", engine, ENGINES)
    if engine == "auto":
        engine = _chosen(settings, asked)
    elif asked.cpu is not None:
        raise UsageError(f"--cpu and --no-cpu are for the engine auto, not for {engine}")
    _check(engine, asked)
    if engine == "cpu":
        return _cpu(asked)
    return _server(settings, asked) if engine == "mineru-http" else _gpu(asked)


def _chosen(settings: Settings, asked: Asked) -> str:
    """MinerU where there is a GPU, else the CPU engine where that is allowed."""
    from penstock.workers.engines.gpus import usable_gpus

    try:
        usable_gpus(os.environ)
    except EngineUnavailable as none:
        if not (settings.pdf_cpu if asked.cpu is None else asked.cpu):
            raise EngineUnavailable(
                f"{none.message}, and the CPU engine is not allowed",
                next_step=f"mend that, or {'unset PENSTOCK_PDF_CPU' if asked.cpu is None else 'leave out --no-cpu'}",
            ) from None
        return "cpu"
    return "mineru"


def _check(engine: str, asked: Asked) -> None:
    """Options of other engines would be passed over in silence."""
    given = {
        "--url": (asked.url, ("mineru-http",)),
        "--tier": (asked.tier, ("mineru", "mineru-http")),
        "--ocr-mode": (asked.ocr_mode, ("mineru", "mineru-http")),
        "--mineru-api": (asked.mineru_api, ("mineru",)),
    }
    for option, (value, engines) in given.items():
        if value and engine not in engines:
            raise UsageError(f"{option} is for {' and '.join(engines)}, not for the engine {engine}")


def _cpu(asked: Asked) -> Host:
    from penstock.workers.children import Limits
    from penstock.workers.host import child_host

    return child_host("cpu", _given(asked, *_SIZES), slots=asked.slots or _cpus(), limits=_limits(Limits(), asked))


def _server(settings: Settings, asked: Asked) -> Host:
    from penstock.workers.engines.mineru_api import KEY_VARIABLE
    from penstock.workers.engines.mineru_http import LIMITS, MineruHttpHost
    from penstock.workers.host import child_host

    url = asked.url or settings.mineru_url
    if not url:
        raise UsageError("which MinerU server?", next_step="--url http://HOST:PORT, or set PENSTOCK_MINERU_URL")
    key = settings.mineru_key
    return child_host(
        "mineru-http",
        {"url": url, **_given(asked, *_SIZES, *_MINERU)},
        slots=asked.slots or 1,
        limits=_limits(LIMITS, asked),
        environment={KEY_VARIABLE: key.get_secret_value()} if key else {},
        made=MineruHttpHost,
    )


def _gpu(asked: Asked) -> Host:
    from penstock.workers.engines.mineru_http import LIMITS
    from penstock.workers.engines.mineru_server import MineruServer

    if asked.slots not in (None, 1):
        raise UsageError(
            "a GPU takes one document at a time", next_step="leave out --slots, or start another worker beside it"
        )
    options = _given(asked, *_SIZES, *_MINERU)
    return MineruServer(options, limits=_limits(LIMITS, asked), mineru_api=asked.mineru_api)


def _limits(limits: Limits, asked: Asked) -> Limits:
    return replace(limits, **_given(asked, "memory_mb", "page_seconds", "document_seconds"))


def _given(asked: Asked, *names: str) -> dict[str, Any]:
    """Those of them that were asked for."""
    return {name: value for name in names if (value := getattr(asked, name)) is not None}


def _cpus() -> int:
    """Those this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
