"""Names given as filters, held against those there are."""

from __future__ import annotations

from collections.abc import Iterable

from penstock.errors import NotFound


def known_name(what: str, given: str | None, there: Iterable[str]) -> None:
    """Raises NotFound, with the nearest, for a name that is not among these."""
    names = list(there)
    if given is None or given in names:
        return
    from penstock.pipelines.problems import suggest

    raise NotFound(f"no {what} is called {given!r}", next_step=suggest(given, names))
