"""One stage called for some documents, under its guard, and what it gives checked and given the form it rests in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from penstock.errors import InvalidOutput, PenstockError, StoreBusy, TerminalError, TransientError
from penstock.ledger.work import Done, StageKey
from penstock.resilience.breaker import hearing
from penstock.resilience.classify import describe
from penstock.runner.inputs import Inputs, Task
from penstock.runner.outputs import at_rest, check
from penstock.runner.plan import PlannedStage
from penstock.stores.artifacts import ArtifactStore


class Call:
    """For the tasks of one group, of one `lane` where the stage has lanes. `stop` is called before each call.

    The breaker hears of what is tried for the first time, not of the search for poison in it, whose failures prove
    nothing; what gets through in that search proves that the service is there.
    """

    def __init__(
        self,
        planned: PlannedStage,
        key: StageKey,
        inputs: Inputs,
        artifacts: ArtifactStore,
        stop: Callable[[], None],
        lane: str = "",
    ) -> None:
        self._planned, self._key, self._inputs, self._artifacts = planned, key, inputs, artifacts
        self._stop, self._lane = stop, lane
        self._many = planned.contract.arity == "many"
        self._plain = planned.guard and planned.guard.without_breaker()
        self._lane_of: Callable[[Any], str] = getattr(planned.implementation, "lane_of", lambda value: lane)
        self._searching = False
        self._others: set[int] = set()

    def __call__(self, part: Sequence[Task]) -> list[Done]:
        """Their outputs. Raises what the stage, its guard or the checks raise."""
        self._stop()
        if part[0].item is None:  # it made room for others
            self._inputs.read(part)
        if part[0].lost:
            raise TransientError("its input, which was there before, is lost, so it can't be tried")
        outputs, attempts = self._outputs([(task.context, task.item) for task in part])
        if len(outputs) != len(part):
            raise InvalidOutput(f"{len(part)} documents in, {len(outputs)} outputs out")
        return [self._done(task, value, attempts) for task, value in zip(part, outputs, strict=True)]

    def vouches(self, task: Task) -> bool:
        """Whether what got through did so by this lane's service."""
        return task.claim.job_id not in self._others

    def elsewhere(self, error: PenstockError) -> bool:
        """Whether it is the fault of another service than this lane's."""
        theirs = isinstance(error, TransientError) and not isinstance(error, StoreBusy) and error.host
        return bool(self._lane and theirs and theirs != self._lane)

    def _outputs(self, pairs: list[tuple[Any, Any]]) -> tuple[list[Any], int]:
        execute = partial(self._execute, pairs) if self._many else partial(self._execute, *pairs[0])
        guard, attempts = self._planned.guard, 1
        if guard is None or self._plain is None:
            given = execute()
        else:
            first, self._searching = not self._searching, True  # until it has got through
            with hearing(guard.breaker, first):
                given, attempts = self._plain.call(execute)
            self._searching = self._many
        return given if self._many else [given], attempts

    def _execute(self, *arguments: Any) -> Any:
        try:
            return self._planned.implementation.execute(*arguments)
        except (Exception, KeyboardInterrupt):
            raise
        except BaseException as leave:  # this process is not a stage's to end
            raise TerminalError(describe(leave), reason="unexpected") from leave

    def _done(self, task: Task, value: Any, attempts: int) -> Done:
        """Raises as `check` does."""
        contract = self._planned.contract
        check(self._planned, self._key, task.claim.source_id, task.item, value)
        (self._others.discard if self._lane_of(value) == self._lane else self._others.add)(task.claim.job_id)
        return at_rest(task.claim, task.key, contract.gives, value, self._artifacts, attempts)
