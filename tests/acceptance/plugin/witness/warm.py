"""The `penstock` command many times over, each in a process of its own forked from this one, which has imported all.

A request is a line of JSON on stdin: `arguments`, `environment` (added to this process's), `out` and `err` (files) and
`seconds` (then the process is killed; null: never). The answer is a line on stdout: the exit status, negative for the
signal that ended it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback

import penstock.bootstrap
import penstock.cli.progress
import penstock.cli.report
import penstock.runner  # noqa: F401 — imported so that no fork has to
import witness.stages  # noqa: F401
from witness import command


def serve() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            _run(request)
        if request["seconds"] is not None:
            _kill_after(child, request["seconds"])
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _run(request: dict[str, object]) -> None:
    status = 1
    try:
        os.environ.update(request["environment"])  # type: ignore[call-overload]
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(str(request[name]), os.O_WRONLY | os.O_TRUNC | os.O_CREAT, 0o600), number)
        sys.argv = ["penstock", *request["arguments"]]  # type: ignore[misc]
        command.main()
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _kill_after(child: int, seconds: float) -> None:
    due = time.monotonic() + seconds
    while time.monotonic() < due:
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)


if __name__ == "__main__":
    serve()
