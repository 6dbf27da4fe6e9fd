"""Lines, spans and MinerU's own mark-up put together as running text, formulas between dollar signs."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

_CLOSING = frozenset(",.;:!?)]}%’”»，。；：！？）】、")
_OPENING = frozenset("([{‘“«（【")
_FORMULA = re.compile(r"<eq>([^<]*)</eq>", re.IGNORECASE)
_URL = re.compile(r"<url>[^<]*</url>", re.IGNORECASE)
_STYLE = re.compile(r"</?(?:sup|sub|strong|b|em|i|s|u|text|code|hyperlink)(?:\s[^<>]{0,200})?>", re.IGNORECASE)
_ESCAPED = re.compile(r"(\$[^$\n]*[^$\n\\]\$)|\\([*_`~$#+-])")
"""A formula, or what MinerU's Markdown puts a backslash before."""


def formula(latex: str) -> str:
    """A formula within text; "" where there is none."""
    bare = " ".join(latex.split())
    return f"${bare}$" if bare else ""


def plain(text: str) -> str:
    """The text of a span of 2.x or 3.x, its tags gone."""
    if "<" not in text:
        return text
    text = _FORMULA.sub(lambda found: formula(html.unescape(found[1])), text)
    return _STYLE.sub("", _URL.sub("", text))


def unescaped(markdown: str) -> str:
    """The text that a string of content_list.json shows: no backslash before special characters, no tags."""
    return plain(_ESCAPED.sub(lambda found: found[1] or found[2], markdown))


def flowing(pieces: Iterable[str], gap: str = "") -> str:
    """Pieces of one line, with `gap` between them unless there is a blank already or punctuation says there is none.

    A formula never touches a word.
    """
    text = ""
    for piece in pieces:
        if text and piece and not (text[-1].isspace() or piece[0].isspace()):
            touching = (text[-1] == "$" and piece[0].isalnum()) or (piece[0] == "$" and text[-1].isalnum())
            if touching or not (piece[0] in _CLOSING or text[-1] in _OPENING):
                text += " " if touching else gap
        text += piece
    return text
