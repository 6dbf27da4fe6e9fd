"""stdout as a shell may leave it: closed, full, narrow, or of an encoding that lacks letters."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SAID = "stdout can't be written to: No space left on device\n"


def run(root: Path, shell: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """`shell`, in which $PENSTOCK is the command."""
    environment |= {
        "PENSTOCK": f"{sys.executable} -c 'from penstock.cli import main; main()'",
        "PENSTOCK_CONFIG": str(root / "config/orchestration"),
        "PATH": "/usr/bin:/bin",
    }
    return subprocess.run(["bash", "-c", shell], env=environment, capture_output=True, check=False)


@pytest.mark.parametrize("command", ["pipelines list", "pipelines list --json", "--help"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_is_said_and_is_no_bug(root: Path, command: str, unbuffered: str) -> None:
    done = run(root, f"eval $PENSTOCK {command} >/dev/full", PYTHONUNBUFFERED=unbuffered)
    assert (done.returncode, done.stderr.decode()) == (1, SAID)


@pytest.mark.parametrize("command", ["pipelines list", "pipelines list --json", "pipelines schema"])
@pytest.mark.parametrize("unheard", [">&-", "| true"])
def test_nobody_listening_is_no_bug(root: Path, command: str, unheard: str) -> None:
    assert run(root, f"eval $PENSTOCK {command} {unheard}").stderr == b""


def test_letters_that_an_encoding_lacks_are_spelled(root: Path) -> None:
    done = run(root, "eval $PENSTOCK pipelines show auto", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"the request \\u2192" in done.stdout


def test_off_a_terminal_no_line_is_broken(root: Path) -> None:
    listed = run(root, "eval $PENSTOCK pipelines list").stdout.decode()
    assert str(root / "config/orchestration/pipelines/pdf-two-phase.yaml") in listed
    assert max(map(len, run(root, "eval $PENSTOCK pipelines list", COLUMNS="60").stdout.decode().splitlines())) <= 60
