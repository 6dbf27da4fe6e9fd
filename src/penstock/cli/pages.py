"""Pages as search and explain name them."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from penstock.errors import PenstockError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from penstock.ir.places import PagePlace
    from penstock.retrieval.hybrid import SearchHit
    from penstock.settings import Settings

PAGED = "pdf"
"""The kind of documents that have pages."""


def on_pages(places: Iterable[PagePlace]) -> str:
    """As `pages_told` says it."""
    return pages_told(place.page for place in places)


def textless(missing: Iterable[int]) -> str:
    """`, no text on p. 3`; nothing where no page is missing."""
    told = pages_told(missing)
    return f", no text on {told}" if told else ""


def pages_told(numbers: Iterable[int]) -> str:
    """`p. 3`, `p. 3–4, 7`; nothing where there are none."""
    ranges: list[tuple[int, int]] = []
    for page in sorted(set(numbers)):
        if ranges and page == ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], page)
        else:
            ranges.append((page, page))
    told = ", ".join(str(first) if first == last else f"{first}–{last}" for first, last in ranges)
    return f"p. {told}" if told else ""


def pages_of(
    settings: Settings, tenant: str, hits: Sequence[SearchHit]
) -> tuple[dict[str, tuple[PagePlace, ...]], str]:
    """Chunk id → the places on its pages, as far as there is a ledger that knows them; and why they are not known,
    for the index answers without a ledger, too."""
    from penstock.cli.request import missing_ledger

    paged = [hit for hit in hits if hit.kind == PAGED]
    if not paged or missing_ledger(settings):
        return {}, ""
    from penstock.bootstrap import App
    from penstock.explain import Pages

    try:
        with closing(App(settings)) as app:
            return Pages(tenant, app.ledger, app.artifacts).of(paged), ""
    except PenstockError as error:
        return {}, f"on which pages they are is not known: {error.message}"
