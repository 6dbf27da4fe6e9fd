"""What was asked of whom, for errors to tell."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from penstock.errors import TransientError
from penstock.resilience.classify import classify


class Asked(NamedTuple):
    """`what` names the request, without secrets; `host` whom it goes to, with the port where that isn't the usual."""

    what: str
    host: str

    @contextmanager
    def told(self) -> Iterator[None]:
        """Errors that leave it are ours, and say what was asked; those of the service say whose fault they are."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 — whatever it is, it is classified
            known = classify(error)
            if self.what not in known.message:
                known.args = (f"{self.what}: {known.message}",)
            if isinstance(known, TransientError):
                known.host = self.host
            raise known from known.__cause__
