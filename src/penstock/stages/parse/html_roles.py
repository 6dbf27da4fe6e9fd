"""What the elements of a web page are to its text: prose, its blocks, and the furniture around it."""

# ruff: noqa: SIM905 (element names read better as words than as a list of strings)
from __future__ import annotations

import re

from penstock.stages.parse.reading import Role
from penstock.stages.parse.xml import Element

_BLOCKS = frozenset(
    "address article aside blockquote body caption center dd details dialog dir div dl dt fieldset figcaption figure"
    " footer form h1 h2 h3 h4 h5 h6 header hgroup hr legend li main ol p pre section summary table tbody td tfoot th"
    " thead tr ul listing xmp plaintext".split()
)
_SKIPPED = frozenset(
    "script style noscript template svg iframe object embed canvas audio video map head nav select datalist button"
    " input textarea menu dialog annotation annotation-xml rp noframes noembed title".split()
)
_FURNITURE = frozenset("navigation banner contentinfo search menu menubar toolbar dialog alertdialog tooltip".split())
_CLUTTER = frozenset("mw-editsection noprint navbox catlinks printfooter toc sr-only visually-hidden".split())
_UNSEEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_CONTENT = frozenset(("main", "article"))


def role(element: Element) -> Role | str:
    """Blocks, breaks and running text; what no reader sees, or is the page's rather than the text's, is skipped."""
    tag = element.tag
    if tag in _SKIPPED or _hidden(element) or (tag in ("header", "footer", "aside") and _is_furniture(element)):
        return Role.SKIP
    if tag == "ul" and next(element.iterancestors("header"), None) is not None:
        return Role.SKIP
    if tag in _BLOCKS:
        return Role.BLOCK
    if tag == "br":
        return Role.BREAK
    return Role.SKIP if tag == "sup" and _is_note_mark(element) else Role.INLINE


def _hidden(element: Element) -> bool:
    if not element.attrib:
        return False
    get = element.get
    return (
        get("hidden", "until-found") != "until-found"
        or get("aria-hidden") == "true"
        or get("role") in _FURNITURE
        or not _CLUTTER.isdisjoint((get("class") or "").split())
        or _UNSEEN.search(get("style") or "") is not None
    )


def _is_furniture(element: Element) -> bool:
    """Header, footer and aside of the page rather than of its content; a header that holds the main heading is none."""
    if element.tag == "header" and element.find(".//h1") is not None:
        return False
    return not any(ancestor.tag in _CONTENT for ancestor in element.iterancestors())


def _is_note_mark(sup: Element) -> bool:
    """A superscript that is nothing but links to notes on the same page: [1]."""
    links = sup.findall(".//a")
    outside = [sup.text, *(each.tail for each in sup.iter() if each is not sup and each.tag != "span")]
    return (
        bool(links)
        and all((link.get("href") or "").startswith("#") for link in links)
        and not any(char.isalpha() for text in outside if text for char in text)
    )
