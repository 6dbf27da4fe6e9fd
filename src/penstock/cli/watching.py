"""What a worker shows of its work: a line for each document, and now and then one for a long one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from penstock.cli.pages import textless
from penstock.cli.progress import LINE_SECONDS
from penstock.cli.screen import counted, document_name, say, stderr
from penstock.errors import GateTimeout

if TYPE_CHECKING:
    from rich.console import Console

    from penstock.workers.attempt import Parse


class Told:
    """Called from a worker's threads. `opening` is said once its engine is there."""

    def __init__(self, console: Console, opening: str) -> None:
        self._console, self._errors, self._opening = console, stderr(), opening
        self._due: dict[str, float] = {}

    @property
    def under_way(self) -> int:
        """How many documents have begun and not ended."""
        return len(self._due)

    def started(self) -> None:
        say(self._console, self._opening, "bold")

    def began(self, source_id: str) -> None:
        self._due[source_id] = time.monotonic() + LINE_SECONDS

    def page(self, source_id: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now >= self._due.get(source_id, now):
            self._due[source_id] = now + LINE_SECONDS
            say(self._errors, f"{document_name(source_id)}: page {done:,} of {total:,}", "dim")

    def finishing(self, seconds: float) -> None:
        """The worker was asked to stop, and gives what is under way so long."""
        if many := self.under_way:
            begun = f"{counted(many, 'document')} {'is' if many == 1 else 'are'} under way"
            again = f"once more: {'it is' if many == 1 else 'they are'} given back at once"
            say(self._errors, f"{begun}: {'it has' if many == 1 else 'they have'} {seconds:.0f} s to finish ({again})")

    def expired(self, count: int) -> None:
        late = f"{counted(count, 'document')} failed, {GateTimeout.reason}"
        say(self._console, f"{late}: longer at the gate than it allows", "red")

    def ended(self, parse: Parse) -> None:
        self._due.pop(parse.source_id, None)
        took = f"{document_name(parse.source_id)}  "
        if parse.taken_over:
            say(self._console, f"{took}left: it was cancelled or replaced, or another worker has it", "yellow")
        elif parse.error is None:
            missing = textless(parse.missing)
            line = f"{took}{counted(parse.pages, 'page')}{missing}, {parse.seconds:.1f} s"
            say(self._console, line, "yellow" if missing else "")
        elif parse.given_back:
            say(self._console, f"{took}given back: {parse.error.message}", "yellow")
        else:
            say(self._console, f"{took}failed, {parse.error.reason}: {parse.error.message}", "red")
