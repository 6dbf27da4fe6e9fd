"""Retirement: what a complete listing no longer gives leaves index and graph, if the user asks for it."""

from __future__ import annotations

from collections.abc import Callable

from penstock.errors import StageFailed, UsageError
from penstock.ir import StageContext
from penstock.ledger.listing import Listing
from penstock.ledger.retirement import Retirement
from penstock.runner.plan import Plan, PlannedStage
from penstock.runner.report import StageReport

MOST = 0.1
"""The part of a scope that may be retired without being told to retire all."""


def forget_failures(retirement: Retirement, plan: Plan, tenant: str, listing: Listing, report: StageReport) -> None:
    """What never got into a store and is gone from its source is no failure any more. The listing must be whole."""
    gone = retirement.forget_failures(tenant, listing.scope, listing.submission, [p.name for p in _sinks(plan)])
    are = "is retired: the source lists it" if gone == 1 else "are retired: the source lists them"
    report.note(f"{gone:,} that had failed {are} no longer" if gone else "")


def retire(
    retirement: Retirement, plan: Plan, tenant: str, listing: Listing, report: StageReport, *, all_of_them: bool
) -> None:
    """Mark what the scope's `listing`, which must be whole, did not give.

    Raises StageFailed (retire) when that is more than a tenth of the scope, unless `all_of_them`.
    """
    gone, held = retirement.missing(listing.scope, listing.submission)
    if gone > held * MOST and not all_of_them:
        raise StageFailed(
            f"{gone:,} of {held:,} documents are no longer listed, more than a tenth: none was retired",
            reason="retire",
            next_step="if that is right, run the same again with --retire --yes; if not, without --retire",
        )
    marked = retirement.mark(tenant, listing.scope, listing.submission, [p.name for p in _sinks(plan)])
    are = "document is retired: the source lists it" if marked == 1 else "documents are retired: the source lists them"
    report.note(f"{marked:,} {are} no longer" if marked else "")


def let_go(retirement: Retirement, plan: Plan, tenant: str, stop: Callable[[], None]) -> None:
    """Have the sinks let go of what is marked, also by a run that did not come to it. Raises as the sinks do."""
    name = plan.topology.name
    while leaving := retirement.leaving(tenant, name):
        stop()
        for planned in _sinks(plan):
            if not hasattr(planned.implementation, "retire"):
                raise UsageError(
                    f"{planned.stage.type} {planned.implementation.name!r} can't let go of documents",
                    next_step="give the class a method `retire(contexts)` (docs/stages.md)",
                )
            planned.implementation.retire(
                [
                    StageContext(
                        gone.tenant,
                        gone.doc_id,
                        gone.correlation_id,
                        {"generation": gone.generation, "token": gone.order, "pipeline": name},
                    )
                    for gone in leaving
                ]
            )
        retirement.left(leaving)


def _sinks(plan: Plan) -> list[PlannedStage]:
    return [p for p in plan.stages.values() if p.stage.contract is not None and p.contract.sink]
