# ruff: noqa: S608 — only words of this program become SQL; what comes from outside is bound
"""The word leg: BM25 by FTS5, and which words of a query chunks are fetched by.

Ranking a chunk costs FTS5 about a microsecond, fetching it a fortieth of that. In a large index the common words of a
query stand in tens of thousands of chunks and hardly tell one from another, so there the rarer words fetch and all
words rank, as in Lucene's CommonTermsQuery.
"""

from __future__ import annotations

import re

import apsw
import numpy as np
from numpy.typing import NDArray

from penstock.stores.search_query import Query
from penstock.stores.search_rows import LegHit

FETCHED = 5_000
"""Chunks that the words which fetch may stand in, added up."""
_LIKE_A_TENANT = re.compile(r"t\d+")


def by_words(
    db: apsw.Connection, tenant: int, query: Query, k: int, rows: NDArray[np.int64] | None = None
) -> list[LegHit]:
    """The `k` best chunks of `tenant`, among `rows` where given, best first.

    Exactly those that have any word of the query, unless its words stand in more than FETCHED chunks: then those that
    have one of its rarer words, or, when all are common, every one of them. Where that leaves fewer than `k`, any word
    does again. Each chunk's score is that of the whole query.
    """
    leg = _Leg(db, tenant, query, k, rows)
    rare, common = ([], []) if query.required else leg.split(query.optional)
    found: list[LegHit] = []
    if common and rare:
        found = leg.ask(_any(rare))
        if len(found) == k:
            return _best([*found, *leg.ask(f"({_any(rare)}) AND ({_any(common)})")], k)
    elif len(common) > 1:
        found = leg.ask(" AND ".join(common))
    return found if len(found) == k else leg.ask(query.expression)


class _Leg:
    """One search: everything but the expression."""

    def __init__(self, db: apsw.Connection, tenant: int, query: Query, k: int, rows: NDArray[np.int64] | None) -> None:
        self._db, self._k, self._rows = db, k, rows
        alone = db.execute("SELECT count(*) = 1 FROM tenants").get
        self._among = "" if alone else f'tenant : "t{tenant}" AND '
        like_a_tenant = any(_LIKE_A_TENANT.fullmatch(stem) for term in query.terms for stem in term)
        self._columns = "{text title} : " if like_a_tenant else ""  # FTS5 is a tenth slower with it

    def split(self, words: tuple[str, ...]) -> tuple[list[str], list[str]]:
        """The rarer words that fetch, and the common ones that don't; none are common in a small index."""
        if int(str(self._db.execute("SELECT coalesce(max(number), 0) FROM chunks").get)) <= FETCHED:
            return list(words), []
        counts = {word: self._count(word) for word in dict.fromkeys(words)}
        rare: set[str] = set()
        total = 0
        for word in sorted(counts, key=counts.__getitem__):
            total += counts[word]
            if total > FETCHED:
                break
            rare.add(word)
        return [word for word in words if word in rare], [word for word in words if word not in rare]

    def ask(self, expression: str) -> list[LegHit]:
        """The best by one FTS5 expression; rows that aren't wanted are never ranked."""
        sql = "SELECT rowid, rank FROM words WHERE words MATCH ?"
        if self._rows is None:
            found = self._db.execute(f"{sql} ORDER BY rank LIMIT ?", (self._match(expression), self._k))
        else:
            found = self._db.execute(
                f"{sql} AND +rowid IN (SELECT value FROM carray(?)) ORDER BY +rank LIMIT ?",
                (self._match(expression), apsw.carray(self._rows), self._k),
            )
        return _best([LegHit(row, -rank) for row, rank in found], self._k)

    def _count(self, word: str) -> int:
        """In how many chunks it stands; of common words only that it is one."""
        sql = "SELECT count(*) FROM (SELECT 1 FROM words WHERE words MATCH ? LIMIT ?)"
        return int(str(self._db.execute(sql, (self._match(word), FETCHED + 1)).get))

    def _match(self, expression: str) -> str:
        return f"{self._among}{self._columns}({expression})"


def _any(words: list[str]) -> str:
    return " OR ".join(words)


def _best(hits: list[LegHit], k: int) -> list[LegHit]:
    """Each chunk once, by its best score; equals in the order they were written."""
    scores: dict[int, float] = {}
    for hit in hits:
        scores[hit.number] = max(hit.score, scores.get(hit.number, 0.0))
    ordered = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
    return [LegHit(number, score) for number, score in ordered[:k]]
