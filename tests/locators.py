"""Follow a Locator into raw bytes with nothing but lxml and json: the witness against which parsers are tested.

XML that lost its declarations on the way is read as leniently as the record deserves: a character entity that HTML
names stands for its characters, a prefix that nobody declared is part of the name. HTML is decoded by its byte order
mark, else as it declares, else as UTF-8, else as Windows-1252; the end tag of <html> is ignored, as browsers do.
"""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from functools import lru_cache
from html.entities import html5
from typing import Any

import lxml.html
from lxml import etree

from penstock.ir import Document, Locator

_DECLARED = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([A-Za-z0-9_:.-]+)""", re.I)
_NAMED = re.compile(rb"<!\[CDATA\[.*?\]\]>|<!--.*?-->|&([A-Za-z][A-Za-z0-9]*);", re.S)
_XML_OWN = {b"amp", b"lt", b"gt", b"quot", b"apos"}


def resolve(content: bytes, locator: Locator, *, html: bool = False) -> str:
    """The text `locator` means in `content`. Raises LookupError where it leads nowhere."""
    if locator.pointer is not None:
        value = _point(_json(content), locator.pointer)
    elif locator.xpath is not None:
        value = _value(content, locator.xpath, html)
    else:
        return _storable(content[locator.start : locator.end].decode("utf-8"))
    return _storable(value[locator.start or 0 : locator.end])


def untrue_blocks(content: bytes, document: Document, *, html: bool = False) -> list[tuple[str, str]]:
    """(text, what its locator resolves to) of every exact block for which these differ."""
    pairs = (
        (document.text[block.start : block.end], resolve(content, block.locator, html=html))
        for block in document.blocks
        if block.exact
    )
    return [(text, found) for text, found in pairs if text != found]


def untrue_fields(content: bytes, document: Document, *, html: bool = False) -> list[tuple[str, str, str]]:
    """(name, value, what its locator resolves to) of every field whose value is not exactly that."""
    triples = ((f.name, f.value, resolve(content, f.locator, html=html)) for f in document.fields)
    return [(name, value, found) for name, value, found in triples if value != found]


def _point(value: Any, pointer: str) -> str:
    for step in pointer.split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        value = value[int(key)] if isinstance(value, list) else value[key]
    return value if isinstance(value, str) else json.dumps(value)


def _evaluate(root: Any, xpath: str) -> str:
    found = root.getroottree().xpath(xpath)
    if len(found) != 1:
        raise LookupError(f"{xpath} names {len(found)} nodes, not one")
    value = found[0] if isinstance(found[0], str) else found[0].xpath("string()")
    return " ".join(value.split())


@lru_cache(maxsize=64)
def _value(content: bytes, xpath: str, html: bool) -> str:
    return _evaluate(_html(content) if html else _xml(content), xpath)


def _storable(text: str) -> str:
    return re.sub("[\x00\ud800-\udfff]", "\ufffd", text)


@lru_cache(maxsize=4)
def _json(content: bytes) -> Any:
    return json.loads(content)


@lru_cache(maxsize=4)
def _xml(content: bytes) -> Any:
    def character(match: re.Match[bytes]) -> bytes:
        text = html5.get((match[1] or b"amp").decode() + ";")
        return (
            match[0]
            if text is None or match[1] in _XML_OWN or not match[1]
            else text.encode("ascii", "xmlcharrefreplace")
        )

    if b"\x00" not in content:
        content = _NAMED.sub(character, content)
    return etree.fromstring(content, etree.XMLParser(recover=True, resolve_entities=False, no_network=True))


@lru_cache(maxsize=4)
def _html(content: bytes) -> Any:
    declared = _DECLARED.search(content[:4096])
    name = declared[1].decode().lower() if declared else ""
    for mark, encoding in ((BOM_UTF16_LE, "utf-16"), (BOM_UTF16_BE, "utf-16"), (BOM_UTF8, "utf-8-sig")):
        if content.startswith(mark):
            name = encoding
    if name in ("iso-8859-1", "latin1", "us-ascii", "ascii"):
        name = "cp1252"
    if not name:
        text = _sniffed(content)
    else:
        text = content.decode(name, "surrogateescape" if name.startswith("utf-8") else "replace")
    text = _storable(re.sub(r"</html\s*>", "", text, flags=re.I))
    return lxml.html.document_fromstring(text.encode(), parser=lxml.html.HTMLParser(encoding="utf-8"))


def _sniffed(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        sound = content[: error.start]
        return content.decode(
            "cp1252" if sound.isascii() else "utf-8", "replace" if sound.isascii() else "surrogateescape"
        )
