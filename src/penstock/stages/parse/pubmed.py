"""PubMed records: one <PubmedArticle> (https://dtd.nlm.nih.gov/ncbi/pubmed/doc/out/250101/).

The text is the title and the abstract, its labelled parts as sections; everything else is fields and references.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from penstock.errors import BadInput
from penstock.ir import Document, Identifier, RawPayload, StageContext
from penstock.stages.parse.builder import DocumentBuilder
from penstock.stages.parse.reading import Reading
from penstock.stages.parse.scholarly import identifier, iso_date, position, written_date
from penstock.stages.parse.text import stated_charset
from penstock.stages.parse.xml import Element, find, local_name, parse_xml

_IDS = {"pubmed": "pmid", "pmid": "pmid", "doi": "doi", "pmc": "pmcid", "pmcid": "pmcid"}
_HISTORY = ("received", "accepted", "revised")
_CAS = re.compile(r"\d{2,7}-\d\d-\d")
_UNII = re.compile(r"[A-Z0-9]{10}")
_LANGUAGES = {
    "eng": "en", "fre": "fr", "ger": "de", "spa": "es", "ita": "it", "por": "pt", "rus": "ru", "chi": "zh", "jpn": "ja",
    "kor": "ko", "pol": "pl", "tur": "tr", "dut": "nl", "cze": "cs", "dan": "da", "swe": "sv", "nor": "no", "fin": "fi",
    "hun": "hu", "ukr": "uk", "ara": "ar", "heb": "he", "per": "fa", "gre": "el", "hrv": "hr", "rum": "ro",
}  # fmt: skip
"""MEDLINE's language codes that are common, as ISO 639-1."""


def parse(ctx: StageContext, payload: RawPayload) -> Document:
    """One PubMed record. Raises BadInput: as parse_xml, schema (not one record), empty (neither title nor abstract)."""
    root = parse_xml(payload.content, stated_charset(payload.media_type))
    records = [root] if local_name(root) == "PubmedArticle" else root.findall("PubmedArticle")
    if len(records) != 1:
        raise BadInput(f"<{local_name(root)}> holds {len(records)} PubMed records, not one", reason="schema")
    builder = DocumentBuilder(ctx, payload, parser="pubmed", version="1")
    _Record(builder, Reading(root), records[0]).read()
    return builder.build()


class _Record:
    def __init__(self, builder: DocumentBuilder, reading: Reading, record: Element) -> None:
        self._builder = builder
        self._reading = reading
        self._record = record

    def read(self) -> None:
        citation = self._record.find("MedlineCitation")
        article = find(citation, "Article")
        if citation is None or article is None:
            raise BadInput("a PubMed record without a citation", reason="schema")
        self._prose(citation, article)
        self._identify(citation)
        self._dates(citation, article)
        self._people(article)
        self._subjects(citation, article)
        self._publication(citation, article)
        self._references(citation)

    def _text(self, element: Element | None, *path: str) -> str:
        return self._reading.text(find(element, *path) if path else element)

    def _field(self, name: str, element: Element | None, known: Iterable[Identifier] = (), **attributes: str) -> None:
        if element is not None:
            locator = self._builder.xpath(self._reading.path(element))
            text = self._reading.text(element)
            self._builder.field(name, text, locator, identifiers=known, attributes=attributes)

    def _block(self, element: Element, *, title: bool = False) -> None:
        locator = self._builder.xpath(self._reading.path(element))
        self._builder.block(self._reading.text(element), locator, "title" if title else "paragraph")

    def _prose(self, citation: Element, article: Element) -> None:
        titles = [each for name in ("ArticleTitle", "VernacularTitle") for each in article.findall(name)]
        for title in titles:
            self._builder.title = self._builder.title or self._reading.text(title)
            self._block(title, title=True)
        language = self._text(article, "Language").lower()
        self._builder.language = _LANGUAGES.get(language, language) or None
        for abstract in (*article.findall("Abstract"), *citation.findall("OtherAbstract")):
            spoken = abstract.get("Language")
            self._builder.section(f"Abstract ({_LANGUAGES.get(spoken, spoken)})" if spoken else "Abstract", 1)
            for part in abstract.findall("AbstractText"):
                if part.get("Label"):
                    self._builder.section(" ".join(part.get("Label").split()), 2)
                self._block(part)

    def _identify(self, citation: Element) -> None:
        found = [("pmid", self._text(citation, "PMID"))]
        found += self._ids(self._record.findall("PubmedData/ArticleIdList/ArticleId"), "IdType")
        found += self._ids(citation.findall("Article/ELocationID[@ValidYN='Y']"), "EIdType")
        for scheme, text in found:
            if (known := identifier(scheme, text)) is not None:
                self._builder.identifier(known.scheme, known.value)

    def _ids(self, elements: Iterable[Element], attribute: str) -> list[tuple[str, str]]:
        pairs = [(_IDS.get((each.get(attribute) or "").lower()), self._text(each)) for each in elements]
        return [(scheme, text) for scheme, text in pairs if scheme]

    def _dates(self, citation: Element, article: Element) -> None:
        printed = article.find("Journal/JournalIssue/PubDate")
        self._builder.date("published", self._date(printed) or self._date(article.find("ArticleDate")))
        self._builder.date("published-online", self._date(article.find("ArticleDate")))
        self._builder.date("updated", self._date(citation.find("DateRevised")))
        for element in self._record.findall("PubmedData/History/PubMedPubDate"):
            if element.get("PubStatus") in _HISTORY:
                self._builder.date(element.get("PubStatus"), self._date(element))

    def _date(self, element: Element | None) -> str | None:
        if element is None:
            return None
        loose = self._text(element, "MedlineDate")
        if loose:
            return written_date(loose)
        return iso_date(*(self._text(element, part) for part in ("Year", "Month", "Day")))

    def _people(self, article: Element) -> None:
        authors = article.findall("AuthorList/Author[@ValidYN='Y']") or article.findall("AuthorList/Author")
        told: set[str] = set()
        for index, author in enumerate(authors):
            parts = [self._text(author, part) for part in ("ForeName", "LastName", "Suffix")]
            collective = author.find("CollectiveName")
            named = author if collective is None else collective
            where_from = author.findall("AffiliationInfo/Affiliation")
            stated = [each for each in author.findall("Identifier") if each.get("Source") == "ORCID"]
            self._builder.field(
                "author",
                self._text(collective) or " ".join(part for part in parts if part),
                self._builder.xpath(self._reading.path(named)),
                identifiers=self._known("orcid", stated),
                attributes={
                    "position": position(index, len(authors)),
                    "affiliation": "; ".join(self._text(each) for each in where_from),
                },
            )
            for each in where_from:
                if self._text(each) not in told:
                    told.add(self._text(each))
                    self._field("affiliation", each, self._known("ror", each.getparent().findall("Identifier")))

    def _known(self, scheme: str, elements: Iterable[Element]) -> list[Identifier]:
        return [known for each in elements if (known := identifier(scheme, self._text(each))) is not None]

    def _subjects(self, citation: Element, article: Element) -> None:
        for heading in citation.findall("MeshHeadingList/MeshHeading"):
            descriptor = heading.find("DescriptorName")
            major = any(part.get("MajorTopicYN") == "Y" for part in heading)
            qualifiers = "; ".join(self._text(part) for part in heading.findall("QualifierName"))
            self._field("mesh", descriptor, _mesh(descriptor), major="yes" if major else "", qualifiers=qualifiers)
        for extra in citation.findall("SupplMeshList/SupplMeshName"):
            self._field("mesh", extra, _mesh(extra))
        for chemical in citation.findall("ChemicalList/Chemical"):
            name = chemical.find("NameOfSubstance")
            number = self._text(chemical, "RegistryNumber")
            scheme = "cas" if _CAS.fullmatch(number) else "unii" if _UNII.fullmatch(number) else ""
            registered = [Identifier(scheme=scheme, value=number)] if scheme else []
            self._field("chemical", name, [*registered, *_mesh(name)])
        for keyword in citation.findall("KeywordList/Keyword"):
            self._field("keyword", keyword)
        for kind in article.findall("PublicationTypeList/PublicationType"):
            self._field("publication_type", kind, _mesh(kind))

    def _publication(self, citation: Element, article: Element) -> None:
        stated = [*article.findall("Journal/ISSN"), *citation.findall("MedlineJournalInfo/ISSNLinking")]
        issns = dict.fromkeys(self._text(each) for each in stated)
        known = [Identifier(scheme="issn", value=issn) for issn in issns if issn]
        self._field("journal", find(article, "Journal/Title", "Journal/ISOAbbreviation"), known)
        for grant in article.findall("GrantList/Grant"):
            self._field("funder", grant.find("Agency"), grant=self._text(grant, "GrantID"))

    def _references(self, citation: Element) -> None:
        told: set[Identifier] = set()
        for reference in self._record.findall("PubmedData//ReferenceList/Reference"):
            known = self._cited(self._ids(reference.findall("ArticleIdList/ArticleId"), "IdType"))
            element = reference.find("Citation")
            self._reference(reference if element is None else element, list(known), told)
        for link in citation.findall("CommentsCorrectionsList/CommentsCorrections[@RefType='Cites']"):
            known = self._cited([("pmid", self._text(link, "PMID"))])
            element = link.find("RefSource")
            self._reference(link if element is None else element, list(known), told)

    def _cited(self, stated: Iterable[tuple[str, str]]) -> Iterator[Identifier]:
        return (known for scheme, text in stated if (known := identifier(scheme, text)) is not None)

    def _reference(self, element: Element, known: list[Identifier], told: set[Identifier]) -> None:
        """A reference, unless an identifier of it was told already: older records list a work in both places."""
        if told.intersection(known):
            return
        told.update(known)
        self._builder.reference(self._text(element), known, self._builder.xpath(self._reading.path(element)))
        if known:
            self._field("cites", element, known)


def _mesh(element: Element | None) -> list[Identifier]:
    number = element.get("UI") if element is not None else None
    return [Identifier(scheme="mesh", value=number)] if number else []
