"""Web pages: headings, paragraphs, lists and tables of a page's main content, without the furniture around it.

The page is decoded by its byte order mark, else as it or its transport declares, else as UTF-8 or Windows-1252, and
parsed by lxml's HTML parser, the end tag of <html> left out; XPaths hold in that tree. What `meta` elements say becomes
fields located at their attributes (`…/meta[3]/@content`).
"""

from __future__ import annotations

import re

from lxml import etree

from penstock.errors import BadInput
from penstock.ir import Document, RawPayload, StageContext, clean_text
from penstock.stages.parse.builder import DocumentBuilder
from penstock.stages.parse.html_flow import HtmlFlow
from penstock.stages.parse.html_meta import read_meta
from penstock.stages.parse.reading import Reading
from penstock.stages.parse.text import decode, stated_charset
from penstock.stages.parse.xml import Element

_DECLARED = re.compile(rb"""<(?:meta\b|\?xml\b)[^>]*?\b(?:charset|encoding)\s*=\s*["']?\s*([A-Za-z0-9_:.-]+)""", re.I)
_END = re.compile(r"</html\s*>", re.IGNORECASE)
"""Ignored, as the HTML standard has it: libxml2 drops whatever follows it."""
_ENOUGH = 200


def parse(ctx: StageContext, payload: RawPayload) -> Document:
    """One page. Raises BadInput: empty (nothing to read in it), unsupported (binary), too-large (see parse_html)."""
    reading = Reading(parse_html(payload.content, stated_charset(payload.media_type)))
    builder = DocumentBuilder(ctx, payload, parser="html", version="1")
    content = _content(reading)
    title = read_meta(builder, reading)
    if title is not None:
        builder.title = title.text
        headings = {reading.text(heading) for heading in content.iter("h1")}
        if not any(heading and heading in title.text for heading in headings):
            builder.block(title.text, builder.xpath(title.path, title.start, title.end), "title", exact=title.exact)
    HtmlFlow(builder, reading).read(content)
    if not builder.title:
        builder.title = next((text for each in reading.root.iter("h1") if (text := reading.text(each))), "")
    return builder.build()


def parse_html(content: bytes, stated: str | None = None) -> Element:
    """The root of a page's tree. Raises BadInput, also for more than 256 levels or 10 MB in one text (too-large)."""
    declared = _DECLARED.search(content[:4096])
    name = declared[1].decode() if declared else None
    text = decode(content, None if name and name.lower().startswith("utf-16") else name or stated).text
    return html_tree(text)


def html_tree(text: str) -> Element:
    parser = etree.HTMLParser(encoding="utf-8", recover=True, no_network=True, huge_tree=False)
    try:
        root = etree.fromstring(_END.sub("", clean_text(text)).encode(), parser)
    except etree.XMLSyntaxError as error:
        raise BadInput(f"no HTML: {str(error.msg)[:200]}", reason="empty") from None
    if any(entry.type == etree.ErrorTypes.ERR_RESOURCE_LIMIT for entry in parser.error_log):
        raise BadInput("HTML beyond what is taken: 256 levels, 10 MB in one text", reason="too-large")
    if root is None:
        raise BadInput("no element in it", reason="empty")
    return root


def _content(reading: Reading) -> Element:
    """The page's one <main> or <article> if it holds some text, else all of the page: text can follow its <body>."""
    root = reading.root
    for path in (".//main", ".//*[@role='main']", ".//article"):
        found = root.findall(path)
        if len(found) == 1 and len(reading.text(found[0])) >= _ENOUGH:
            return found[0]
    return root
