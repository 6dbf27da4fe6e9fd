"""A ledger or artifact store that is away for a moment costs nothing that was done."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from penstock.errors import StoreBusy

LOOK_SECONDS = 0.5
"""So often a store that is away is asked again."""
PATIENCE_SECONDS = 60.0
"""One that is away for longer ends whoever asks."""

T = TypeVar("T")


class Patience:
    """All that a worker, or who follows it, asks of the stores. `hurry`: one more try must do; set here, too, once one
    was away for too long, for then there is nothing left to wait for."""

    def __init__(self, hurry: threading.Event) -> None:
        self._hurry = hurry

    def __call__(self, ask: Callable[[], T]) -> T:
        """Raises StoreBusy when it stays away."""
        until: float | None = None
        while True:
            try:
                return ask()
            except StoreBusy:
                now = time.monotonic()
                until = now + PATIENCE_SECONDS if until is None else until
                if now >= until:
                    self._hurry.set()
                    raise
                if self._hurry.wait(LOOK_SECONDS):
                    until = 0.0
