"""The CPU engine on real PDFs: each of them, words against pdfminer.six's, and the order that the eye reads in."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from pathlib import Path

import pytest
from lxml import etree
from pdfminer.high_level import extract_text

from penstock.errors import BadInput
from penstock.workers.engines.cpu import CpuEngine, CpuOptions
from penstock.workers.parsed import Parsed

REFUSED = {
    "encrypted": ["pdfminer_aes-128", "pdfminer_rc4-40", "pypdf_libreoffice-writer-password", "unstructured_password"],
    "corrupt": ["ocrmypdf_invalid"],
    "no-text-layer": [
        *["docling_ocr_test", "docling_ocr_test_rotated_180", "docling_ocr_test_rotated_90"],
        *["markitdown_medical_report_scan", "mineru_small_ocr", "ocrmypdf_acroform", "ocrmypdf_cardinal"],
        *["ocrmypdf_ccitt", "ocrmypdf_enormous", "ocrmypdf_francais", "ocrmypdf_jbig2", "ocrmypdf_linn"],
        *["ocrmypdf_rotated_skew", "ocrmypdf_skew"],
    ],
}
PAPERS = [
    "acl_N18-3011",
    pytest.param("arxiv_1994_bitmap_fonts", marks=pytest.mark.full),  # pdfminer takes nine seconds of CPU for it
    "bmc_dvt_review",
    "chemrxiv_explanations",
    "cup_psychogeriatrics",
    "hindawi_heart_failure",
    "phoenix_phytochem",
    "pmlr_sepsis",
]
KEPT = 0.98
FUSED = 8.0
"""Letters of a word on average: where pdfminer finds longer ones (the ACL's), it has found few of the blanks."""

GOES_ON = {
    # the foot of the left column, the head of the right one
    ("sci_bmc_dvt_review", 2): ("for permanent filtration if necessary. The", "versatility of the retrievable filter"),
    ("sci_cup_psychogeriatrics", 4): ("cardiovascular), stroke, high", "blood pressure, or diabetes mellitus."),
    ("sci_cup_psychogeriatrics", 5): ("(57%) were classified with", "AD. Mean follow-up time"),
    ("sci_phoenix_phytochem", 3): ("confirmed the β (beta)", "orientation of the C-3"),
    ("sci_bmc_dvt_review", 1): ("with low molecular", "weight heparins (LMWHs)"),
    ("sci_cup_psychogeriatrics", 1): ("onset of dementia and approaches", "that promote continued"),
    # with notes, tables or figures between
    ("sci_acl_N18-3011", 3): ("one fully-connected layer and then", "fed into a two-layer"),
    ("sci_acl_N18-3011", 1.5): ("(e.g., Lample et al.,", "2016), and assume that entity types"),
    ("sci_cup_psychogeriatrics", 5.5): ("association was observed between", "the total number of life events"),
    ("sci_pmlr_sepsis", 2): ("17 hours after the model would", "have detected sepsis"),
    ("sci_pmlr_sepsis", 7.5): ("control encounter to be at the same fraction", "of its length of stay"),
    ("pypdf_multicolumn", 2): ("ipsum primis in faucibus orci", "luctus et ultrices posuere"),
    # the foot of a page, the head of the next
    ("sci_cup_psychogeriatrics", 4.5): ("hazards assumption was examined", "using graphical methods"),
    ("sci_acl_N18-3011", 4.5): ("entity type (e.g., protein,", "drug, chemical, disease)"),
    ("pypdf_multicolumn", 1.5): ("egestas wisi eget nunc. Nam feugiat", "lacus vel est."),
}
"""(PDF, page, or between which two): what is read one after the other."""

IN_ORDER = {
    ("sci_bmc_dvt_review", 1): [
        "Complications related to deep venous thrombosis",
        "Indraneel Datta",
        "Abstract",
        "they must be appropriately utilized.",
        "Introduction",
        "Modalities available for trauma patient",
        "weight heparins (LMWHs) as the primary",
        "* Correspondence",
        "Methods",
        "This review included all",
    ],
    ("sci_hindawi_heart_failure", 3): ["You got a real feeling", "5. Maintenance", "6. Improvements", "7. GP Services"],
    ("sci_hindawi_heart_failure", 1): [
        "Patient Experiences of Structured",
        "Nuala E. Tully",
        "1. Introduction",
        "reluctance to use the term [3].",
        "Heart failure places significant burden",
    ],
    ("sci_acl_N18-3011", 4): [
        "4 Entity Extraction and Linking",
        "4.1 Approaches",
        "entities to the KB",
        "We also experimented with a “pure”",
        "Off-the-shelf 97.4",
        "Table 2:",
        "We evaluate the performance",
        "4.2 Entity Extraction Models",
    ],
    ("sci_cup_psychogeriatrics", 4): [
        "Participants who developed",
        "Figure 1. Flow chart",
        "yes or no), (ii)",
        "Potential confounders",
        "Statistical analysis",
    ],
    ("sci_cup_psychogeriatrics", 5): [
        "using graphical methods",
        "AD. Mean follow-up",
        "Table 2. Cox",
        "Note: aAdjusted",
    ],
    ("sci_phoenix_phytochem", 1): ["ABSTRACT", "INTRODUCTION", "dione and vitexin", "Correspondence to:", "MATERIALS"],
    ("docling_2305.03393v1-pg9", 1): [
        "5.1 Hyper Parameter Optimization",
        "Table 1. HPO performed",
        "OTSL\t0.965\t0.934",
        "5.2 Quantitative Results",
        "Additionally, the results show",
    ],
    ("unstructured_layout-parser-paper-with-table", 1): [
        "Table 1: Current layout detection models",
        "HJDataset [31]",
        "For each dataset",
        "layout data structures, which",
        "3.1 Layout Detection Models",
        "import layoutparser as lp",
        "provides a wealth of pre-trained",
    ],
    ("docling_table_mislabeled_as_picture", 1): [
        "They work in parallel",
        "23.",
        "25.",
        "26.",
        "27.",
        "28.",
        "The elderly",
    ],
}


def parse(path: Path) -> Parsed:
    return CpuEngine(CpuOptions()).parse(path, lambda _done, _all: None)


def words(text: str) -> Counter[str]:
    """Of two letters and more, small, ligatures and words parted by hyphens made whole."""
    whole = re.sub(r"(?<=\w)[-\u00ad\u2010\u2011]\s*(?=\w)", "", unicodedata.normalize("NFKC", text).lower())
    return Counter(re.findall(r"[^\W\d_]{2,}", re.sub(r"\(cid:\d+\)", "", whole)))


def without_running_heads(text: str) -> str:
    """Without the lines that several pages have, numbers aside."""
    pages = [{re.sub(r"\d+", "0", line.strip()) for line in page.split("\n")} for page in text.split("\f")]
    seen = Counter(line for page in pages for line in page)
    return "\n".join(line for line in re.split(r"[\n\f]", text) if seen[re.sub(r"\d+", "0", line.strip())] < 2)


def test_every_file_is_read_or_refused_for_what_is_wrong_with_it(data: Path) -> None:
    expected = {name: reason for reason, names in REFUSED.items() for name in names}
    for path in sorted(data.glob("pdf/*.pdf")):
        try:
            reason = None if parse(path).pages else "nothing"
        except BadInput as error:
            reason = error.reason
        assert (path.stem, reason) == (path.stem, expected.get(path.stem))


@pytest.mark.parametrize("paper", PAPERS)
def test_the_words_of_a_paper_are_those_that_pdfminer_finds(data: Path, paper: str) -> None:
    path = data / f"pdf/sci_{paper}.pdf"
    theirs = words(without_running_heads(extract_text(path)))
    text = "\n".join(f"{element.caption}\n{element.text}" for element in parse(path).elements)
    missing = theirs - words(text)
    if sum(map(len, theirs.elements())) > FUSED * sum(theirs.values()):
        letters = re.sub(r"[\W\d_]", "", unicodedata.normalize("NFKC", text).lower())
        missing = Counter({word: count for word, count in missing.items() if len(word) < 5 or word not in letters})
    assert sum(missing.values()) <= (1 - KEPT) * sum(theirs.values()), missing.most_common(20)


def test_the_words_of_a_paper_are_those_of_its_tei(data: Path) -> None:
    """GROBID's, whose blanks are right where pdfminer finds none."""
    tei = etree.parse(next(data.glob("parsed/**/N18-3011.tei.xml")))
    paragraphs = tei.xpath("//tei:text//tei:p", namespaces={"tei": "http://www.tei-c.org/ns/1.0"})
    theirs = words("\n".join("".join(paragraph.itertext()) for paragraph in paragraphs))
    missing = theirs - words("\n".join(element.text for element in parse(data / "pdf/sci_acl_N18-3011.pdf").elements))
    assert sum(theirs.values()) > 3000
    assert sum(missing.values()) <= (1 - KEPT) * sum(theirs.values()), missing.most_common(20)


@pytest.mark.parametrize(("name", "page"), GOES_ON)
def test_a_sentence_goes_on_in_the_next_column_or_page(data: Path, name: str, page: float) -> None:
    end, start = GOES_ON[name, page]
    elements = parse(data / f"pdf/{name}.pdf").elements
    place = next(n for n, element in enumerate(elements) if element.text.startswith(start))
    assert elements[place - 1].text.endswith(end)
    assert elements[place].continues


@pytest.mark.parametrize(("name", "page"), IN_ORDER)
def test_a_page_is_read_in_the_order_that_the_eye_does(data: Path, name: str, page: int) -> None:
    elements = [element for element in parse(data / f"pdf/{name}.pdf").elements if element.page == page]
    text = "\n".join(f"{element.caption}\n{element.text}" for element in elements)
    places = [text.find(anchor) for anchor in IN_ORDER[name, page]]
    assert -1 not in places
    assert places == sorted(places)


def test_what_runs_from_right_to_left_is_in_logical_order(data: Path) -> None:
    heading, *paragraphs = parse(data / "pdf/docling_right_to_left_01.pdf").elements
    assert heading.kind == "heading"
    assert heading.text.startswith("تحسين الإنتاجية وحل المشكلات")
    assert len(paragraphs) == 4
    assert paragraphs[0].text.startswith("تعتبر البرمجة بلغة")


def test_headings_of_a_first_page(data: Path) -> None:
    headings = {
        "sci_acl_N18-3011": ["Abstract", "1 Introduction"],
        "sci_chemrxiv_explanations": ["Abstract"],
        "sci_cup_psychogeriatrics": ["ABSTRACT", "Introduction"],
        "sci_pmlr_sepsis": ["Abstract", "1. Introduction"],
    }
    for name, expected in headings.items():
        elements = parse(data / f"pdf/{name}.pdf").elements
        found = [element.text for element in elements if element.page == 1 and element.kind == "heading"]
        assert (name, found) == (name, expected)


def test_titles_are_found(data: Path) -> None:
    titles = {
        "sci_acl_N18-3011": "Construction of the Literature Graph in Semantic Scholar",
        "sci_hindawi_heart_failure": "Patient Experiences of Structured Heart Failure Programmes",
        "sci_pmlr_sepsis": "An Improved Multi-Output Gaussian Process RNN with Real-Time Validation for Early Sepsis "
        "Detection",
        "unstructured_layout-parser-paper-fast": "LayoutParser: A Unified Toolkit for Deep Learning Based Document "
        "Image Analysis",
    }
    assert {name: parse(data / f"pdf/{name}.pdf").title for name in titles} == titles
