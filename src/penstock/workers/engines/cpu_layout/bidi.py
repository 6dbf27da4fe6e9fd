"""Lines with letters that run from right to left: from pdfium's order to how they stand on the page, and from there to
how they are read.

pdfium turns round each stretch of such letters, and all stretches of a line with more of them than of others. It takes
each word, number and mark for a stretch, so that a few words of English in such a line come out in the wrong order.
What follows a character in Unicode's algorithm (UAX #9) is taken from how it looks: a stretch of letters and numbers
that runs from left to right is kept whole, and so is a number.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from unicodedata import bidirectional

_CLASSES = {"L": "L", "R": "R", "AL": "R", "EN": "D", "AN": "D", "NSM": "M", "CS": "C", "ES": "C", "ET": "T", "BN": "C"}
"""Of `bidirectional`, to one letter: D digits, M marks, C what stands in numbers, T beside them; N, all others."""
_PDFIUMS = {"L": "L", "R": "R", "N": "N", "S": "N"}
"""What pdfium tells apart: all others are weak."""
_LONGEST = 300
"""Characters of a stretch that runs the other way than its line."""
_NUMBER = "T{0,3}D(?:[DCT]*D)?T{0,3}"
_NUMBERS = re.compile(_NUMBER)
_LEFT_TO_RIGHT = re.compile(f"(?:[DT][^R]{{0,40}})?L(?:[^R]{{0,{_LONGEST}}}[LDT])?|{_NUMBER}")
_BACKWARDS = re.compile(f"M{{0,8}}R(?:[^L]{{0,{_LONGEST}}}[RM])?")
_PAIRS = "()[]{}<>«»‹›"
_MIRRORED = str.maketrans(_PAIRS, "".join(_PAIRS[n ^ 1] for n in range(len(_PAIRS))))
_CLOSING = dict(zip(_PAIRS[1::2], _PAIRS[::2], strict=True))

Seen = tuple[int, str]
"""A character behind its place."""


def seen(line: str, *, from_right: bool) -> list[Seen]:
    """A whole line of pdfium's as it stands on the page, from left to right; places are those in pdfium's order.
    `from_right`: the document says that all of it is read so."""
    kinds = [_PDFIUMS.get(kind, "W") for kind in _classes(line)]
    stretches = [(kind, [place for place, _ in found]) for kind, found in groupby(enumerate(kinds), key=itemgetter(1))]
    rights, lefts = (sum(kind == side for kind, _ in stretches) for side in "RL")
    turned = from_right or (rights > 0 and rights >= lefts)
    found: list[list[Seen]] = []
    backwards = turned
    for kind, places in stretches:
        backwards = {"R": True, "L": False}.get(kind, backwards)
        if backwards and kind != "W":
            found.append([(place, line[place].translate(_MIRRORED)) for place in reversed(places)])
        else:
            found.append([(place, line[place]) for place in places])
    return [one for stretch in (reversed(found) if turned else found) for one in stretch]


def logical(text: str, *, from_right: bool) -> str:
    """What stands on the page from left to right, in the order that it is read in. `from_right`: the line is, though
    not all that stands in it."""
    if from_right:
        return _backwards(text, _LEFT_TO_RIGHT)
    parts: list[str] = []
    end = 0
    for start, stop in _stretches(text, _BACKWARDS):
        parts += text[end:start], _backwards(text[start:stop], _NUMBERS)
        end = stop
    return "".join([*parts, text[end:]])


def _classes(text: str) -> str:
    return "".join("S" if one.isspace() else _CLASSES.get(bidirectional(one), "N") for one in text)


def _stretches(text: str, what: re.Pattern[str]) -> Iterator[tuple[int, int]]:
    """Where characters of such classes are."""
    classes, place = _classes(text), 0
    while found := what.search(classes, place):
        place = max(_balanced(text, *found.span()), found.start() + 1)
        yield found.start(), place


def _balanced(text: str, start: int, end: int) -> int:
    """Where a stretch ends: a bracket that closes one of its own is the last of it, one that closes another's is not
    in it."""
    opened: Counter[str] = Counter()
    for place in range(start, min(end + 1, len(text))):
        opening = _CLOSING.get(text[place])
        if opening and not opened[opening]:
            return min(place, end)
        if opening:
            opened[opening] -= 1
        elif place < end:
            opened[text[place]] += 1
    return end + (text[end : end + 1] in _CLOSING)


def _backwards(text: str, kept: re.Pattern[str]) -> str:
    """The text turned round, and brackets with it, but for what is kept as it is."""
    parts: list[str] = []
    end = 0
    for start, stop in _stretches(text, kept):
        parts += _turned(text[end:start]), text[start:stop]
        end = stop
    return "".join([*parts, _turned(text[end:])][::-1])


def _turned(text: str) -> str:
    return text[::-1].translate(_MIRRORED)
