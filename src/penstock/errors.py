"""Every error Penstock raises on purpose.

    PenstockError
    ├── UsageError                 the caller's mistake: one clear line, exit status 2
    │   ├── ConfigError            a file of theirs, with file:line:column and a fix
    │   └── NotFound               a name that nothing answers to
    ├── TerminalError              this document can never pass as it is: dead letter, never retried
    │   ├── BadInput               the bytes are wrong: malformed, truncated, empty, encrypted, unsupported, too-large
    │   ├── InvalidOutput          a stage gave what its contract does not allow
    │   └── Crashed                this document took its worker down again and again
    ├── TransientError             the world's fault, not the document's: retried by the guard's policy
    │   ├── ServiceUnavailable     refused, reset, 5xx
    │   ├── RateLimited            429, or a 503 that names a time
    │   ├── AttemptTimeout         one attempt took longer than timeout_seconds, or all of them deadline_seconds
    │   ├── CircuitOpen            not tried: too many faults in a row
    │   ├── StoreBusy              a database or index that is locked or away
    │   ├── EngineUnavailable      what reads PDFs can't work here, or has stopped working
    │   └── GateTimeout            nobody did in time what the document waited for
    ├── ListingShort               a source gave less than it says it has; what it gave is good
    ├── ArtifactLost               what was stored is gone, or its bytes are others: it is made or read again
    ├── Fenced                     someone else holds the lease now: drop the work, it is theirs
    ├── StorageFull                no room for what must be kept
    ├── StageFailed                a stage gave up: an outage, nothing got through, or dead letters were forbidden
    └── Stopped                    asked to stop: what was claimed is given back

A document's failure is *terminal* or *transient*; `reason` is a stable word for tables and filters, `next_step` the
command or change that helps. Messages never carry secrets or document text beyond a short quotation.
"""

from __future__ import annotations

from dataclasses import dataclass


class PenstockError(Exception):
    """Base of the tree. `reason` is a stable kebab-case word, `next_step` one sentence a person can act on."""

    reason: str = "unexpected"
    transient: bool = False
    next_step: str = ""
    attempts: int = 0
    """How many attempts a guard made before it raised this; 0 where none was made."""

    def __init__(self, message: str, *, reason: str | None = None, next_step: str | None = None) -> None:
        super().__init__(message)
        if reason is not None:
            self.reason = reason
        if next_step is not None:
            self.next_step = next_step

    @property
    def message(self) -> str:
        return str(self.args[0]) if self.args else type(self).__name__


class UsageError(PenstockError):
    reason = "usage"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a file of the user's: where (1-based), what, and what would mend it."""

    file: str
    line: int
    column: int
    message: str
    fix: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}: {self.message}"
        return f"{where}\n    fix: {self.fix}" if self.fix else where


class ConfigError(UsageError):
    """A file of the user's that can't be taken; holds all of its problems, in file order."""

    reason = "config"

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(p) for p in problems))
        self.problems = problems


class NotFound(UsageError):
    reason = "not-found"


class TerminalError(PenstockError):
    reason = "terminal"


class BadInput(TerminalError):
    """`reason`: malformed, truncated, empty, encrypted, unsupported, too-large, unreadable, not-found, schema or
    unexpected; of a PDF also not-a-pdf, not-available, corrupt, no-pages, no-text-layer."""

    reason = "malformed"
    next_step = "mend the input and run it again"


class InvalidOutput(TerminalError):
    reason = "invalid-output"
    next_step = "mend the stage implementation, raise its version, then: penstock retry --reason invalid-output"


class Crashed(TerminalError):
    reason = "crashed"
    next_step = "look at the document's bytes with: penstock explain; then: penstock retry --reason crashed"


class TransientError(PenstockError):
    """`retry_after` is what the service asked for, in seconds from now, or None. `status` its HTTP status, or None.
    `host` is whose fault it is, as an HTTP service tells its hosts apart; "" where nobody said."""

    reason = "transient"
    transient = True
    next_step = "penstock retry"
    host: str = ""

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        next_step: str | None = None,
        retry_after: float | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(message, reason=reason, next_step=next_step)
        self.retry_after = retry_after
        self.status = status


class ServiceUnavailable(TransientError):
    reason = "service-unavailable"


class RateLimited(TransientError):
    reason = "rate-limited"


class AttemptTimeout(TransientError):
    reason = "timeout"


class CircuitOpen(TransientError):
    reason = "circuit-open"


class StoreBusy(TransientError):
    reason = "store-busy"


class EngineUnavailable(TransientError):
    reason = "engine-unavailable"
    next_step = "mend what it says, then start the worker again: the documents wait"


class GateTimeout(TransientError):
    reason = "gate-timeout"
    next_step = "start a worker (penstock worker pdf), then: penstock retry --reason gate-timeout"


class ListingShort(PenstockError):
    """A listing's end, in spite of what its source says there is: nothing is known of what it did not give."""

    reason = "listing-short"
    next_step = "run the same again: it lists all there is once more"


class ArtifactLost(PenstockError):
    reason = "artifact-lost"
    next_step = "run the same again: what can be made again is"


class Fenced(PenstockError):
    reason = "fenced"


class StorageFull(PenstockError):
    reason = "storage-full"
    next_step = "free some space, then run the same again: it goes on where it stopped"


class StageFailed(PenstockError):
    """`reason`: outage, nothing-through, dead-letters, topology-changed."""

    reason = "outage"
    next_step = "mend the cause, then: penstock retry"


class Stopped(PenstockError):
    reason = "stopped"
    next_step = "run the same again: it goes on where it stopped"
