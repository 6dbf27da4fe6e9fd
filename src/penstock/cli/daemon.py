"""A Dagster daemon of our own for a while: its sensors launch what is ready. No web server, so no port."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from penstock.errors import PenstockError, UsageError

GRACE_SECONDS = 15.0
_SHOWN = 1500


class Daemon:
    """One that runs."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process, self._log = process, log

    def check(self) -> None:
        """Raises PenstockError, with the end of its log, when it has ended."""
        if self._process.poll() is not None:
            told = " ".join(self._log.read_text(errors="replace")[-_SHOWN:].split())
            raise PenstockError(f"Dagster's daemon ended with status {self._process.returncode}: … {told}")

    def end(self, *, at_once: bool) -> None:
        """End it, then what it has started; unless `at_once`, a run that is about to end may do so. What is left of
        its process group after a while is killed."""
        if not at_once:
            self._process.send_signal(signal.SIGINT)
            self._wait()
        self._signal(signal.SIGINT)
        self._wait()
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _wait(self) -> None:
        until = time.monotonic() + GRACE_SECONDS
        while time.monotonic() < until and self._signal(0):
            time.sleep(0.1)

    def _signal(self, number: int) -> bool:
        """To all of its group; False when none of it is there any more."""
        self._process.poll()
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return False
        return True


@contextmanager
def daemon(home: Path) -> Iterator[Daemon]:
    """A daemon with `home` as its DAGSTER_HOME, in this environment and folder; it has ended when the block has."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "dagster.yaml").write_bytes(files("penstock").joinpath("templates/dagster.yaml").read_bytes())
    beside = Path(sys.executable).with_name("dagster-daemon")
    program = str(beside) if beside.exists() else shutil.which("dagster-daemon")
    if program is None:
        raise UsageError("there is no dagster-daemon", next_step="pip install dagster")
    log = home / "daemon.log"
    with log.open("wb") as out:
        process = subprocess.Popen(  # noqa: S603 — Dagster's own program
            [program, "run", "-m", "penstock.definitions"],
            env=os.environ | {"DAGSTER_HOME": str(home.absolute())},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # what is started in the background of a shell ignores SIGINT, and so would all of its children
            preexec_fn=_answer_interrupts,
        )
    found, at_once = Daemon(process, log), True
    try:
        yield found
        at_once = False
    finally:
        found.end(at_once=at_once)


def _answer_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
