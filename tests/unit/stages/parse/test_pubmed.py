"""PubMed records: the abstract is the text, the rest fields."""

from __future__ import annotations

from pathlib import Path

from lxml import etree

from locators import resolve, untrue_blocks, untrue_fields
from parsing import damaged, kept, read, real, refusal, survives

KIND = "pubmed-article"
RECORD = b"""<PubmedArticle><MedlineCitation><PMID Version="1">12</PMID>
<DateRevised><Year>2022</Year><Month>04</Month><Day>10</Day></DateRevised>
<Article><Journal><ISSN IssnType="Print">1234-5678</ISSN><JournalIssue><PubDate><MedlineDate>1998 Dec-1999 Jan
</MedlineDate></PubDate></JournalIssue><Title>Journal of Tests</Title></Journal>
<ArticleTitle>On <i>mice</i>.</ArticleTitle>
<Abstract><AbstractText Label="AIM">Is H<sub>2</sub>O wet?</AbstractText><AbstractText Label="END">Yes.</AbstractText>
<CopyrightInformation>No one.</CopyrightInformation></Abstract>
<AuthorList><Author ValidYN="Y"><LastName>Doe</LastName><ForeName>Jane</ForeName><Suffix>Jr</Suffix>
<Identifier Source="ORCID">https://orcid.org/000000012345678X</Identifier><AffiliationInfo><Affiliation>Unit, Oslo.
</Affiliation><Identifier Source="ROR">https://ror.org/02mhbdp94</Identifier></AffiliationInfo></Author>
<Author ValidYN="N"><LastName>Typo</LastName></Author>
<Author ValidYN="Y"><CollectiveName>The Group</CollectiveName></Author></AuthorList>
<Language>eng</Language><GrantList><Grant><GrantID>G1</GrantID><Agency>Fund</Agency></Grant></GrantList>
<PublicationTypeList><PublicationType UI="D016428">Journal Article</PublicationType></PublicationTypeList>
<VernacularTitle>Om mus.</VernacularTitle></Article>
<ChemicalList><Chemical><RegistryNumber>059QF0KO0R</RegistryNumber><NameOfSubstance UI="D014867">Water</NameOfSubstance>
</Chemical><Chemical><RegistryNumber>7732-18-5</RegistryNumber><NameOfSubstance>Aqua</NameOfSubstance></Chemical>
<Chemical><RegistryNumber>0</RegistryNumber><NameOfSubstance>Ice</NameOfSubstance></Chemical></ChemicalList>
<CommentsCorrectionsList><CommentsCorrections RefType="Cites"><RefSource>Nature 1</RefSource><PMID>5</PMID>
</CommentsCorrections><CommentsCorrections RefType="CommentIn"><RefSource>Other</RefSource><PMID>6</PMID>
</CommentsCorrections></CommentsCorrectionsList>
<MeshHeadingList><MeshHeading><DescriptorName UI="D051379" MajorTopicYN="N">Mice</DescriptorName>
<QualifierName UI="Q000235" MajorTopicYN="Y">genetics</QualifierName></MeshHeading></MeshHeadingList>
<KeywordList><Keyword>wetness</Keyword></KeywordList>
<OtherAbstract Language="fre"><AbstractText>Oui.</AbstractText></OtherAbstract></MedlineCitation>
<PubmedData><History><PubMedPubDate PubStatus="received"><Year>1998</Year><Month>1</Month></PubMedPubDate></History>
<ArticleIdList><ArticleId IdType="pubmed">12</ArticleId><ArticleId IdType="doi">10.1000/ABC</ArticleId>
<ArticleId IdType="pmc">PMC9</ArticleId></ArticleIdList><ReferenceList><Reference><Citation>Nature 1.</Citation>
<ArticleIdList><ArticleId IdType="pubmed">5</ArticleId></ArticleIdList></Reference><Reference>
<Citation>A book.</Citation></Reference></ReferenceList></PubmedData></PubmedArticle>"""


def test_every_block_and_field_is_what_its_locator_resolves_to(data: Path) -> None:
    for name, content in [("made", RECORD), *real(data, KIND)]:
        document = read(KIND, content)
        assert all(block.exact for block in document.blocks), name
        assert untrue_blocks(content, document) == [], name
        assert {field for field, _, _ in untrue_fields(content, document)} <= {"author"}, name


def test_titles_and_prose_of_real_records_are_kept(data: Path) -> None:
    for name, content in real(data, KIND):
        root = etree.fromstring(content)
        document = read(KIND, content)
        assert document.title == " ".join(root.xpath("string(//ArticleTitle)").split()), name
        assert kept(root.xpath("//ArticleTitle//text() | //AbstractText//text()"), document) == 1, name


def test_damaged_records_are_read_or_refused_for_a_known_reason(data: Path) -> None:
    for _, content in [("made", RECORD), *real(data, KIND)]:
        for other in damaged(content, cuts=10, flips=9):
            survives(KIND, other)


def test_the_text_is_titles_and_abstracts_with_labels_as_sections() -> None:
    document = read(KIND, RECORD)
    assert document.title == "On mice."
    assert document.text == "On mice.\n\nOm mus.\n\nIs H2O wet?\n\nYes.\n\nOui."
    assert [(s.level, s.heading) for s in document.sections] == [
        (1, "Abstract"),
        (2, "AIM"),
        (2, "END"),
        (1, "Abstract (fr)"),
    ]
    assert document.language == "en"


def test_a_record_of_a_title_alone_is_a_document() -> None:
    article = "<Article><ArticleTitle>T</ArticleTitle></Article>"
    document = read(KIND, f"<PubmedArticle><MedlineCitation>{article}</MedlineCitation></PubmedArticle>")
    assert (document.text, document.sections) == ("T", ())


def test_identifiers_and_dates_come_in_one_form() -> None:
    document = read(KIND, RECORD)
    assert [(i.scheme, i.value) for i in document.identifiers] == [
        ("pmid", "12"),
        ("doi", "10.1000/abc"),
        ("pmcid", "PMC9"),
    ]
    assert [(d.kind, d.value) for d in document.dates] == [
        ("published", "1998-12"),
        ("updated", "2022-04-10"),
        ("received", "1998-01"),
    ]


def test_fields_say_people_subjects_substances_and_money() -> None:
    document = read(KIND, RECORD)
    said = {
        (field.name, field.value): (
            {identifier.scheme: identifier.value for identifier in field.identifiers},
            field.attributes,
        )
        for field in document.fields
    }
    assert said["author", "Jane Doe Jr"] == (
        {"orcid": "0000-0001-2345-678X"},
        {"position": "first", "affiliation": "Unit, Oslo."},
    )
    assert said["author", "The Group"] == ({}, {"position": "last"})
    assert ("author", "Typo") not in said
    assert said["affiliation", "Unit, Oslo."][0] == {"ror": "02mhbdp94"}
    assert said["mesh", "Mice"] == ({"mesh": "D051379"}, {"major": "yes", "qualifiers": "genetics"})
    assert said["chemical", "Water"][0] == {"unii": "059QF0KO0R", "mesh": "D014867"}
    assert said["chemical", "Aqua"][0] == {"cas": "7732-18-5"}
    assert said["chemical", "Ice"][0] == {}
    assert said["funder", "Fund"][1] == {"grant": "G1"}
    assert said["journal", "Journal of Tests"][0] == {"issn": "1234-5678"}
    assert said["keyword", "wetness"] == ({}, {})
    assert said["publication_type", "Journal Article"][0] == {"mesh": "D016428"}


def test_a_work_cited_in_two_places_is_cited_once_and_a_comment_is_no_citation() -> None:
    document = read(KIND, RECORD)
    assert [reference.text for reference in document.references] == ["Nature 1.", "A book."]
    (cited,) = (field for field in document.fields if field.name == "cites")
    assert cited.value == resolve(RECORD, cited.locator) == "Nature 1."
    assert cited.identifiers[0].value == "5"


def test_what_is_no_single_record_is_refused() -> None:
    assert refusal(KIND, b"<PubmedArticleSet/>") == "schema"
    assert refusal(KIND, b"<PubmedArticleSet>" + RECORD + RECORD + b"</PubmedArticleSet>") == "schema"
    assert refusal(KIND, b"<PubmedArticle><MedlineCitation/></PubmedArticle>") == "schema"
    assert refusal(KIND, RECORD[:900]) == "truncated"
    assert refusal(KIND, b"") == "empty"
