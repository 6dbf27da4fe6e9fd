"""A `mineru-api` process of our own: its key kept from the process list, and nothing of it outliving us."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import SecretStr

from penstock.errors import EngineUnavailable
from penstock.resilience.redaction import redact

_LAUNCH = """\
import os, runpy, shutil, signal, sys
if not os.fork():
    os.read(0, 1)
    shutil.rmtree(os.getcwd(), ignore_errors=True)
    os.killpg(0, signal.SIGKILL)
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
sys.argv = [*sys.argv[1:], "--api-key", os.environ.pop("MINERU_API_KEY")]
sys.path[0] = os.path.dirname(sys.argv[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""mineru-api takes its key as an argument only, and arguments are anybody's to read: so its script is run by this, that
adds it from the environment. stdin is a pipe that nobody writes to. It ends when this process does, however that ends,
and then the forked warden takes all of the group with it, and the folder. A parent-death signal would reach the first
process alone, and come as soon as the thread ends that started it.
"""
_SCRIPT = re.compile(rb"#!(?:/bin/sh\s+'''exec' \"?([^\"\n]+?)\"? \"\$0\"|([^\s]+)\s)")
_TAIL_BYTES = 1 << 14
_TAIL_LINES = 4
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_DYING_SECONDS = 10.0
_LOOK_SECONDS = 0.02
_PAGE_MB = os.sysconf("SC_PAGESIZE") / (1 << 20)


class MineruProcess:
    """Runs from when it is made until `stop`. `folder`: an own one, where its log and its temporary files are."""

    def __init__(
        self, script: Path, arguments: Sequence[str], key: SecretStr, environment: Mapping[str, str], folder: Path
    ) -> None:
        self._log = folder / "server.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 — the operator's mineru-api
                [interpreter(script), "-c", _LAUNCH, str(script), *arguments],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=folder,
                env={**environment, "TMPDIR": str(folder), "MINERU_API_KEY": key.get_secret_value()},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def resident_mb(self) -> int:
        """Memory of its whole session in MiB; 0 where there is no /proc."""
        pages = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_bytes().rpartition(b")")[2].split()
            except OSError:
                continue  # it ended just now
            if int(fields[3]) == self._process.pid:
                pages += int(fields[21])
        return round(pages * _PAGE_MB)

    def last_words(self) -> str:
        """The end of its log, in one line."""
        with self._log.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
            lines = _COLOUR.sub("", log.read().decode(errors="replace")).splitlines()
        return redact(" ".join([line.strip() for line in lines if line.strip()][-_TAIL_LINES:]))

    def stop(self, grace: float = 0.0) -> None:
        """Asks it to end and waits `grace` seconds for that; then kills all of its group."""
        if grace and not self.ended:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(grace)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            until = time.monotonic() + _DYING_SECONDS
            while time.monotonic() < until:  # what it started holds GPU memory until it is gone
                os.killpg(self._process.pid, 0)
                time.sleep(_LOOK_SECONDS)
        self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()


def interpreter(script: Path) -> str:
    """The Python that a console script names in its first line; installers write `#!/bin/sh` and a line with `exec`
    where its path is long or has blanks. Raises EngineUnavailable."""
    try:
        with script.open("rb") as file:
            found = _SCRIPT.match(file.read(4096))
    except OSError as error:
        raise EngineUnavailable(f"{script} can't be read: {error.strerror}") from None
    python = os.fsdecode(found[1] or found[2]) if found else ""
    if "python" not in Path(python).name or not os.access(python, os.X_OK):
        raise EngineUnavailable(
            f"{script} is not the mineru-api that installing mineru leaves",
            next_step="name it with --mineru-api, in the bin folder of the environment that mineru is installed in",
        )
    return python
