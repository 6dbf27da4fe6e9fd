"""JATS articles: what they say is found, and every block leads back to the bytes."""

from __future__ import annotations

from pathlib import Path

import pytest
from lxml import etree

from locators import resolve, untrue_blocks, untrue_fields
from parsing import damaged, kept, read, real, refusal, survives

KIND = "jats-article"
FRONT = """<article xmlns:xlink="http://www.w3.org/1999/xlink" article-type="review-article" xml:lang="EN"><front>
<journal-meta><journal-title>J. Test</journal-title><issn>1234-5678</issn></journal-meta><article-meta>
<article-id pub-id-type="pmc">99</article-id><article-id pub-id-type="doi">10.1000/ABC</article-id>
<article-id pub-id-type="pmid">77</article-id>
<title-group><article-title>Of <italic>Mice</italic><xref ref-type="fn" rid="f1">*</xref></article-title></title-group>
<contrib-group><contrib contrib-type="author"><contrib-id contrib-id-type="orcid">http://orcid.org/0000-0001-2345-678X
</contrib-id><name><surname>Doe</surname><given-names>Jane</given-names></name><xref ref-type="aff" rid="a1"/></contrib>
<contrib contrib-type="author"><collab>The Group</collab></contrib></contrib-group>
<aff id="a1"><label>1</label><institution-wrap><institution-id institution-id-type="ror">https://ror.org/02mhbdp94
</institution-id><institution>Unit</institution></institution-wrap>, <country>Norway</country></aff>
<pub-date pub-type="collection"><year>2020</year></pub-date>
<pub-date pub-type="epub"><day>3</day><month>Mar</month><year>2021</year></pub-date>
<history><date date-type="received"><day>31</day><month>2</month><year>2019</year></date></history>
<funding-group><award-group><funding-source><institution-wrap><institution>Fund</institution><institution-id>
http://dx.doi.org/10.13039/501100001711</institution-id></institution-wrap></funding-source><award-id>G1</award-id>
</award-group></funding-group>
<kwd-group><kwd>mice</kwd></kwd-group><abstract><p>Short.</p></abstract></article-meta></front>"""


def article(body: str, back: str = "") -> str:
    return f"{FRONT}<body>{body}</body><back>{back}</back></article>"


def texts(document: object) -> list[str]:
    return [document.text[block.start : block.end] for block in document.blocks]  # type: ignore[attr-defined]


def test_every_exact_block_and_field_of_real_articles_is_what_its_locator_resolves_to(data: Path) -> None:
    for name, content in real(data, KIND):
        document = read(KIND, content)
        assert untrue_blocks(content, document) == [], name
        for field, value, found in untrue_fields(content, document):
            assert field in ("author", "affiliation"), name
            assert sorted("".join(value.split())) == sorted("".join(found.split())), (name, value, found)
        assert sum(block.exact for block in document.blocks) >= 0.6 * len(document.blocks), name


def test_inexact_blocks_hold_no_word_that_their_locator_does_not(data: Path) -> None:
    for name, content in real(data, KIND):
        document = read(KIND, content)
        for block in document.blocks:
            if not block.exact and block.kind == "paragraph":
                there = resolve(content, block.locator)
                assert set(document.text[block.start : block.end].replace(" ", "")) <= set(there), name


def test_titles_of_real_articles_equal_an_independent_xpath(data: Path) -> None:
    for name, content in real(data, KIND):
        root = etree.fromstring(content, etree.XMLParser(recover=True))
        expected = root.xpath("//front//article-title//text()[not(ancestor::xref) and not(ancestor::fn)]")
        assert read(KIND, content).title == " ".join("".join(expected).split()), name


def test_real_articles_keep_their_prose(data: Path) -> None:
    for name, content in real(data, KIND):
        root = etree.fromstring(content, etree.XMLParser(recover=True))
        etree.strip_elements(root, "ref-list", "tex-math", "alt-text", "object-id", with_tail=False)
        prose = root.xpath("//abstract//text() | //body//text() | //back//text() | //floats-group//text()")
        assert kept(prose, read(KIND, content)) >= 0.98, name


def test_damaged_articles_are_read_or_refused_for_a_known_reason(data: Path) -> None:
    for _, content in real(data, KIND)[::3]:
        for other in damaged(content, cuts=10, flips=3):
            survives(KIND, other)


def test_a_cut_article_is_truncated_and_a_broken_one_malformed() -> None:
    whole = article("<sec><title>A</title><p>Text.</p></sec>")
    assert refusal(KIND, whole[:-100]) == "truncated"
    assert refusal(KIND, whole.replace("</sec>", "")) == "malformed"
    assert refusal(KIND, " \n") == "empty"
    assert refusal(KIND, "%PDF-1.4") == "unsupported"
    assert refusal(KIND, "<note>x</note>") == "schema"
    assert refusal(KIND, "<article><front/></article>") == "empty"


def test_the_front_says_who_when_where_and_with_what_money() -> None:
    content = article("<p>Text.</p>").encode()
    document = read(KIND, content)
    said = {field.name: field for field in document.fields}
    assert document.title == "Of Mice"
    assert document.language == "en"
    assert [(i.scheme, i.value) for i in document.identifiers] == [
        ("pmcid", "PMC99"),
        ("doi", "10.1000/abc"),
        ("pmid", "77"),
    ]
    assert [(d.kind, d.value) for d in document.dates] == [("published", "2021-03-03"), ("received", "2019-02")]
    jane, group = (field for field in document.fields if field.name == "author")
    assert (jane.value, jane.identifiers[0].value) == ("Jane Doe", "0000-0001-2345-678X")
    assert jane.attributes == {"position": "first", "affiliation": "Unit, Norway"}
    assert (group.value, group.attributes["position"]) == ("The Group", "last")
    assert (said["affiliation"].value, said["affiliation"].identifiers[0].value) == ("Unit, Norway", "02mhbdp94")
    assert resolve(content, said["affiliation"].locator) == "Unit, Norway"
    assert (said["funder"].value, said["funder"].identifiers[0].value) == ("Fund", "10.13039/501100001711")
    assert said["funder"].attributes == {"grant": "G1"}
    assert said["journal"].identifiers[0].value == "1234-5678"
    assert said["publication_type"].value == resolve(content, said["publication_type"].locator) == "review-article"


def test_sections_nest_and_end_where_their_elements_end() -> None:
    body = (
        "<sec><title>A</title><p>one</p><sec><title>B</title><p>two</p></sec><p>three</p></sec>"
        "<boxed-text><caption><title>Box</title></caption><p>four</p></boxed-text><p>five</p>"
    )
    document = read(KIND, article(body))
    spans = {section.heading: document.text[section.start : section.end] for section in document.sections}
    assert spans["Abstract"] == "Short."
    assert spans["A"] == "A\n\none\n\nB\n\ntwo\n\nthree"
    assert spans["B"] == "B\n\ntwo"
    assert "five" not in spans["Box"]
    assert {section.heading: section.level for section in document.sections} == {
        "Abstract": 1,
        "A": 1,
        "B": 2,
        "Box": 1,
    }


def test_a_paragraph_that_holds_blocks_is_located_by_ranges_of_it() -> None:
    content = article("<p>Before  it <list><list-item><p>item</p></list-item></list> after <b>it</b>.</p>").encode()
    document = read(KIND, content)
    assert texts(document)[2:] == ["Before it", "item", "after it."]
    assert untrue_blocks(content, document) == []
    assert all(block.exact for block in document.blocks)


def test_superscript_citation_marks_are_dropped_and_other_superscripts_stay() -> None:
    body = (
        '<p>In cells.<sup><xref ref-type="bibr">1</xref>,<xref ref-type="bibr">2</xref></sup> The 10<sup>3</sup>'
        ' mice<xref ref-type="bibr"><sup>4</sup></xref> and [<xref ref-type="bibr">5</xref>].</p>'
    )
    document = read(KIND, article(body))
    assert texts(document)[-1] == "In cells. The 103 mice and [5]."
    assert not document.blocks[-1].exact


def test_formulas_are_told_once_and_without_their_latex_document() -> None:
    wrapped = r"\documentclass{minimal}\usepackage{x}\begin{document}$$E=mc^2$$\end{document}"
    both = f"<alternatives><tex-math>{wrapped}</tex-math><mml:math><mml:mi>E</mml:mi></mml:math></alternatives>"
    document = read(KIND, article(f"<p>So <inline-formula>{both}</inline-formula> holds.</p>"))
    assert texts(document)[-1] == "So E holds."
    document = read(KIND, article(f"<disp-formula><label>(1)</label><tex-math>{wrapped}</tex-math></disp-formula>"))
    assert (texts(document)[-1], document.blocks[-1].kind) == ("E=mc^2", "formula")


def test_tables_are_grids_with_merged_cells_filled_in() -> None:
    body = (
        "<table-wrap><label>Table 1</label><caption><p>Doses</p></caption>"
        "<table><thead><tr><th colspan='2'>Drug</th></tr>"
        "</thead><tbody><tr><td rowspan='2'>a</td><td>1<break/>2</td></tr><tr><td>3</td></tr></tbody></table>"
        "<table-wrap-foot><p>Note.</p></table-wrap-foot></table-wrap>"
    )
    document = read(KIND, article(body))
    (table,) = document.tables
    assert table.rows == (("Drug", "Drug"), ("a", "1 2"), ("a", "3"))
    assert (table.caption, table.header_rows) == ("Table 1 Doses", 1)
    assert texts(document)[-1] == "Note."


def test_figures_are_their_captions() -> None:
    document = read(KIND, article("<fig><label>Fig. 1</label><caption><title>T.</title><p>Told.</p></caption></fig>"))
    (figure,) = document.figures
    assert document.text[figure.start : figure.end] == "Fig. 1\n\nT.\n\nTold."
    assert [section.heading for section in document.sections] == ["Abstract"]


def test_references_carry_identifiers_and_cite_what_has_one() -> None:
    back = (
        "<ref-list><ref><label>1</label><element-citation><person-group>"
        "<name><surname>Roe</surname><given-names>R</given-names>"
        "</name></person-group><article-title>On it</article-title><year>2001</year>"
        "<pub-id pub-id-type='pmid'>5</pub-id>"
        "<pub-id pub-id-type='doi'>https://doi.org/10.1000/X</pub-id></element-citation></ref>"
        "<ref><mixed-citation>Roe R. <italic>A book</italic>. 1999.</mixed-citation></ref></ref-list>"
    )
    content = article("<p>x</p>", back).encode()
    document = read(KIND, content)
    first, second = document.references
    assert first.text == "Roe R On it 2001"
    assert [(i.scheme, i.value) for i in first.identifiers] == [("pmid", "5"), ("doi", "10.1000/x")]
    assert second.text == "Roe R. A book. 1999."
    (cited,) = (field for field in document.fields if field.name == "cites")
    assert cited.value == resolve(content, cited.locator) == "On it"
    assert "A book" not in document.text


def test_sub_articles_follow_as_sections_and_their_authors_are_not_the_articles() -> None:
    reply = (
        "<sub-article article-type='reply'><front-stub><title-group><article-title>Reply</article-title></title-group>"
        "<contrib-group><contrib><name><surname>Else</surname></name></contrib></contrib-group></front-stub>"
        "<body><p>Dear editor.</p></body></sub-article></article>"
    )
    document = read(KIND, article("<p>Text.</p>").replace("</article>", reply))
    assert [section.heading for section in document.sections] == ["Abstract", "Reply"]
    assert texts(document)[-2:] == ["Reply", "Dear editor."]
    assert "Else" not in {field.value for field in document.fields}


def test_a_slice_without_its_files_declarations_is_read() -> None:
    content = b"<article><body><p>a&nbsp;b &beta; <ext-link xlink:href='u'>c</ext-link> <mml:math><mml:mi>x</mml:mi>"
    content += b"</mml:math><![CDATA[&nbsp;]]></p></body></article>"
    document = read(KIND, content)
    assert document.text == "a b β c x&nbsp;"
    assert untrue_blocks(content, document) == []


def test_an_article_in_a_namespace_is_read_and_located_by_position() -> None:
    content = b"<article xmlns='http://jats.nlm.nih.gov'><body><sec><title>T</title><p>one</p><p>two</p></sec></body></article>"
    document = read(KIND, content)
    assert document.text == "T\n\none\n\ntwo"
    assert document.blocks[-1].locator.xpath == "/*/*[1]/*[1]/*[3]"
    assert untrue_blocks(content, document) == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1"])
def test_declared_encodings_and_byte_order_marks_are_honoured(encoding: str) -> None:
    declared = encoding.removesuffix("-sig")
    content = f"<?xml version='1.0' encoding='{declared}'?><article><body><p>café</p></body></article>".encode(encoding)
    document = read(KIND, content)
    assert document.text == "café"
    assert untrue_blocks(content, document) == []


def test_a_slice_takes_the_encoding_that_its_file_declared() -> None:
    content = "<article><body><p>café</p></body></article>".encode("iso-8859-1")
    assert read(KIND, content, "application/xml; charset=iso-8859-1").text == "café"
    assert read(KIND, content, "application/xml; charset=no-such").text == "café"
    assert refusal(KIND, content) == "malformed"


def test_entities_are_never_expanded(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    body = "<article><body><p>x&e;</p></body></article>"
    assert refusal(KIND, f'<!DOCTYPE article [<!ENTITY e SYSTEM "{secret.as_uri()}">]>{body}') == "unsupported"
    assert refusal(KIND, f'<!DOCTYPE article [<!ENTITY e "y">]>{body}') == "unsupported"
    laughs = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    bomb = f'<!DOCTYPE article [<!ENTITY e0 "lollollol">{laughs}<!ENTITY e "&e9;">]>{body}'
    assert refusal(KIND, bomb) in ("too-large", "unsupported")
    dtd = f'<!DOCTYPE article [<!ENTITY % p SYSTEM "{secret.as_uri()}"> %p;]><article><body><p>x</p></body></article>'
    assert read(KIND, dtd).text == "x"


def test_depth_length_and_spans_have_limits() -> None:
    assert refusal(KIND, "<article>" + "<sec>" * 100_000) == "too-large"
    assert refusal(KIND, f"<article><body><p>{'word ' * 2_100_000}</p></body></article>") == "too-large"
    deep = "<sec><title>t</title>" * 240
    assert len(read(KIND, article(deep + "<p>x</p>" + "</sec>" * 240)).sections) == 241
    wide = "<td colspan='1000' rowspan='60000'>x</td>" * 2_000
    rows = f"<table-wrap><table><tr>{wide}</tr>{'<tr><td>y</td></tr>' * 2_000}</table></table-wrap>"
    assert sum(len(row) for row in read(KIND, article(rows)).tables[0].rows) < 200_000


def test_unclosed_cdata_a_hundred_thousand_times_takes_no_quadratic_time() -> None:
    assert refusal(KIND, "<article>" + "<![CDATA[" * 100_000) == "truncated"
