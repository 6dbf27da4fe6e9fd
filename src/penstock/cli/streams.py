"""What stdout and stderr are made to bear: an encoding that lacks letters, nobody listening, a full disk."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper


def ready() -> None:
    """Letters an encoding lacks are spelled as escapes; a stream that was closed from the start takes everything."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 — for the rest of the process
        elif isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def unwritten() -> OSError | None:
    """Why stdout takes no more; None when it takes another line end. What it doesn't take is then dropped."""
    try:
        sys.stdout.write("\n")
        sys.stdout.flush()
    except OSError as error:
        # Python flushes once more when it ends, and would complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return error
    return None
