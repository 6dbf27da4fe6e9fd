"""The child process that engines work in: one PDF after the other, killed without asking when it comes to no end.

It is told what to do by lines of JSON on stdin, and answers in frames on what was its stdout: a tag, four bytes of
length, that many bytes. First of all comes an empty `h`: it is ready. Tags of an answer: `p` a page is done (two
big-endian u32: done, in all), `i` an image (its name, a zero byte, its bytes), `r` the raw output of another program,
then either `d` the Parsed as JSON, or `l` the same and this child takes no more, or `e` an error.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import struct
import sys
from importlib import import_module
from pathlib import Path
from typing import BinaryIO

from penstock.errors import BadInput, EngineUnavailable, PenstockError
from penstock.workers.engine import Engine
from penstock.workers.parsed import Parsed

HEAD = struct.Struct(">cI")
PAGES = struct.Struct(">II")
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """`python -m penstock.workers.child JSON`: {"engine": "module:Class", "options": {…}, "memory_mb": …,
    "documents": …, "parent": pid}."""
    told = json.loads(sys.argv[1])
    _die_with(told["parent"])
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what a library prints is no answer
    _limit(resource.RLIMIT_AS, told["memory_mb"] << 20)
    _limit(resource.RLIMIT_CORE, 0)
    module, _, name = told["engine"].partition(":")
    engine_class = getattr(import_module(module), name)
    engine: Engine = engine_class(engine_class.Options.model_validate(told["options"]))
    frames = Frames(answers)
    frames.ready()
    for count, line in enumerate(sys.stdin.buffer, 1):
        asked = json.loads(line)
        _limit_cpu(asked["cpu_seconds"])
        try:
            parsed = engine.parse(Path(asked["pdf"]), frames.page)
        except MemoryError:
            os._exit(MEMORY)
        except Exception as error:  # noqa: BLE001 — told to the parent, which judges
            frames.error(error)
        else:
            frames.parsed(parsed, last=count >= told["documents"] or _grown(told["memory_mb"] << 20))
        del line, asked


MEMORY = 70
"""Exit status of a child that ran out of memory and noticed."""


class Frames:
    """The answers' side of the pipe."""

    def __init__(self, answers: BinaryIO) -> None:
        self._answers = answers

    def ready(self) -> None:
        """From now on nobody listens to what is said on stderr."""
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
        self._send(b"h", b"")

    def page(self, done: int, total: int) -> None:
        self._send(b"p", PAGES.pack(done, total))

    def parsed(self, parsed: Parsed, *, last: bool) -> None:
        for name, data in parsed.images.items():
            self._send(b"i", name.encode() + b"\0" + data)
        if parsed.raw is not None:
            self._send(b"r", parsed.raw)
        self._send(b"l" if last else b"d", parsed.model_dump_json(exclude={"images", "raw"}).encode())

    def error(self, error: Exception) -> None:
        """One of the tree as it is, anything else as a bug, with where it happened."""
        import traceback

        known = error if isinstance(error, BadInput | EngineUnavailable) else None
        said = {
            "kind": "unavailable" if isinstance(error, EngineUnavailable) else "input" if known else "bug",
            "message": known.message if known else f"{type(error).__name__}: {error}"[:500],
            "reason": known.reason if known else "unexpected",
            "next_step": error.next_step if isinstance(error, PenstockError) else "",
            "detail": "" if known else "".join(traceback.format_exception(error))[-8000:],
        }
        self._send(b"e", json.dumps(said).encode())

    def _send(self, tag: bytes, data: bytes) -> None:
        view = memoryview(HEAD.pack(tag, len(data)) + data)
        while view:
            view = view[self._answers.write(view) :]


def _die_with(parent: int) -> None:
    """This process ends when its parent does, however that ends (Linux: prctl(2), PR_SET_PDEATHSIG)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _limit(what: int, most: int) -> None:
    _, hard = resource.getrlimit(what)
    resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _limit_cpu(seconds: int) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    _limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + 1 + seconds)


def _grown(limit: int) -> bool:
    """Whether what it holds now is more than half of it. Not `ru_maxrss`: on Linux that begins with the parent's."""
    try:
        held = int(Path("/proc/self/statm").read_bytes().split()[1]) * resource.getpagesize()
    except FileNotFoundError:
        held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return held > limit // 2


if __name__ == "__main__":
    main()
