"""Characters and words: ligatures, hyphens at line ends, what runs from right to left."""

from __future__ import annotations

import re
from collections.abc import Iterable
from unicodedata import normalize

_LIGATURES = str.maketrans(
    {
        "\ufb00": "ff",
        "\ufb01": "fi",
        "\ufb02": "fl",
        "\ufb03": "ffi",
        "\ufb04": "ffl",
        "\ufb05": "st",
        "\ufb06": "st",
        "\x02": "-",
        "\ufffe": "-",
        "\u00a0": " ",
        "\uf0a7": "▪",
        "\uf0b7": "•",
        "\uf0d8": "•",
        "\uf0fc": "✓",
    }
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u200b\ufeff]|\u00ad(?!$)")
_HEAD = re.compile(r"([^\W_]+)[-\u00ad\u2010]$")
_TAIL = re.compile(r"[^\W_]+")
_COMPOUND = re.compile(r"(?=\b([^\W\d_]+[-\u2010][^\W\d_]+)\b)")
_LONGEST_WORD = 60
_SUSPENDED = {"and", "or", "to", "und", "oder", "bis", "et", "ou", "y", "e", "o"}
"""A hyphen before one of these stands for a word that follows later (pre- and postnatal)."""
_UNPARTED = re.compile("[\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef]")
"""Chinese and Japanese: written without blanks."""
RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")


_LONG_WORD = re.compile(r"[^\W\d_]{3,}")
_FEWEST = 30
"""Characters that tell whether a text means anything."""
_LETTERS = 0.5
_VOWELS = 0.2
_MIXED = 0.3
"""Parts of a text's characters, letters and words: of real text at least 0.6, 0.26, and at most 0.05, dots aside."""


def whole(text: str) -> str:
    """Two surrogates, which pdfium counts as two characters, are the one they stand for; a lone one is U+FFFD."""
    if text.isascii() or not _SURROGATE.search(text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def clean(text: str) -> str:
    """Without ligatures, surrogates, control characters and runs of blanks; a soft hyphen only at the end."""
    if not text.isascii() or not text.isprintable():
        text = _CONTROL.sub("", whole(text).translate(_LIGATURES))
    return " ".join(text.split())


def right_to_left(text: str) -> bool:
    """Whether more than half of its letters are Hebrew, Arabic and the like."""
    return not text.isascii() and 2 * len(RIGHT_TO_LEFT.findall(text)) > sum(map(str.isalpha, text))


def means_nothing(text: str) -> bool:
    """Whether what should be Latin letters are not: many signs among them, few vowels, capitals within words. Not where
    there is too little text to tell."""
    printed = [one for one in text if not one.isspace() and one != "."]
    letters = [one for one in map(_plain, printed) if "a" <= one <= "z"]
    words = _LONG_WORD.findall(text)
    mixed = sum(not (word[1:].islower() or word.isupper()) for word in words)
    return len(printed) >= _FEWEST and (
        sum(map(str.isalnum, printed)) < _LETTERS * len(printed)
        or sum(one in "aeiouy" for one in letters) < _VOWELS * len(letters)
        or mixed > _MIXED * len(words)
    )


def _plain(letter: str) -> str:
    """Small, without accents."""
    return normalize("NFKD", letter)[:1].lower()


def compounds(texts: Iterable[str]) -> frozenset[str]:
    """Pairs of words with a hyphen between them in the midst of a line, in small letters: the hyphen is their own."""
    return frozenset(
        found.lower().replace("\u2010", "-")
        for text in texts
        if "-" in text or "\u2010" in text
        for found in _COMPOUND.findall(text)
    )


def seam(first: str, second: str, own: frozenset[str]) -> tuple[int, str]:
    """How two lines become one: how many characters of the first are left out, and what comes between them.

    A word parted by a hyphen is whole again, unless the hyphen is its own.
    """
    head, tail = _HEAD.search(first, len(first) - _LONGEST_WORD), _TAIL.match(second)
    if head is None or tail is None or tail[0] in _SUSPENDED:
        return 0, "" if _UNPARTED.match(first[-1:]) and _UNPARTED.match(second) else " "
    halves = head[1], tail[0]
    broken = all(map(str.isalpha, halves)) and tail[0].islower() and "-".join(halves).lower() not in own
    return (1 if broken or first.endswith("\u00ad") else 0), ""
