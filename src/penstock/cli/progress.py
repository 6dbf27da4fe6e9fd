"""What a run shows while it goes on: a bar for each stage on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from threading import Timer
from typing import TYPE_CHECKING

from penstock.cli.screen import say, stderr

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from penstock.runner import Observer

AFTER_SECONDS = 1.5
"""What is over sooner needs no bar."""
LINE_SECONDS = 10.0


class Lines:
    """One line at most every `seconds`, for logs: how many, how many a second, and how long it will take."""

    def __init__(self, console: Console, seconds: float = LINE_SECONDS) -> None:
        self._console, self._seconds = console, seconds
        self._last = time.monotonic()
        self._began: tuple[str, int, float] = ("", 0, 0.0)

    def advanced(self, stage: str, done: int, total: int | None) -> None:
        now = time.monotonic()
        if stage != self._began[0]:
            self._began = (stage, done, now)
        if now - self._last >= self._seconds:
            self._last = now
            say(
                self._console,
                f"{stage}: {done:,}{f' of {total:,}' if total is not None else ''}{self._pace(done, total)}",
            )

    def _pace(self, done: int, total: int | None) -> str:
        """Of what was done since the stage's first word: what was there before took no time."""
        _, first, began = self._began
        if done <= first:
            return ""
        rate = (done - first) / (time.monotonic() - began)
        left = f", {timedelta(seconds=round((total - done) / rate))} left" if total is not None else ""
        return f", {rate:,.1f}/s{left}"


class Bars:
    """A bar a stage, in the pipeline's order; a stage shows up when its turn comes."""

    def __init__(self, progress: Progress, stages: Sequence[str]) -> None:
        self._progress = progress
        self._tasks = {
            name: progress.add_task(name, total=None, start=False, visible=False, rate="") for name in stages
        }
        self._now: str | None = None

    def advanced(self, stage: str, done: int, total: int | None) -> None:
        task = self._tasks[stage]
        if stage != self._now:
            self._finish()
            self._now = stage
            self._progress.start_task(task)
        self._progress.update(task, completed=done, total=total, visible=True)
        speed = next(t.speed for t in self._progress.tasks if t.id == task)
        self._progress.update(task, rate=f"{speed:,.0f}/s" if speed else "")

    def _finish(self) -> None:
        """A listing knows its total when it is over."""
        if self._now is not None:
            task = self._tasks[self._now]
            completed = next(t.completed for t in self._progress.tasks if t.id == task)
            self._progress.update(task, total=completed)


@contextmanager
def progress(stages: Sequence[str], *, after: float = AFTER_SECONDS) -> Iterator[Observer]:
    """An observer that draws on stderr once the run has taken `after` seconds, and leaves the bars standing."""
    console = stderr()
    if not console.is_terminal:
        yield Lines(console)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    width = max((len(name) for name in stages), default=0)
    bars = Progress(
        TextColumn(f"{{task.description:{width}}}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=console,
    )
    timer = Timer(after, bars.start)
    timer.daemon = True
    timer.start()
    try:
        yield Bars(bars, stages)
    finally:
        timer.cancel()
        timer.join()
        if bars.live.is_started:
            bars.stop()
