"""What a JATS article says outside its prose: identifiers, dates, kinds, people, money, journal, references."""

# ruff: noqa: SIM905 (element names read better as words than as a list of strings)
from __future__ import annotations

from collections.abc import Iterable

from penstock.ir import Identifier
from penstock.stages.parse.builder import DocumentBuilder
from penstock.stages.parse.reading import Judge, Passage, Reading, Role
from penstock.stages.parse.scholarly import identifier, iso_date, position
from penstock.stages.parse.xml import Element, find, local_name, xml_lang

_ARTICLE_IDS = {"pmid": "pmid", "pmc": "pmcid", "pmcid": "pmcid", "doi": "doi"}
_PUBLISHED = ("epub", "pub", "ppub", "epub-ppub", "collection", "")
_HISTORY = {"received": "received", "accepted": "accepted", "rev-recd": "revised", "rev-request": "revision-requested"}
_FORMATTING = frozenset("italic bold sub sup sc monospace underline xref ext-link named-content styled-content".split())
_NAMES = ("name", "string-name", "collab", "name-alternatives/name", "name-alternatives/string-name")


def read_front(builder: DocumentBuilder, reading: Reading, article: Element, meta: Element) -> None:
    """Everything the article's front says about it."""
    front = _Front(builder, reading)
    builder.language = xml_lang(article)
    front.identifiers(meta)
    front.dates(meta)
    front.kinds(article, meta)
    front.people(meta)
    front.funding(meta)
    front.journal(article)
    for keyword in meta.iterfind("kwd-group//kwd"):
        front.say("keyword", keyword)


def read_references(builder: DocumentBuilder, reading: Reading, article: Element, judge: Judge) -> None:
    """The article's own reference lists: a reference each, and the field `cites` where it has an identifier."""
    for ref in article.iterfind("back//ref"):
        citation = find(ref, *_citations(""), *_citations("citation-alternatives/"))
        if citation is None:
            citation = ref
        known = list(_cited(reading, ref))
        passage = reading.passage(citation, _spaced if local_name(citation) == "element-citation" else judge)
        builder.reference(passage.text if passage else "", known, builder.xpath(reading.path(ref)))
        if known:
            work = find(citation, "article-title", "source")
            text = reading.text(work) or reading.text(citation)
            builder.field(
                "cites", text, builder.xpath(reading.path(work if work is not None else citation)), identifiers=known
            )


def _citations(under: str) -> Iterable[str]:
    return (f"{under}{name}" for name in ("element-citation", "mixed-citation", "citation", "nlm-citation"))


def _cited(reading: Reading, ref: Element) -> Iterable[Identifier]:
    seen = set()
    stated = [(_ARTICLE_IDS.get(each.get("pub-id-type") or ""), reading.text(each)) for each in ref.iter("pub-id")]
    stated += [("doi", reading.text(link)) for link in ref.iter("ext-link") if "doi.org/" in reading.text(link)]
    for scheme, text in stated:
        found = identifier(scheme, text) if scheme else None
        if found is not None and found not in seen:
            seen.add(found)
            yield found


def _spaced(element: Element) -> Role | str:
    """Of a citation made of fields: each of them is a word of its own, and identifiers are told elsewhere."""
    name = local_name(element)
    if name == "pub-id":
        return Role.SKIP
    return Role.INLINE if name in _FORMATTING else Role.BREAK


def _label_apart(element: Element) -> Role | str:
    """Of an affiliation: neither its mark nor the registry's identifiers; its parts are words apart."""
    name = local_name(element)
    if name in ("label", "institution-id", "sup"):
        return Role.SKIP
    return Role.BREAK if name in ("institution", "addr-line", "city", "state", "country") else Role.INLINE


class _Front:
    def __init__(self, builder: DocumentBuilder, reading: Reading) -> None:
        self._builder = builder
        self._reading = reading

    def say(self, name: str, element: Element | None, identifiers: Iterable[Identifier] = ()) -> None:
        """A field whose value is the element's text."""
        if element is not None:
            locator = self._builder.xpath(self._reading.path(element))
            self._builder.field(name, self._reading.text(element), locator, identifiers=identifiers)

    def identifiers(self, meta: Element) -> None:
        for element in meta.findall("article-id"):
            kind = element.get("pub-id-type") or ""
            text = self._reading.text(element)
            if kind in _ARTICLE_IDS:
                found = identifier(_ARTICLE_IDS[kind], text)
                if found is not None:
                    self._builder.identifier(found.scheme, found.value)
            elif kind == "publisher-id":
                self._builder.identifier(kind, text)

    def dates(self, meta: Element) -> None:
        stated: dict[str, str] = {}
        for element in meta.findall("pub-date"):
            kind = element.get("pub-type") or element.get("date-type") or ""
            value = self._date(element)
            if value:
                stated.setdefault(kind, value)
        best = next((kind for kind in _PUBLISHED if kind in stated), None)
        self._builder.date("published", stated.get(best) if best is not None else None)
        self._builder.date("released", stated.get("pmc-release"))
        for element in (*meta.findall("history/date"), *meta.findall("pub-history/event/date")):
            kind = element.get("date-type") or ""
            if kind in _HISTORY:
                self._builder.date(_HISTORY[kind], self._date(element))

    def _date(self, element: Element) -> str | None:
        year, month, day = (self._reading.text(element.find(part)) for part in ("year", "month", "day"))
        return iso_date(year, month, day)

    def kinds(self, article: Element, meta: Element) -> None:
        kind = article.get("article-type")
        if kind:
            locator = self._builder.xpath(f"{self._reading.path(article)}/@article-type")
            self._builder.field("publication_type", " ".join(kind.split()), locator)
        subjects = [
            (subject.getparent().get("subj-group-type"), subject)
            for subject in meta.iterfind("article-categories//subject")
        ]
        told = {group for group, _ in subjects}
        kinds = "display-channel" if "display-channel" in told else "heading"
        for group, subject in subjects:
            self.say("publication_type" if group == kinds else "concept", subject)

    def people(self, meta: Element) -> None:
        affiliations = {
            aff.get("id"): passage
            for aff in (*meta.iterfind("aff"), *meta.iterfind("contrib-group//aff"))
            if (passage := self._reading.passage(aff, _label_apart)) is not None
        }
        for aff in (*meta.iterfind("aff"), *meta.iterfind("contrib-group//aff")):
            self._affiliation(aff)
        authors = [
            contrib
            for contrib in meta.iterfind("contrib-group/contrib")
            if (contrib.get("contrib-type") or "author") == "author"
        ]
        for index, contrib in enumerate(authors):
            self._author(contrib, position(index, len(authors)), affiliations)

    def _author(self, contrib: Element, where: str, affiliations: dict[str | None, Passage]) -> None:
        name = find(contrib, *_NAMES)
        if name is None:
            return
        parts = [self._reading.text(name.find(part)) for part in ("given-names", "surname", "suffix")]
        written = " ".join(part for part in parts if part) or self._reading.text(name)
        orcid = (
            identifier("orcid", self._reading.text(each))
            for each in contrib.findall("contrib-id")
            if each.get("contrib-id-type") == "orcid"
        )
        where_from = [
            affiliations[rid].text
            for link in contrib.iterfind("xref[@ref-type='aff']")
            for rid in (link.get("rid") or "").split()
            if rid in affiliations
        ]
        self._builder.field(
            "author",
            written,
            self._builder.xpath(self._reading.path(name)),
            identifiers=[each for each in orcid if each],
            attributes={"position": where, "affiliation": "; ".join(where_from)},
        )

    def _affiliation(self, aff: Element) -> None:
        passage = self._reading.passage(aff, _label_apart)
        if passage is not None:
            locator = self._builder.xpath(passage.path, passage.start, passage.end)
            rors = [identifier("ror", self._reading.text(each)) for each in aff.iter("institution-id")]
            self._builder.field("affiliation", passage.text, locator, identifiers=[each for each in rors if each])

    def funding(self, meta: Element) -> None:
        for group in meta.iterfind("funding-group/award-group"):
            grants = "; ".join(self._reading.text(award) for award in group.findall("award-id"))
            for source in group.findall("funding-source"):
                name = find(source, "institution-wrap/institution", "institution", "named-content")
                name = source if name is None else name
                stated = [self._reading.text(each) for each in source.iter("institution-id", "named-content")]
                known = [each for text in stated for scheme in ("doi", "ror") if (each := identifier(scheme, text))]
                self._builder.field(
                    "funder",
                    self._reading.text(name),
                    self._builder.xpath(self._reading.path(name)),
                    identifiers=known,
                    attributes={"grant": grants},
                )

    def journal(self, article: Element) -> None:
        meta = article.find("front/journal-meta")
        if meta is not None:
            issns = {self._reading.text(issn) for issn in meta.findall("issn")}
            title = find(meta, "journal-title-group/journal-title", "journal-title")
            self.say("journal", title, [Identifier(scheme="issn", value=issn) for issn in sorted(issns) if issn])
