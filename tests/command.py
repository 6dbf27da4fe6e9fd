"""What a test sees of the command `penstock` run in its own process (the fixture `penstock` of tests/unit/cli)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Said:
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Penstock = Callable[..., Said]
PAPERS = ("warfarin-apixaban-switch.pdf", "ketoacidosis-fourteen-cases.pdf")
"""What the fixture `papers` copies from examples-pdf: pages that can be read."""
