"""What a run shows while it goes on: a bar for each stage on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
    """One line at most every `seconds`, for logs."""

    def __init__(self, console: Console, seconds: float = LINE_SECONDS) -> None:
        self._console, self._seconds = console, seconds
        self._last = time.monotonic()

    def advanced(self, stage: str, done: int, total: int | None) -> None:
        if time.monotonic() - self._last >= self._seconds:
            self._last = time.monotonic()
            say(self._console, f"{stage}: {done:,}{f' of {total:,}' if total is not None else ''}")


class Bars:
    """A bar a stage, in the pipeline's order; a stage shows up when its turn comes."""

    def __init__(self, progress: Progress, stages: Sequence[str]) -> None:
        self._progress = progress
        self._tasks = {name: progress.add_task(name, total=None, start=False, visible=False) for name in stages}
        self._now: str | None = None

    def advanced(self, stage: str, done: int, total: int | None) -> None:
        task = self._tasks[stage]
        if stage != self._now:
            self._finish()
            self._now = stage
            self._progress.start_task(task)
        self._progress.update(task, completed=done, total=total, visible=True)

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
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    width = max((len(name) for name in stages), default=0)
    columns = (TextColumn(f"{{task.description:{width}}}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bars = Progress(*columns, console=console)
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
