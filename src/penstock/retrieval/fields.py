"""What a person asks to filter by, held against what documents have."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping

from penstock.errors import UsageError
from penstock.stores.search_filters import Filters
from penstock.stores.search_index import SqliteSearchIndex

Value = str | int | float | bool
_SHOWN = 8
_WORDS = re.compile(r"\w+")


def resolve(
    index: SqliteSearchIndex, tenant: str, asked: Mapping[str, Iterable[Value]]
) -> tuple[dict[str, tuple[Value, ...]], list[str]]:
    """The values to filter by, each as documents have it, and notes on what was taken for what.

    A value is meant when it is the one asked for; else when only case tells them apart; else when it holds the words
    asked for in a row ("warfarin": "WARFARIN SODIUM"). What no document has stays as it is and is noted.
    Raises UsageError for a name that no document of `tenant` has, with those there are.
    """
    names = index.fields(tenant) if asked else []
    found: dict[str, tuple[Value, ...]] = {}
    notes: list[str] = []
    for name, wanted in asked.items():
        if name not in names:
            raise UsageError(f"no document has a field {name!r}", next_step=f"there are: {', '.join(names) or 'none'}")
        held = index.values(tenant, name)
        for value in map(_plain, wanted):
            meant = _meant(value, held)
            if not meant:
                notes.append(f"no document has {name}={value}; there are: {_some(value, held)}")
            elif [_plain(one) for one in meant] != [value]:
                notes.append(f"{name}={value} was taken as {_some(value, meant)}")
            found[name] = (*found.get(name, ()), *(meant or [value]))
    return found, notes


def missing_origins(index: SqliteSearchIndex, tenant: str, filters: Filters) -> list[str]:
    """Notes on the sources and kinds asked for that no document of `tenant` has."""
    if not filters.sources and not filters.kinds:
        return []
    pairs = index.origins(tenant)
    held = {"source": sorted({source for source, _ in pairs}), "kind": sorted({kind for _, kind in pairs})}
    asked = {"source": filters.sources, "kind": filters.kinds}
    return [
        f"no document has the {name} {value}; there are: {', '.join(held[name]) or 'none'}"
        for name, values in asked.items()
        for value in values
        if value not in held[name]
    ]


def _meant(asked: str, held: list[Value]) -> list[Value]:
    exact = [value for value in held if _plain(value) == asked]
    folded = [value for value in held if _plain(value).casefold() == asked.casefold()]
    words = f" {_folded_words(asked)} "
    return exact or folded or [value for value in held if words.strip() and words in f" {_folded_words(value)} "]


def _folded_words(value: Value) -> str:
    return " ".join(_WORDS.findall(_plain(value).casefold()))


def _plain(value: Value) -> str:
    """As one would type it: booleans as in JSON."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _some(asked: str, values: list[Value]) -> str:
    """Those nearest to what was asked first; not all of many."""
    near = difflib.get_close_matches(asked, list(map(_plain, values)), n=_SHOWN, cutoff=0.5)
    shown = list(dict.fromkeys([*near, *map(_plain, values)]))
    more = f" and {len(shown) - _SHOWN:,} more" if len(shown) > _SHOWN else ""
    return ", ".join(shown[:_SHOWN]) + more
