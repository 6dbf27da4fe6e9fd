"""Where sentences end, by rule alone: no model, no download, linear in the length of the text.

A stop ends a sentence unless what stands before it (an abbreviation, an initial, a list number) or after it (a lower
case letter, a comma) says that it goes on. A line end alone is none, since texts come hard-wrapped; a blank line and
the start of a list item are. In doubt two sentences stay together, which costs less than one torn apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# One character class comes first, so that the search skips all else in C. Possessive quantifiers and the lookbehind,
# which passes over all but the first of a run of stops, keep it linear whatever the text.
_BREAK = re.compile(
    r"""
    [.!?…。！？｡।॥؟۔։።။។\n]
    (?:
        (?<=[.!?…]) (?<![.!?…].) (?P<run>[.!?…]*+)
        (?P<cited>\d{1,3}(?:[,–-]\d{1,3}){0,20}(?=\s+[A-Z]))?            # effective.12,13 Next
        (?:\[\d[\d,;\ –-]{0,60}\])?                                       # effective.[12] Next
        ["'”’»)\]}]*+
        (?=\s++["'“‘«(\[{¿¡]*+(?P<next>\w++|.?)|\Z)
      | (?<=\n) (?:[^\S\n]*+\n
          | (?=[ \t]{0,12}(?:[-*•‣·▪◦–—]|\(?(?:\d{1,2}|[A-Za-z]|[ivx]{2,4})[.)])[ \t]{1,12}\S))
      | (?<=[。！？｡।॥؟۔։።။។]) [。！？｡।॥؟۔։።။។]*+ ["'”’»)\]}」』）】》]*+
    )
    """,
    re.VERBOSE,
)
_OPENING = "\"'“‘«([{"
_WINDOW = 24
_DOTTED = re.compile(r"(?:[A-Za-z]{1,2}\.)+[A-Za-z]{1,2}")
_NUMBERING = re.compile(r"\d{1,3}(?:\.\d{1,3}){0,4}|[A-Za-z]|[ivxIVX]{2,5}")


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_NEVER = _set("approx ca cf dr drs e.g eg fig figs eq eqs i.e ie mr mrs ms prof resp ref refs st viz vs")
_BEFORE_NUMBER = _set(
    "app art ch chap ed eds no nos nr p pp para sec sect supp suppl tab tbl vol vols "
    "jan feb mar apr jun jul aug sep sept oct nov dec"
)
_UNLESS_CAPITAL = _set("al etc inc ltd co corp dept div est jr sr max min univ")
_STARTERS = _set(
    "A After All Although An And Any As At Because Before Both But By Do Does During Each For From He Here How However "
    "If In It Its Many Most No Not Of On One Or Our Patients Participants Results See She Since Some Subjects Such "
    "Take That The Their Then There Therefore These They This Those Thus To Two Under We What When Where Whether Which "
    "While With You Your"
)


def sentence_ends(text: str, start: int = 0, end: int | None = None) -> Iterator[int]:
    """The positions after which a sentence of `text[start:end]` is over, ascending; `end` itself is not among them."""
    end = len(text) if end is None else end
    for found in _BREAK.finditer(text, start, end):
        if found.end() < end and (found["next"] is None or _ends(text, start, found)):
            start = found.end()
            yield start


def sentences(text: str, start: int = 0, end: int | None = None) -> Iterator[tuple[int, int]]:
    """Spans of the sentences of `text[start:end]`, in order, without the white space around them; blanks left out."""
    end = len(text) if end is None else end
    first = start
    for last in (*sentence_ends(text, start, end), end):
        piece = text[first:last]
        body = piece.strip()
        if body:
            lead = first + len(piece) - len(piece.lstrip())
            yield lead, lead + len(body)
        first = last


def _ends(text: str, start: int, found: re.Match[str]) -> bool:
    """Whether the stop in `found` ends the sentence that began at `start`, by the words on either side of it."""
    at, follows = found.start(), found["next"]
    if follows[:1].islower() and not follows[1:2].isupper():
        return False
    if follows and follows in ",;:)]}%":
        return False
    if found["run"] or text[at] != ".":
        return len(found["run"]) < 3
    if found["cited"] and not text[max(start, at - 1) : at].isalpha():
        return False
    return not _abbreviates(text, start, at, follows)


def _abbreviates(text: str, start: int, at: int, follows: str) -> bool:
    """Whether the full stop at `at`, with `follows` after it, belongs to what stands before it."""
    words = text[max(start, at - _WINDOW) : at].rsplit(maxsplit=1)
    if not words or text[at - 1].isspace():
        return False
    token = words[-1].lstrip(_OPENING)
    if len(token) > 12:
        return False
    lower = token.lower()
    if lower in _NEVER:
        return True
    if lower in _BEFORE_NUMBER:
        return follows[:1].isdigit()
    if lower in _UNLESS_CAPITAL:
        return not follows[:1].isupper()
    if _NUMBERING.fullmatch(token) and _begins(text, start, at - len(token)):
        return True
    if (len(token) == 1 and token.isupper()) or _DOTTED.fullmatch(token):
        return follows not in _STARTERS
    return False


def _begins(text: str, start: int, at: int) -> bool:
    """Whether `at` is the beginning of its sentence or line, blanks, bullets and opening brackets aside."""
    head = text[max(start, at - _WINDOW) : at].rstrip(" \t*•-" + _OPENING)
    return head.endswith("\n") or (not head and at - start <= _WINDOW)
