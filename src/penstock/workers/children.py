"""A child process from outside: what it is given, what it may use, and how it is told apart from one that hangs."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, Literal, Protocol

from pydantic import BaseModel, ValidationError

from penstock.errors import BadInput, EngineUnavailable, InvalidOutput, PenstockError, TerminalError
from penstock.workers.child import HEAD, MEMORY, PAGES
from penstock.workers.parsed import Parsed

MOST_BYTES = 512 << 20
"""Of one answer, images included."""
STARTS = 3
"""A child that is killed before it is ready is started so often."""
START_SECONDS = 120.0
"""It may take so long until it is."""
_LOOK_SECONDS = 0.2
_PASSED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TMPDIR",
    "TZ",
    "PYTHONPATH",
    "LD_LIBRARY_PATH",
    "VIRTUAL_ENV",
)
"""A child parses hostile bytes: of the environment it sees nothing that could be a secret."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one child: address space, the time between two pages, the time for a document (wall clock and CPU alike), and
    after how many documents it makes way for another: whatever its libraries leak goes with it."""

    memory_mb: int = 2048
    page_seconds: float = 60.0
    document_seconds: float = 1800.0
    documents: int = 500


class ChildDied(Exception):
    """It was killed, by us for taking too long or by somebody else; `args[0]` says how."""


class Bug(TerminalError):
    """The engine raised what it should not have. `detail` is its traceback."""

    reason = "unexpected"
    next_step = "report it with the document's bytes (penstock explain); then: penstock retry --reason unexpected"
    detail: str = ""


class Engaged(Protocol):
    """What a child is started with; looked at anew each time. `target` is "module:Class", `environment` comes on top of
    what every child gets."""

    target: str
    limits: Limits

    @property
    def options(self) -> Mapping[str, Any]: ...

    @property
    def environment(self) -> Mapping[str, str]: ...


class Child:
    """Started when first asked, and again after it died."""

    def __init__(self, engaged: Engaged) -> None:
        self._engaged, self._limits = engaged, engaged.limits
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def parse(
        self,
        pdf: Path,
        progress: Callable[[int, int], None],
        stop: Callable[[], None],
    ) -> Parsed:
        """Raises what the engine raised (BadInput, EngineUnavailable, Bug), ChildDied when it gave no answer, and
        whatever `stop` raises, which is called several times a second. In the last two cases the child is gone.

        EngineUnavailable also when no child gets as far as being ready: no document is to blame for that.
        """
        if self._process is not None and _stirred(self._process):
            self.close()  # with nothing to do: no document is to blame
        process = self._process or self._start(stop)
        answer = _Answer(self._limits, progress, stop)
        try:
            assert process.stdin is not None
            request = {"pdf": str(pdf), "cpu_seconds": int(self._limits.document_seconds) + 1}
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            parsed = answer.read(process)
        except (BadInput, EngineUnavailable, Bug):
            raise  # it said so, and is well
        except BrokenPipeError:
            answer.died = True
            raise ChildDied(self._ended()) from None
        except ChildDied as died:
            raise ChildDied(str(died) or self._ended()) from None
        except BaseException:
            self.close()
            raise
        finally:
            if answer.last or answer.died:
                self.close()
        return parsed

    def close(self) -> None:
        """Kill it, if it is there."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()

    def _start(self, stop: Callable[[], None]) -> subprocess.Popen[bytes]:
        """A child that is ready. One that is killed by somebody else before it is may be started anew."""
        for _ in range(STARTS):
            with TemporaryFile() as said:
                process = self._process = self._spawn(said)
                try:
                    if _is_ready(process, stop):
                        return process
                except BaseException:
                    self.close()
                    raise
                how = self._ended()
                self.close()
                said.seek(0)
                last = said.read()[-2000:].decode(errors="replace").strip().rpartition("\n")[2]
            if process.returncode != -signal.SIGKILL:
                break
        raise EngineUnavailable(
            f"the process that parses can't start (it may use {self._limits.memory_mb} MiB): {how}"
            + (f" ({last[:300]})" if last else "")
        )

    def _spawn(self, said: IO[bytes]) -> subprocess.Popen[bytes]:
        told = {
            "engine": self._engaged.target,
            "options": dict(self._engaged.options),
            "memory_mb": self._limits.memory_mb,
            "documents": self._limits.documents,
            "parent": os.getpid(),
        }
        return subprocess.Popen(  # noqa: S603 — this very Python
            [sys.executable, "-m", "penstock.workers.child", json.dumps(told)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            bufsize=0,
            start_new_session=True,
            env={name: os.environ[name] for name in _PASSED_ON if name in os.environ} | dict(self._engaged.environment),
        )

    def _ended(self) -> str:
        """How it ended, in words."""
        assert self._process is not None
        try:
            status = self._process.wait(5)
        except subprocess.TimeoutExpired:
            return "it stopped answering"
        if status == MEMORY:
            return f"it needed more than {self._limits.memory_mb} MiB"
        if status == -signal.SIGXCPU:
            return f"it used more than {self._limits.document_seconds:g} s of CPU"
        if status in (-signal.SIGABRT, -signal.SIGTRAP):  # so pdfium ends when it is refused memory
            name = signal.Signals(-status).name
            return f"it was killed by {name}, most likely since it needed more than {self._limits.memory_mb} MiB"
        if status < 0:
            return f"it was killed by {signal.Signals(-status).name}"
        return f"it ended with status {status}"


def _stirred(process: subprocess.Popen[bytes]) -> bool:
    """Whether a child that was asked nothing has ended, or said something."""
    assert process.stdout is not None
    return process.poll() is not None or bool(select.select([process.stdout], [], [], 0)[0])


def _is_ready(process: subprocess.Popen[bytes], stop: Callable[[], None]) -> bool:
    """Whether it says so, in time and before it ends."""
    assert process.stdout is not None
    poll = select.poll()
    poll.register(process.stdout.fileno(), select.POLLIN)
    due = time.monotonic() + START_SECONDS
    while time.monotonic() < due:
        stop()
        if poll.poll(_LOOK_SECONDS * 1000):
            return os.read(process.stdout.fileno(), HEAD.size) == HEAD.pack(b"h", 0)
    process.kill()
    return False


class _Answer:
    """One answer in the making."""

    def __init__(self, limits: Limits, progress: Callable[[int, int], None], stop: Callable[[], None]) -> None:
        self._limits, self._progress, self._stop = limits, progress, stop
        self._buffer = bytearray()
        self._size = 0
        self._images: dict[str, bytes] = {}
        self._raw: bytes | None = None
        self.last = self.died = False

    def read(self, process: subprocess.Popen[bytes]) -> Parsed:
        """Raises ChildDied, with "" where the process says how."""
        assert process.stdout is not None
        pipe, now = process.stdout.fileno(), time.monotonic()
        poll = select.poll()
        poll.register(pipe, select.POLLIN)
        page_due, due = now + self._limits.page_seconds, now + self._limits.document_seconds
        while True:
            self._stop()
            now = time.monotonic()
            if now >= min(page_due, due):
                self.died = True
                raise ChildDied(
                    f"it took more than {self._limits.document_seconds:g} s"
                    if now >= due
                    else f"a page took more than {self._limits.page_seconds:g} s"
                )
            if not poll.poll(min(_LOOK_SECONDS, min(page_due, due) - now) * 1000):
                continue
            data = os.read(pipe, 1 << 20)
            if not data:
                self.died = True
                raise ChildDied("")
            self._size += len(data)
            if self._size > MOST_BYTES:
                self.died = True
                raise BadInput(f"what is made of it is more than {MOST_BYTES >> 20} MiB", reason="too-large")
            self._buffer += data
            page_due = time.monotonic() + self._limits.page_seconds
            try:
                parsed = self._frames()
            except _Garbled:
                self.died = True
                raise ChildDied("it said what is no answer") from None
            if parsed is not None:
                return parsed

    def _frames(self) -> Parsed | None:
        """Take the whole frames out of the buffer; the Parsed when it has come. Raises what the child says."""
        at = 0
        while len(self._buffer) - at >= HEAD.size:
            tag, size = HEAD.unpack_from(self._buffer, at)
            if len(self._buffer) - at < HEAD.size + size:
                break
            data = bytes(self._buffer[at + HEAD.size : at + HEAD.size + size])
            at += HEAD.size + size
            if tag == b"p":
                self._progress(*_pages(data))
            elif tag == b"i":
                name, _, image = data.partition(b"\0")
                self._images[name.decode(errors="replace")] = image
            elif tag == b"r":
                self._raw = data
            elif at < len(self._buffer):
                raise _Garbled  # it goes on after its last word
            elif tag == b"e":
                raise _error(data)
            elif tag in (b"d", b"l"):
                self.last = tag == b"l"
                return self._parsed(data)
            else:
                raise _Garbled
        del self._buffer[:at]
        return None

    def _parsed(self, data: bytes) -> Parsed:
        try:
            parsed = Parsed.model_validate_json(data)
        except ValidationError as error:
            first = error.errors()[0]
            raise InvalidOutput(f"the engine's {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
        return parsed.model_copy(update={"images": self._images, "raw": self._raw})


class _Garbled(Exception):
    """Something else than the engine's side has written into the pipe, or the child is no longer ours."""


def _pages(data: bytes) -> tuple[int, int]:
    if len(data) != PAGES.size:
        raise _Garbled
    done, total = PAGES.unpack(data)
    return done, total


class _Said(BaseModel):
    kind: Literal["unavailable", "input", "bug"]
    message: str
    reason: str
    next_step: str
    detail: str


def _error(data: bytes) -> PenstockError:
    try:
        said = _Said.model_validate_json(data)
    except ValidationError:
        raise _Garbled from None
    next_step = said.next_step or None
    if said.kind == "unavailable":
        return EngineUnavailable(said.message, reason=said.reason, next_step=next_step)
    if said.kind == "input":
        return BadInput(said.message, reason=said.reason, next_step=next_step)
    bug = Bug(said.message)
    bug.detail = said.detail
    return bug
