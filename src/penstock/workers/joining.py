"""Pieces of running text put together: what the end of a line, a column or a page has parted."""

from __future__ import annotations

import re
from collections.abc import Iterable

HYPHENS = "-\u00ad\u2010\u2011"
_BROKEN_WORD = re.compile(r"(\w[\w-]*)[-\u00ad\u2010\u2011]")
_UNSPACED = re.compile("[\u2e80-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef]")
"""Scripts that put no blanks between words: Han with its punctuation, kana, full-width forms."""


def joined(lines: Iterable[str]) -> str:
    """Lines of a paragraph as one: words that a line's end broke are whole, scripts without blanks get none."""
    text = ""
    for line in filter(None, (" ".join(line.split()) for line in lines)):
        if not text:
            text = line
        elif text[-1] in HYPHENS and text[-2:-1].isalnum():
            text = (text[:-1] if _breaks(text, line) else text) + line
        else:
            text += ("" if _UNSPACED.match(text[-1]) and _UNSPACED.match(line) else " ") + line
    return text


def _breaks(text: str, following: str) -> bool:
    """Whether the hyphen at the end of `text` is there for the line's end alone."""
    if text[-1] == "\u00ad":
        return True
    if not text[-2].isalpha() or not following[0].islower():
        return False
    word = _BROKEN_WORD.fullmatch(text.rpartition(" ")[2])
    return not (word and ("-" in word[1] or (len(word[1]) > 1 and word[1].isupper())))
