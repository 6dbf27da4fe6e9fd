"""What is told of a run that takes its time."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console
from rich.progress import Progress, TextColumn

from penstock.cli.progress import Bars, Lines


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_a_line_says_how_fast_it_goes_and_how_long_it_will_take(clock: list[float]) -> None:
    said = io.StringIO()
    lines = Lines(Console(file=said, width=120), seconds=10)
    lines.advanced("embed", 500, 2000)  # done by an earlier run
    clock[0] += 10
    lines.advanced("embed", 1000, 2000)
    clock[0] += 5
    lines.advanced("embed", 1500, 2000)
    clock[0] += 5
    lines.advanced("index", 10, None)
    clock[0] += 10
    lines.advanced("index", 30, None)
    assert said.getvalue().splitlines() == [
        "embed: 1,000 of 2,000, 50.0/s, 0:00:20 left",
        "index: 10",
        "index: 30, 2.0/s",
    ]


def test_a_bar_shows_its_rate() -> None:
    now = [0.0]
    progress = Progress(TextColumn("{task.fields[rate]}"), console=Console(file=io.StringIO()), get_time=lambda: now[0])
    bars = Bars(progress, ["embed"])
    for done in (0, 100, 200):
        bars.advanced("embed", done, 400)
        now[0] += 1
    assert progress.tasks[0].fields["rate"] == "100/s"
