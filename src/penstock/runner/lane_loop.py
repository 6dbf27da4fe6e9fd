"""One stage over one batch where documents wait for different services: side by side, more of them being claimed as
some are through, so that no lane's documents wait for another lane's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from penstock.errors import StoreBusy
from penstock.ledger.leases import claim_limit
from penstock.ledger.work import Claim
from penstock.runner.bisect import ServiceAway
from penstock.runner.inputs import Task, failure
from penstock.runner.lanes import Part, side_by_side
from penstock.runner.stage import StageLoop

GROUP = 1024
"""Documents claimed at a time."""

HELD = 8192
"""About so many are held: who comes after more of one slow service's than that waits until they are fewer."""


class LaneLoop(StageLoop):
    """For implementations that name what an item waits for: `lane(item)`; and, where they do so, `lanes(item)`, all
    that it may turn to, best first, and `lane_of(output)`, whom it was had from in the end."""

    def __init__(self, *arguments: Any, **services: Any) -> None:
        super().__init__(*arguments, **services)
        self._lane: Callable[[Any], str] = self._planned.implementation.lane
        self._lanes: Callable[[Any], list[str]] = getattr(self._planned.implementation, "lanes", lambda item: [])
        self._held: dict[int, Claim] = {}
        self._progressed = False
        self._away: dict[str, ServiceAway] = {}
        self._left_alone: set[str] = set()  # those that are away, and those that asked for it
        self._turned: dict[str, list[Task]] = {}

    def _work_off(self) -> bool:
        self._held, self._progressed = {}, False
        claimed = self._claimed()

        def more() -> Mapping[str, Part]:
            turned, self._turned = self._turned, {}
            if turned or len(self._held) >= HELD:
                return self._parts_of(turned)
            return next(claimed, {})

        try:
            side_by_side(more, self._settle_all, self._stop)
        except ServiceAway as away:
            raise self._outage(away.error) from away
        finally:
            self._work.release(self._key, list(self._held.values()))
        return self._progressed

    def _claimed(self) -> Iterator[Mapping[str, Part]]:
        """Documents by lane; nothing while there must be no more beside those that are held.

        Who waits for a service does so without its item, which is read again when its turn comes.
        """
        for wanted in self._groups(GROUP):
            lost = wanted[0].lost  # of a group either all have lost a lease or none
            for some in ([claim] for claim in wanted) if lost else [wanted]:
                while self._crowded(lost):
                    yield {}
                self._stop()
                yield from self._begun(some)

    def _crowded(self, lost: int) -> bool:
        """Whether there must be fewer before others are claimed: those that have lost a lease may be what kills their
        runner, and keep to a few."""
        if lost:
            return len(self._held) >= claim_limit(lost, GROUP)
        return any(claim.lost for claim in self._held.values())

    def _begun(self, wanted: list[Claim]) -> Iterator[Mapping[str, Part]]:
        group = self._work.claim(self._session.runner, self._key, wanted)
        self._held.update((claim.job_id, claim) for claim in group)
        self._progressed |= bool(group)
        for part in self._parts(self._find(group, self._held)):
            self._inputs.read(part)
            lanes: dict[str, list[Task]] = {}
            for task in self._whole(part, self._held):
                name = self._lane(task.item)
                lanes.setdefault(name, []).append(task)
                if name:
                    task.item = None
            if lanes:
                yield self._parts_of(lanes)
            loaded = {task.claim.job_id for task in lanes.get("", [])}
            while loaded & self._held.keys():
                yield {}

    def _parts_of(self, lanes: Mapping[str, list[Task]]) -> Mapping[str, Part]:
        return {name: partial(self._run_lane, name, tasks) for name, tasks in lanes.items()}

    def _run_lane(self, name: str, tasks: list[Task], *, settle: Callable[..., None], stop: Callable[[], None]) -> None:
        """In a thread of its own. A service that is away is asked no more in this run. Raises what must end the others,
        too."""
        away = self._away.get(name)
        if away is None:
            try:
                self._run_each(tasks, settle, stop, name)
                return
            except ServiceAway as error:
                if isinstance(error.error, StoreBusy):  # ours, and so everybody's
                    raise
                away = error
                if not error.untried:
                    self._away[name] = error
        self._left_alone.add(name)
        settle(tasks, None, away)

    def _settle_all(self, settled: list[tuple[Any, ...]]) -> None:
        """In one commit, but for those whose service is away. Those without outcomes, whom it was not asked for, fail
        unless they may turn to another one."""
        calm = [each for each in settled if each[2] is None]
        tasks, outcomes = [t for each in calm for t in each[0]], [o for each in calm for o in each[1]]
        self._settle(self._held, tasks, outcomes)
        for tasks, outcomes, away in settled:
            if away is not None and outcomes is not None:
                self._settle(self._held, tasks, outcomes, away)
            elif away is not None:
                left = self._turn([task for task in tasks if task.claim.job_id in self._held])
                failed = [replace(failure(task, away.error, terminal=False), attempts=0) for task in left]
                self._commit([], failed, self._held)

    def _turn(self, tasks: list[Task]) -> list[Task]:
        """Those that have nowhere else to go. The others wait for the best of what is left to them."""
        stay: list[Task] = []
        self._inputs.read(tasks)
        for task in tasks:
            lanes = [] if task.lost else self._lanes(task.item)
            task.item = None
            name = next((name for name in lanes if name not in self._left_alone), None)
            (stay if name is None else self._turned.setdefault(name, [])).append(task)
        return stay
