"""A locator followed into a payload's bytes, without the parser that made it (`Locator` says what one means)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from penstock.errors import BadInput
from penstock.ir import Locator, RawPayload, clean_text

HTML = "html"


@dataclass(frozen=True, slots=True)
class Slice:
    """What stands at a locator.

    `start` and `end` are the bytes of the payload that spell it (in JSON, escapes and all); None where these can't be
    told, as in markup, where `line` (from 1) says in which line of the payload its element begins.
    """

    text: str
    start: int | None = None
    end: int | None = None
    line: int | None = None


def resolve(payload: RawPayload, locator: Locator) -> Slice:
    """Raises LookupError, saying why, where the locator leads to no text of this payload."""
    try:
        if locator.page is not None:
            raise LookupError("a place on a page, not in the bytes")
        if locator.pointer is not None:
            return _in_json(payload.content, locator.pointer, locator)
        if locator.xpath is not None:
            return _in_markup(payload, locator.xpath, locator)
    except BadInput as error:
        raise LookupError(f"the payload can't be read: {error.message}") from None
    return _in_text(payload, locator)


def _in_json(content: bytes, pointer: str, locator: Locator) -> Slice:
    from penstock.sources.jsontext import load_json

    value = load_json(content)
    for step in pointer.split("/")[1:]:
        value = _step(value, step.replace("~1", "/").replace("~0", "~"), pointer)
    if not isinstance(value, str):
        return Slice(clean_text(json.dumps(value, ensure_ascii=False))[locator.start or 0 : locator.end])
    part = value[locator.start or 0 : locator.end]
    return Slice(clean_text(part), *_spelled(content, value, part))


def _step(value: Any, key: str, pointer: str) -> Any:
    try:
        return value[int(key)] if isinstance(value, list) else value[key]
    except (KeyError, IndexError, ValueError, TypeError):
        raise LookupError(f"{pointer} leads nowhere in the payload") from None


def _spelled(content: bytes, value: str, part: str) -> tuple[int | None, int | None]:
    """The bytes of a part of a JSON string, where string and part are each to be found once and only once."""
    for ascii_only in (False, True):
        try:
            whole = json.dumps(value, ensure_ascii=ascii_only).encode()
            inner = json.dumps(part, ensure_ascii=ascii_only)[1:-1].encode()
        except UnicodeEncodeError:
            continue
        if content.count(whole) == 1 and whole.count(inner) == 1:
            start = content.index(whole) + whole.index(inner)
            return start, start + len(inner)
    return None, None


def _in_markup(payload: RawPayload, xpath: str, locator: Locator) -> Slice:
    from lxml import etree

    from penstock.stages.parse.html import parse_html
    from penstock.stages.parse.text import stated_charset
    from penstock.stages.parse.xml import parse_xml

    charset = stated_charset(payload.media_type)
    root = (parse_html if payload.kind == HTML else parse_xml)(payload.content, charset)
    try:
        found = root.getroottree().xpath(xpath)
    except etree.XPathError as error:
        raise LookupError(f"{xpath}: {error}") from None
    if not isinstance(found, list) or len(found) != 1:
        raise LookupError(f"{xpath} names {len(found) if isinstance(found, list) else 'no'} elements, not one")
    node: Any = found[0]
    in_attribute = isinstance(node, str)
    element = node.getparent() if in_attribute else node
    whole = " ".join((node if in_attribute else node.xpath("string()")).split())
    return Slice(clean_text(whole)[locator.start or 0 : locator.end], line=element.sourceline)


def _in_text(payload: RawPayload, locator: Locator) -> Slice:
    from penstock.stages.parse.text import decode, stated_charset

    start = locator.start or 0
    end = len(payload.content) if locator.end is None else locator.end
    if not 0 <= start <= end <= len(payload.content):
        raise LookupError(f"bytes {start}–{end} are outside the payload (0–{len(payload.content)})")
    encoding = decode(payload.content, stated_charset(payload.media_type)).encoding
    return Slice(clean_text(payload.content[start:end].decode(encoding, "replace")), start, end)
