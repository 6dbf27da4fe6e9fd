"""This process as the ledger sees it: a runner row, kept alive while there is work, ended in order."""

from __future__ import annotations

import os

from penstock.ledger.leases import Heartbeat, Leases, Reaped


class Session:
    """`runner` is this process's id in the ledger, registered on first use and again after a fork or a lost lease."""

    def __init__(self, leases: Leases, lease_seconds: float) -> None:
        self._leases = leases
        self._seconds = lease_seconds
        self._id: int | None = None
        self._pid = 0
        self._heartbeat: Heartbeat | None = None

    @property
    def runner(self) -> int:
        if self._id is None or self._pid != os.getpid() or (self._heartbeat is not None and self._heartbeat.lost):
            self._id = self._leases.register(self._seconds)
            self._pid = os.getpid()
            self._heartbeat = Heartbeat(self._leases, self._id, self._seconds)
            self._heartbeat.start()
        return self._id

    def reap(self) -> Reaped:
        return self._leases.reap()

    def close(self) -> None:
        """Stop the heartbeat and give back whatever is still leased."""
        if self._id is not None and self._pid == os.getpid():
            if self._heartbeat is not None:
                self._heartbeat.stop()
            self._leases.end(self._id)
        self._id = None
