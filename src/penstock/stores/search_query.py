"""What a person typed, as an FTS5 expression that no character of it can break.

Words are joined by OR after stemming, so that a question in plain language finds what shares most of it. What stands
in double quotes must occur just so; further words then only move the ranking. A word said twice counts twice (on CISI,
whose questions are long, that is worth a fifth: nDCG@10 .384 against .316). FTS5's own syntax is never reached: every
term goes in as a quoted string.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import apsw

from penstock.errors import UsageError
from penstock.ir import clean_text
from penstock.stores.search_schema import TOKENIZER

Tokenize = Callable[[str], list[tuple[int, int, str]]]
"""Text to `(start, end, stem)` of each of its words, in characters, as the index itself would."""

MAX_CHARACTERS = 20_000
MAX_TERMS = 200
_PIECES = re.compile(r'"([^"]*)"|([^\s"]+)')
_LITTLE_WORDS = """
a about an and any are as at be been but by can did do does for from had has have how i if in into is it its may me my
no not of on or our over should so such than that the their them then there these they this to was we were what when
where which who whom whose why will with would you your
"""
_STOP_WORDS = frozenset(_LITTLE_WORDS.split())


_Term = tuple[tuple[str, ...], str]
"""Stems, and the term quoted for FTS5."""


@dataclass(frozen=True, slots=True)
class Query:
    """`terms` are stems: a word is a tuple of one, a phrase (or a hyphenated word) of several in a row.

    `required` and `optional` are the terms quoted for FTS5, as often as they were said. Without any there is nothing to
    look for, and `note` says why.
    """

    terms: tuple[tuple[str, ...], ...]
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    note: str = ""

    @property
    def expression(self) -> str:
        """The whole query for FTS5; empty when there is nothing to look for."""
        some = " OR ".join([*self.required, *self.optional])
        return " AND ".join([*self.required, f"({some})"]) if self.required else some


def parse(text: str, tokenize: Tokenize) -> Query:
    """Raises UsageError for a query longer than MAX_CHARACTERS."""
    if len(text) > MAX_CHARACTERS:
        raise UsageError(f"a query of {len(text):,} characters; at most {MAX_CHARACTERS:,} are taken")
    required: list[_Term] = []
    optional: list[_Term] = []
    stopped: list[_Term] = []
    for match in _PIECES.finditer(clean_text(text)):
        phrase, word = match.groups()
        piece = phrase if word is None else word
        stems = tuple(stem for _, _, stem in tokenize(piece))
        if stems:
            kind = required if word is None else stopped if _is_stop_word(piece) else optional
            kind.append((stems, _quoted(piece)))
    if not required and not optional:
        optional = stopped
    if not required and not optional:
        return Query((), note="the query has no words to look for")
    cut = len(required) + len(optional) > MAX_TERMS
    required = required[:MAX_TERMS]
    optional = optional[: MAX_TERMS - len(required)]
    note = f"only the first {MAX_TERMS} terms of the query were looked for" if cut else ""
    return Query(
        tuple(dict.fromkeys(stems for stems, _ in [*required, *optional])),
        tuple(quoted for _, quoted in required),
        tuple(quoted for _, quoted in optional),
        note,
    )


def tokenizer(db: apsw.Connection) -> Tokenize:
    """The index's own tokenizer, outside of the index."""
    fts5 = db.fts5_tokenizer(TOKENIZER[0], list(TOKENIZER[1]))

    def tokenize(text: str) -> list[tuple[int, int, str]]:
        found = cast(list[tuple[int, int, str]], fts5(text.encode(), apsw.FTS5_TOKENIZE_DOCUMENT, None))
        if text.isascii():
            return found
        at = _character_offsets(text)
        return [(at[start], at[end], stem) for start, end, stem in found]

    return tokenize


def _character_offsets(text: str) -> list[int]:
    """For each byte of the text's UTF-8, and the end, the character it belongs to."""
    offsets = [index for index, character in enumerate(text) for _ in character.encode()]
    return [*offsets, len(text)]


def _is_stop_word(piece: str) -> bool:
    """ "who" is one, "WHO" is not."""
    word = piece.strip(".,;:!?()[]{}'’")
    return word.lower() in _STOP_WORDS and (len(word) == 1 or not word.isupper())


def _quoted(piece: str) -> str:
    return '"' + piece.replace('"', '""') + '"'
