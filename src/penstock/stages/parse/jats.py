"""JATS and NLM articles (jats.nlm.nih.gov), full text, abstract or header only.

The text is title, abstracts, body, back matter and floats, each block one element's running text. References, the
identifiers in front and everything else that is data rather than prose become references, identifiers and fields.
Sub-articles (decision letters, replies, translations) follow as sections of their own; who wrote them stays out of the
article's fields. Superscript citation marks are dropped from running text, since "cells.1,2 The" hides where a sentence
ends; such a block is not exact, and its locator names the paragraph.
"""

# ruff: noqa: SIM905 (element names read better as words than as a list of strings)
from __future__ import annotations

import re
from collections.abc import Callable

from penstock.errors import BadInput
from penstock.ir import Document, RawPayload, StageContext
from penstock.ir.documents import BlockKind
from penstock.stages.parse.builder import DocumentBuilder
from penstock.stages.parse.jats_front import read_front, read_references
from penstock.stages.parse.reading import Passage, Reading, Role
from penstock.stages.parse.tables import Cell, grid, span
from penstock.stages.parse.text import stated_charset
from penstock.stages.parse.xml import Element, find, local_name, parse_xml, without_namespace

_BLOCKS = frozenset(
    "p sec title caption list list-item def-list def-item disp-quote boxed-text fig fig-group table-wrap"
    " table-wrap-foot table-wrap-group fn fn-group disp-formula disp-formula-group statement verse-group verse-line"
    " speech attrib preformat code supplementary-material media chem-struct-wrap ack app app-group notes glossary bio"
    " ref-list array question answer explanation floats-group".split()
)
_SKIPPED = frozenset(
    "label object-id alt-text long-desc graphic inline-graphic permissions contrib-id institution-id index-term"
    " processing-meta sec-meta annotation annotation-xml".split()
)
_SECTIONS = frozenset("sec ack app notes glossary bio boxed-text fn-group floats-group statement".split())
_KINDS: dict[str, BlockKind] = {"list-item": "list_item", "caption": "caption"}
_UNTITLED = {
    "ack": "Acknowledgements",
    "app": "Appendix",
    "fn-group": "Footnotes",
    "glossary": "Glossary",
    "floats-group": "Figures and tables",
}
_MARKS_ONLY = re.compile(r"(?:[\s\d,;–—\-\[\]()*†‡§¶#]|(?<=\d)[a-z])*")
_DOCUMENT = re.compile(r"\\begin\s*\{document\}(.*?)(?:\\end\s*\{document\}|\Z)", re.DOTALL)


def parse(ctx: StageContext, payload: RawPayload) -> Document:
    """One <article>. Raises BadInput: as parse_xml, schema (not one article), empty (no text in it)."""
    root = parse_xml(payload.content, stated_charset(payload.media_type))
    reading = Reading(root, positional=without_namespace(root))
    article = root if local_name(root) == "article" else _only_article(root)
    builder = DocumentBuilder(ctx, payload, parser="jats", version="1")
    _Article(builder, reading).read(article)
    return builder.build()


def _only_article(root: Element) -> Element:
    articles = root.findall(".//article")
    if len(articles) != 1:
        raise BadInput(f"<{local_name(root)}> holds {len(articles)} articles where one was expected", reason="schema")
    return articles[0]


def role(element: Element) -> Role | str:
    """What an element of an article is to the running text around it."""
    name = local_name(element)
    if name in _BLOCKS:
        return Role.BLOCK
    if name in _SKIPPED or (name in ("sup", "xref") and _is_citation_mark(element)):
        return Role.SKIP
    if name == "tex-math":
        return Role.SKIP if _math_beside(element) is not None else tex(element.text or "")
    if name == "element-citation":
        return " ".join(" ".join(element.xpath(".//text()")).split())
    return Role.BREAK if name in ("break", "td", "th", "tr", "term", "def") else Role.INLINE


def tex(source: str) -> str:
    """The formula without the LaTeX document that many publishers wrap around it."""
    found = _DOCUMENT.search(source)
    return " ".join((found[1] if found else source).replace("$$", " ").split())


def _math_beside(tex_math: Element) -> Element | None:
    return next((other for other in tex_math.getparent() if local_name(other) == "math"), None)


def _is_citation_mark(element: Element) -> bool:
    if local_name(element) == "sup":
        marks = element.findall(".//xref[@ref-type='bibr']")
        return bool(marks) and _MARKS_ONLY.fullmatch("".join(element.itertext())) is not None
    return (
        element.get("ref-type") == "bibr"
        and [local_name(child) for child in element] == ["sup"]
        and not ((element.text or "").strip() or (element[0].tail or "").strip())
    )


def _noiseless(element: Element) -> Role | str:
    """Of titles: no notes, no references."""
    return Role.SKIP if local_name(element) in ("xref", "fn") else role(element)


class _Article:
    def __init__(self, builder: DocumentBuilder, reading: Reading) -> None:
        self._builder = builder
        self._reading = reading
        self._readers: dict[str, Callable[[Element, int], None]] = {
            "fig": self._figure,
            "table-wrap": self._table,
            "disp-formula": self._formula,
            "preformat": self._code,
            "code": self._code,
            "def-item": self._definition,
            "ref-list": lambda element, level: None,
        }

    def read(self, article: Element) -> None:
        meta = find(article, "front/article-meta", "front-stub", "front", "article-meta")
        title = find(meta, "title-group/article-title", "article-title")
        if (passage := self._reading.passage(title, _noiseless)) is not None:
            self._builder.title = passage.text
            self._put(passage, "title")
        for other in ("title-group/subtitle", "title-group/trans-title-group/trans-title", "title-group/trans-title"):
            for element in () if meta is None else meta.findall(other):
                self._put(self._reading.passage(element, _noiseless), "title")
        if meta is not None:
            read_front(self._builder, self._reading, article, meta)
        self._prose(article, meta, 1)
        for other in article.findall("sub-article") + article.findall("response"):
            self._sub_article(other)
        read_references(self._builder, self._reading, article, role)

    def _prose(self, article: Element, meta: Element | None, level: int) -> None:
        for abstract in () if meta is None else (*meta.findall("abstract"), *meta.findall("trans-abstract")):
            kind = abstract.get("abstract-type") or ""
            self._section(abstract, level, f"Abstract ({kind})" if kind else "Abstract")
        for part in ("body", "back"):
            for element in article.findall(part):
                self._flow(element, level)
        for element in article.findall("floats-group") + article.findall("floats-wrap"):
            self._section(element, level, _UNTITLED["floats-group"])

    def _sub_article(self, article: Element) -> None:
        start = self._builder.here
        meta = find(article, "front-stub", "front/article-meta")
        title = find(meta, "title-group/article-title")
        if (passage := self._reading.passage(title, _noiseless)) is not None:
            self._heading(passage, 1)
        else:
            self._builder.section((article.get("article-type") or "sub-article").replace("-", " ").capitalize(), 1)
        self._prose(article, meta, 2)
        self._builder.end_sections(start)

    def _flow(
        self, container: Element, level: int, kind: BlockKind = "paragraph", *, but: Element | None = None
    ) -> None:
        for part in self._reading.passages(container, role):
            if isinstance(part, Passage):
                self._put(part, kind)
            elif part is not but:
                self._block(part, level, kind)

    def _block(self, element: Element, level: int, kind: BlockKind) -> None:
        name = local_name(element)
        if reader := self._readers.get(name):
            reader(element, level)
        elif name in _SECTIONS:
            self._section(element, level, _UNTITLED.get(name, ""))
        elif name in _KINDS:
            self._flow(element, level, _KINDS[name])
        else:
            self._flow(element, level, kind)

    def _section(self, element: Element, level: int, default: str) -> None:
        start = self._builder.here
        title = find(element, "title", "caption/title")
        heading = self._reading.passage(title, _noiseless)
        if heading is not None:
            self._heading(heading, level)
        elif default:
            self._builder.section(default, level)
        inner = level + 1 if heading or default else level
        own = title if title is not None and title.getparent() is element else None
        self._flow(element, inner, but=own)
        self._builder.end_sections(start)

    def _figure(self, figure: Element, level: int) -> None:
        start = self._builder.here
        for label in figure.findall("label"):
            self._put(self._reading.passage(label, role), "caption")
        caption = figure.find("caption")
        if caption is not None:
            self._flow(caption, level, "caption")
        self._builder.figure(self._reading.text(caption), start)
        for child in figure:
            if local_name(child) in _BLOCKS and child is not caption:
                self._block(child, level, "paragraph")

    def _table(self, wrap: Element, level: int) -> None:
        reading = self._reading
        named = [reading.passage(part, role) for part in (*wrap.findall("label"), *wrap.findall("caption"))]
        caption = " ".join(passage.text for passage in named if passage is not None)
        tables = wrap.findall("table") or wrap.findall("alternatives/table")
        for table in tables:
            head = table.findall("thead/tr")
            rows = [*head, *table.findall("tbody/tr"), *table.findall("tr"), *table.findall("tfoot/tr")]
            cells = [[self._cell(cell) for cell in row if local_name(cell) in ("td", "th")] for row in rows]
            locator = self._builder.xpath(reading.path(wrap))
            self._builder.table(grid(cells), locator, caption=caption, header_rows=len(head))
            caption = ""
        if caption:
            for part in named:
                self._put(part, "caption")
        for child in wrap:
            known = ("caption", "table", "alternatives") if tables else ("caption",)
            if local_name(child) in ("array", "table", *_BLOCKS) and local_name(child) not in known:
                self._flow(child, level)

    def _cell(self, cell: Element) -> Cell:
        passage = self._reading.passage(cell, role)
        return Cell(passage.text if passage else "", span(cell.get("colspan")), span(cell.get("rowspan")))

    def _formula(self, formula: Element, level: int) -> None:
        self._put(self._reading.passage(formula, role), "formula")

    def _code(self, element: Element, level: int) -> None:
        text = str(element.xpath("string()")).strip("\r\n")
        exact = text == self._reading.text(element)
        self._builder.block(text, self._builder.xpath(self._reading.path(element)), "code", exact=exact)

    def _definition(self, item: Element, level: int) -> None:
        self._put(self._reading.passage(item, role), "list_item")

    def _heading(self, passage: Passage, level: int) -> None:
        locator = self._builder.xpath(passage.path, passage.start, passage.end)
        self._builder.heading(passage.text, level, locator, exact=passage.exact)

    def _put(self, passage: Passage | None, kind: BlockKind) -> tuple[int, int] | None:
        if passage is None:
            return None
        locator = self._builder.xpath(passage.path, passage.start, passage.end)
        return self._builder.block(passage.text, locator, kind, exact=passage.exact)
