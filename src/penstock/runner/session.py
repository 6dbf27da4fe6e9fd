"""This process as the ledger sees it: a runner row, kept alive while there is work, ended in order."""

from __future__ import annotations

import os

from penstock.ledger.leases import Heartbeat, Leases, Reaped
from penstock.ledger.runs import Runs


class Session:
    """`runner` is this process's id in the ledger, registered on first use and again after a fork or a lost lease."""

    def __init__(self, leases: Leases, runs: Runs, lease_seconds: float) -> None:
        self._leases, self._runs = leases, runs
        self._seconds = lease_seconds
        self._id: int | None = None
        self._pid = 0
        self._heartbeat: Heartbeat | None = None
        self._batches: set[int] = set()

    @property
    def runner(self) -> int:
        if self._id is None or self._pid != os.getpid() or (self._heartbeat is not None and self._heartbeat.lost):
            if self._pid != os.getpid():
                self._batches.clear()
            self._id = self._leases.register(self._seconds)
            self._pid = os.getpid()
            self._heartbeat = Heartbeat(self._leases, self._id, self._seconds)
            self._heartbeat.start()
            for batch in self._batches:
                self._runs.taken_by(batch, self._id)
        return self._id

    def begin(self, batch: int) -> None:
        """This process is at a batch from now on, whatever its runner row is called meanwhile."""
        self._runs.taken_by(batch, self.runner)
        self._batches.add(batch)

    def leave(self, batch: int) -> None:
        self._batches.discard(batch)

    def reap(self) -> Reaped:
        return self._leases.reap()

    def close(self) -> None:
        """Stop the heartbeat and give back whatever is still leased."""
        if self._id is not None and self._pid == os.getpid():
            if self._heartbeat is not None:
                self._heartbeat.stop()
            self._leases.end(self._id)
        self._id = None
