"""What a web page says about itself in its head: title, identifiers, dates, people, journal, keywords.

Read are the page's <title>, Highwire's citation_* names (as Google Scholar documents them), Dublin Core, Open Graph's
article:* and the plain author and keywords.
"""

from __future__ import annotations

import re

from penstock.ir import Identifier
from penstock.stages.parse.builder import DocumentBuilder
from penstock.stages.parse.reading import Passage, Reading, Role
from penstock.stages.parse.scholarly import identifier, position, written_date
from penstock.stages.parse.xml import Element

_AUTHORS = ("citation_author", "dc.creator", "dcterms.creator", "author")
_PUBLISHED = (
    "citation_publication_date",
    "citation_date",
    "article:published_time",
    "dcterms.issued",
    "dc.date.issued",
    "dc.date",
    "date",
)
_UPDATED = ("article:modified_time", "og:updated_time", "dcterms.modified", "last-modified")
_IDENTIFIERS = {
    "citation_doi": "doi",
    "dc.identifier": "doi",
    "dc.identifier.doi": "doi",
    "prism.doi": "doi",
    "citation_pmid": "pmid",
    "citation_pmcid": "pmcid",
}
_EACH = re.compile(r"[^,;]+")


def read_meta(builder: DocumentBuilder, reading: Reading) -> Passage | None:
    """Say all of it to the builder; the answer is the title."""
    head = _Head(builder, reading)
    head.identify()
    head.say_all("journal", "citation_journal_title", known=head.issns())
    head.say_all("affiliation", "citation_author_institution")
    head.people()
    head.keywords()
    builder.date("published", head.date(_PUBLISHED))
    builder.date("updated", head.date(_UPDATED))
    language = reading.root.get("lang") or reading.root.get("{http://www.w3.org/XML/1998/namespace}lang")
    builder.language = language.strip().lower() or None if language else None
    return head.title()


class _Head:
    def __init__(self, builder: DocumentBuilder, reading: Reading) -> None:
        self._builder = builder
        self._reading = reading
        self._named: dict[str, list[Element]] = {}
        for element in reading.root.iter("meta"):
            name = (element.get("name") or element.get("property") or "").strip().lower()
            if name and (element.get("content") or "").strip():
                self._named.setdefault(name, []).append(element)

    def title(self) -> Passage | None:
        for element in self._named.get("citation_title", [])[:1]:
            return self._stated(element)
        titles = self._reading.root.findall("head/title") or self._reading.root.findall(".//body/title")
        for element in titles[:1]:
            if (passage := self._reading.passage(element, lambda node: Role.INLINE)) is not None:
                return passage
        for element in self._named.get("og:title", [])[:1]:
            return self._stated(element)
        return None

    def identify(self) -> None:
        for name, scheme in _IDENTIFIERS.items():
            for element in self._named.get(name, ()):
                if (known := identifier(scheme, element.get("content"))) is not None:
                    self._builder.identifier(known.scheme, known.value)
        links = [
            link.get("href")
            for link in self._reading.root.iter("link")
            if "canonical" in (link.get("rel") or "").lower().split()
        ]
        for address in [*links, *(each.get("content") for each in self._named.get("og:url", ()))]:
            if address and address.strip().startswith(("http://", "https://")):
                self._builder.identifier("url", address)
                break

    def issns(self) -> list[Identifier]:
        stated = {" ".join(element.get("content").split()) for element in self._named.get("citation_issn", ())}
        return [Identifier(scheme="issn", value=value) for value in sorted(stated)]

    def people(self) -> None:
        names = next((name for name in _AUTHORS if name in self._named), "")
        authors = self._named.get(names, [])
        for index, element in enumerate(authors):
            self._say("author", self._stated(element), position=position(index, len(authors)))

    def keywords(self) -> None:
        for name in ("citation_keywords", "keywords"):
            for element in self._named.get(name, ()):
                whole = self._stated(element)
                for found in _EACH.finditer(whole.text):
                    word = found[0].strip()
                    start = found.start() + len(found[0]) - len(found[0].lstrip())
                    if word:
                        self._say("keyword", Passage(word, whole.path, start, start + len(word), exact=True))

    def say_all(self, field: str, name: str, known: list[Identifier] | None = None) -> None:
        told: set[str] = set()
        for element in self._named.get(name, ()):
            stated = self._stated(element)
            if stated.text not in told:
                told.add(stated.text)
                self._say(field, stated, known)

    def date(self, names: tuple[str, ...]) -> str | None:
        stated = (element.get("content") for name in names for element in self._named.get(name, ()))
        return next((value for text in stated if (value := written_date(text))), None)

    def _say(self, field: str, stated: Passage, known: list[Identifier] | None = None, **attributes: str) -> None:
        locator = self._builder.xpath(stated.path, stated.start, stated.end)
        self._builder.field(field, stated.text, locator, identifiers=known or (), attributes=attributes)

    def _stated(self, element: Element) -> Passage:
        """An element's `content`, which has an XPath of its own."""
        text = " ".join(element.get("content").split())
        return Passage(text, f"{self._reading.path(element)}/@content", None, None, exact=True)
