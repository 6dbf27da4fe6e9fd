"""XML from outside, read safely: no entity is expanded, no file or address opened, nothing huge or endlessly deep.

Lenient in two places, where nothing is lost by it, because a record may have been cut out of a file whose DOCTYPE and
namespace declarations stayed behind: a character entity that HTML names (&nbsp;) stands for its characters, and a
prefix that nobody declares (xlink:, mml:) is part of the name.
"""

from __future__ import annotations

import re
from html.entities import html5
from typing import Any

from lxml import etree

from penstock.errors import BadInput
from penstock.ir import clean_text
from penstock.stages.parse.text import decode

Element = Any
"""An lxml element: the type stubs are too loose to be of use."""

_NAMED = re.compile(rb"<!\[CDATA\[.*?(?:\]\]>|\Z)|<!--.*?(?:-->|\Z)|&([A-Za-z][A-Za-z0-9]{1,31});", re.DOTALL)
_OF_XML_ITSELF = (b"amp", b"lt", b"gt", b"quot", b"apos")
_BLANK = b" \t\r\n\x00\xef\xbb\xbf\xfe\xff"
_SAYS_SO = (b"<?xml", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_ROOT = re.compile(rb"<([A-Za-z_][^\s/>]*)")


def parse_xml(content: bytes, charset: str | None = None) -> Element:
    """The root element. `charset` is what is known of the bytes' encoding from elsewhere, if anything.

    Raises BadInput: empty, truncated (the root is never closed), too-large (more than 256 levels or 10 MB in one text,
    libxml2's limits), unsupported (entities other than characters), malformed.
    """
    if not content.strip(_BLANK):
        raise BadInput("nothing but blanks where XML was expected", reason="empty")
    if charset and not content.startswith(_SAYS_SO):
        content, charset = clean_text(decode(content, charset).text).encode(), "utf-8"
    else:
        charset = None
    content = _with_characters(content)
    parser = _parser(charset, recover=False)
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        if any(entry.domain != etree.ErrorDomains.NAMESPACE for entry in parser.error_log):
            raise _refusal(content, error) from None
        root = etree.fromstring(content, _parser(charset, recover=True))
    if next(root.iter(etree.Entity), None) is not None:
        raise BadInput("it uses entities of its own, which are not expanded", reason="unsupported")
    return root


def local_name(element: Element) -> str:
    """The tag without namespace or undeclared prefix; "" for comments and processing instructions."""
    tag = element.tag
    return tag.rpartition("}")[2].rpartition(":")[2] if isinstance(tag, str) else ""


def find(element: Element | None, *paths: str) -> Element | None:
    """The first element that one of these paths finds, tried in order."""
    if element is None:
        return None
    return next((found for path in paths if (found := element.find(path)) is not None), None)


def xml_lang(element: Element) -> str | None:
    stated = element.get("{http://www.w3.org/XML/1998/namespace}lang")
    return stated.strip().lower() or None if stated else None


def without_namespace(root: Element) -> bool:
    """Rename, in place, the elements that share the root's namespace to their local names. Whether there were any."""
    space = root.tag.rpartition("}")[0] + "}" if root.tag.startswith("{") else ""
    if space:
        for element in root.iter(f"{space}*"):
            element.tag = local_name(element)
    return bool(space)


def _parser(charset: str | None, *, recover: bool) -> etree.XMLParser:
    return etree.XMLParser(
        encoding=charset, recover=recover, resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False
    )


def _with_characters(content: bytes) -> bytes:
    def character(match: re.Match[bytes]) -> bytes:
        name = match[1]
        text = None if name is None or name in _OF_XML_ITSELF else html5.get(name.decode() + ";")
        return match[0] if text is None else text.encode("ascii", "xmlcharrefreplace")

    return content if b"\x00" in content[:64] else _NAMED.sub(character, content)


def _code(error: etree.XMLSyntaxError) -> int:
    return int(getattr(error, "code", 0))  # the stubs lack it


def _refusal(content: bytes, error: etree.XMLSyntaxError) -> BadInput:
    said = str(error.msg)[:200]
    if _code(error) == etree.ErrorTypes.ERR_RESOURCE_LIMIT:
        return BadInput(f"XML beyond what is taken: {said}", reason="too-large")
    ascii_part = content.replace(b"\x00", b"")
    root = _ROOT.search(ascii_part)
    if root is None and not ascii_part.lstrip(_BLANK).startswith(b"<"):
        return BadInput("not XML: it does not begin with a tag", reason="unsupported")
    if root is None or b"</" + root[1] not in ascii_part[-400:]:
        return BadInput(f"XML that ends too early: {said}", reason="truncated")
    return BadInput(f"not well-formed XML: {said}", reason="malformed")
