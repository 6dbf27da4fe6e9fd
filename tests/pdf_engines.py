"""Engines for tests of the worker: what they do with a file is written in it, one word a line after its first."""

from __future__ import annotations

import os
import signal
import stat
import sys
import threading
import time
from pathlib import Path

from pydantic import BaseModel

from penstock.errors import BadInput, EngineUnavailable
from penstock.workers.engine import LOST, Progress
from penstock.workers.parsed import Element, Page, Parsed

TARGET = "pdf_engines:Obedient"


def pdf(*lines: str) -> bytes:
    """A file for `Obedient`: a line of text for each page, or what it is to do."""
    return "\n".join(["%PDF-1.7", *lines]).encode()


class Options(BaseModel):
    pause: float = 0.0
    """Seconds a page."""


class Obedient:
    """Each line is a page. What `hang`, `spin`, `grow`, `die`, `bug`, `bad`, `away`, `lost` and `print` say is done;
    `image` gives one, `missing` is a page without text; `die-once PATH` dies unless PATH is there, and makes it;
    `say HEX` and `later HEX` write into the pipe of answers."""

    name = "obedient"
    version = "1"
    Options = Options

    def __init__(self, options: Options) -> None:
        self._pause = options.pause

    def parse(self, pdf: Path, progress: Progress) -> Parsed:
        lines = pdf.read_text().splitlines()[1:]
        images: dict[str, bytes] = {}
        for number, line in enumerate(lines, 1):
            time.sleep(self._pause)
            word, _, rest = line.partition(" ")
            match word:
                case "hang":
                    time.sleep(3600)
                case "spin":
                    while True:
                        pass
                case "grow":
                    held = []
                    while True:
                        held.append(bytearray(1 << 24))
                case "die":
                    os.kill(os.getpid(), signal.SIGSEGV)
                case "die-once" if not Path(rest).exists():
                    Path(rest).touch()
                    os.kill(os.getpid(), signal.SIGKILL)
                case "bug":
                    raise KeyError("of the engine")
                case "bad":
                    raise BadInput("it says bad", reason="corrupt")
                case "away":
                    raise EngineUnavailable("the engine is away")
                case "lost":
                    raise EngineUnavailable("the server went down", reason=LOST)
                case "print":
                    sys.stdout.write("noise" * 1000)
                    os.write(1, b"noise")
                case "say":
                    _say(bytes.fromhex(rest))
                case "later":
                    threading.Timer(0.2, _say, [bytes.fromhex(rest)]).start()
                case "image":
                    images["one.png"] = b"\x89PNG picture"
            progress(number, len(lines))
        count = len(lines) - ("strange" in lines)
        return Parsed(
            pages=tuple(
                Page(number=n + 1, width=595, height=842, kind="missing" if lines[n] == "missing" else "text")
                for n in range(count)
            ),
            elements=tuple(
                Element(
                    kind="figure" if line == "image" else "paragraph",
                    text=line,
                    page=n + 1,
                    box=(0.1, 0.1, 0.9, 0.2),
                    image="one.png" if line == "image" else None,
                )
                for n, line in enumerate(lines)
                if line != "missing"
            ),
            images=images,
            raw=b"raw output" if images else None,
        )


def _say(data: bytes) -> None:
    [pipe] = [fd for fd in range(3, 64) if _is_pipe(fd)]
    os.write(pipe, data)


def _is_pipe(fd: int) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(fd).st_mode)
    except OSError:
        return False
