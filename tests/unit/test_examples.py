"""The example documents are what they claim to be: true in form, small, unique, and about things that can be joined."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lxml.html
import pytest
import yaml
from lxml import etree

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FILES = sorted(path for path in EXAMPLES.rglob("*") if path.is_file())
LIMIT = 40_000
"""Bytes a file may have."""
WORDS = range(150, 1000)
"""How many words of prose a document may have."""

SAFE_XML = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
JOINED = {
    "D008687": "metformin",
    "D003924": "type 2 diabetes",
    "D009765": "obesity",
    "D006333": "heart failure",
    "D011085": "polycystic ovary syndrome",
    "D001281": "atrial fibrillation",
    "D051436": "chronic kidney disease",
    "D014859": "warfarin",
    "C570240": "empagliflozin",
    "C000591245": "semaglutide",
}


def files(folder: str, pattern: str) -> list[Path]:
    return sorted((EXAMPLES / folder).glob(pattern))


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def records(folder: str, listed_under: str) -> list[dict[str, Any]]:
    """Every record of a folder, whether it has a file of its own or shares one."""
    answers = [read_json(path) for path in files(folder, "*.json")]
    return [record for answer in answers for record in answer.get(listed_under, [answer])]


def studies() -> list[dict[str, Any]]:
    return records("clinicaltrials", "studies")


def works() -> list[dict[str, Any]]:
    return records("openalex", "results")


def labels() -> list[dict[str, Any]]:
    return records("openfda", "results")


def articles() -> list[Any]:
    return [etree.parse(path, SAFE_XML).getroot() for path in files("jats", "*.xml")]


def citations() -> list[Any]:
    roots = [etree.parse(path, SAFE_XML).getroot() for path in files("pubmed", "*.xml")]
    return [record for root in roots for record in root.iter("PubmedArticle")]


def nct(study: dict[str, Any]) -> str:
    return str(study["protocolSection"]["identificationModule"]["nctId"])


def key_paths(value: Any, path: str = "") -> Iterator[str]:
    """Every key of a JSON value with the keys above it; what an inverted index is keyed by is text, not structure."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield f"{path}/{key}"
            if key != "abstract_inverted_index":
                yield from key_paths(inner, f"{path}/{key}")
    elif isinstance(value, list):
        for inner in value:
            yield from key_paths(inner, path)


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from strings(inner)


def markup_names(roots: list[Any]) -> set[str]:
    return {etree.QName(element).localname for root in roots for element in root.iter(etree.Element)}


def texts() -> dict[str, str]:
    """The prose of each document under a name for it."""
    found: dict[str, str] = {}
    for study in studies():
        found[nct(study)] = " ".join(strings(study["protocolSection"]))
    for work in works():
        placed = [(place, word) for word, places in work["abstract_inverted_index"].items() for place in places]
        found[work["id"]] = " ".join(word for _, word in sorted(placed))
    for label in labels():
        found[label["set_id"]] = " ".join(strings({key: label[key] for key in label if key != "openfda"}))
    for article in articles():
        found[article.findtext(".//article-id[@pub-id-type='doi']")] = " ".join(article.itertext())
    for citation in citations():
        found[citation.findtext(".//PMID")] = " ".join(
            text for part in citation.iter("ArticleTitle", "AbstractText") for text in part.itertext()
        )
    for path in files("web", "*.html"):
        found[path.name] = lxml.html.fromstring(path.read_bytes()).text_content()
    for path in files("notes", "*"):
        found[path.name] = path.read_text(encoding="utf-8")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_an_example_file_is_small_clean_utf8(path: Path) -> None:
    content = path.read_bytes()
    assert 0 < len(content) <= LIMIT
    text = content.decode("utf-8")
    assert text.endswith("\n")
    assert not re.search("[\x00\r\ufeff\ufffd]", text)


def test_there_are_about_thirty_documents_in_every_format() -> None:
    counts = [len(found) for found in (studies(), works(), labels(), articles(), citations())]
    pages = [
        len(files(folder, pattern)) for folder, pattern in (("web", "*.html"), ("notes", "*.md"), ("notes", "*.txt"))
    ]
    assert counts == [8, 6, 6, 4, 3]
    assert pages == [2, 3, 2]


def test_each_document_has_substance_and_no_more_than_one_sitting_of_it() -> None:
    sizes = {name: len(text.split()) for name, text in texts().items()}
    assert {name: size for name, size in sizes.items() if size not in WORDS} == {}


def test_studies_have_the_modules_of_the_registry() -> None:
    for study in studies():
        protocol = study["protocolSection"]
        for module in ("identification", "status", "sponsorCollaborators", "description", "conditions", "design"):
            assert f"{module}Module" in protocol, (nct(study), module)
        for module in ("armsInterventions", "outcomes", "eligibility", "contactsLocations"):
            assert f"{module}Module" in protocol, (nct(study), module)
        assert study["derivedSection"]["conditionBrowseModule"]["meshes"]
        assert study["derivedSection"]["interventionBrowseModule"]["meshes"]


def test_arms_and_interventions_of_a_study_name_each_other() -> None:
    for study in studies():
        module = study["protocolSection"]["armsInterventionsModule"]
        kinds = {"DRUG": "Drug", "BEHAVIORAL": "Behavioral"}
        said = {(arm["label"], name) for arm in module["armGroups"] for name in arm["interventionNames"]}
        meant = {
            (label, f"{kinds[given['type']]}: {given['name']}")
            for given in module["interventions"]
            for label in given["armGroupLabels"]
        }
        assert said == meant, nct(study)


def test_one_registry_file_and_one_catalogue_file_are_search_responses() -> None:
    answer = read_json(EXAMPLES / "clinicaltrials" / "search-response.json")
    assert answer.keys() == {"studies", "nextPageToken"}
    answer = read_json(EXAMPLES / "openalex" / "works-search.json")
    assert answer.keys() == {"meta", "results"}
    assert answer["meta"]["count"] == len(answer["results"])


def test_works_have_abstracts_without_gaps_and_consistent_counts() -> None:
    for work in works():
        places = sorted(place for found in work["abstract_inverted_index"].values() for place in found)
        assert places == list(range(len(places)))
        assert work["referenced_works_count"] == len(work["referenced_works"])
        assert work["title"] == work["display_name"]
        assert work["authorships"]
        assert work["publication_date"].startswith(str(work["publication_year"]))


def test_works_refer_to_each_other_and_to_nothing_else() -> None:
    known = {work["id"]: work["publication_date"] for work in works()}
    cited = [(work["id"], other) for work in works() for other in work["referenced_works"]]
    assert cited
    for work, other in cited:
        assert known[other] < known[work]


def test_labels_have_sections_of_prose_and_an_openfda_block() -> None:
    for path in files("openfda", "*.json"):
        answer = read_json(path)
        assert answer["meta"]["results"]["total"] == len(answer["results"])
    for label in labels():
        for section in ("indications_and_usage", "contraindications", "adverse_reactions", "drug_interactions"):
            assert all(isinstance(text, str) and text for text in label[section])
        assert label["set_id"] in label["openfda"]["spl_set_id"]
        for tables in (value for key, value in label.items() if key.endswith("_table")):
            assert all(lxml.html.fragment_fromstring(table).tag == "table" for table in tables)
        for name in ("generic_name", "brand_name", "substance_name", "unii", "rxcui", "manufacturer_name"):
            assert label["openfda"][name]


def test_articles_have_front_body_table_figure_and_references() -> None:
    for article in articles():
        assert article.tag == "article"
        assert article.findtext("front/article-meta/title-group/article-title")
        assert article.find("front/article-meta/abstract") is not None
        for part in (
            "body//sec",
            "body//table-wrap/table/tbody/tr/td",
            "body//fig/caption",
            "back/ref-list/ref//pub-id",
        ):
            assert article.find(part) is not None, part
        assert article.find("body/sec/sec") is not None or article.get("article-type") == "case-report"


def test_every_cross_reference_of_an_article_has_its_target() -> None:
    for article in articles():
        targets = set(article.xpath("//@id"))
        assert set(article.xpath("//xref/@rid")) <= targets
        rows = article.xpath("//table")
        for table in rows:
            assert len({len(row.findall("th") + row.findall("td")) for row in table.iter("tr")}) == 1


def test_citations_have_labelled_abstracts_mesh_and_chemicals() -> None:
    for citation in citations():
        assert all(part.get("Label") for part in citation.iter("AbstractText"))
        assert all(heading.get("UI") for heading in citation.iter("DescriptorName"))
        assert all(chemical.get("UI") for chemical in citation.iter("NameOfSubstance"))
        assert citation.findtext("MedlineCitation/PMID") == citation.findtext(".//ArticleId[@IdType='pubmed']")


def test_pages_have_boilerplate_around_one_main_part() -> None:
    for path in files("web", "*.html"):
        page = lxml.html.fromstring(path.read_bytes())
        (main,) = page.xpath("//main")
        assert main.xpath(".//h1")
        assert main.xpath(".//h2")
        assert main.xpath(".//table//td")
        assert main.xpath(".//ul/li")
        assert page.xpath("//nav")
        assert page.xpath("//footer")


def test_notes_have_front_matter() -> None:
    for path in files("notes", "*.md"):
        head = path.read_text(encoding="utf-8").split("---\n")[1]
        front = yaml.safe_load(head)
        assert front.keys() == {"title", "date", "authors", "keywords"}


def identifiers() -> list[str]:
    found = [nct(study) for study in studies()]
    found += [name for work in works() for name in (work["id"], work["doi"].removeprefix("https://doi.org/"))]
    found += [name for label in labels() for name in (label["set_id"], label["id"])]
    for article in articles():
        found += [each.text for each in article.iterfind("front/article-meta/article-id")]
    for citation in citations():
        found += [each.text for each in citation.iterfind("PubmedData/ArticleIdList/ArticleId")]
    return found


def test_no_two_documents_state_the_same_identifier() -> None:
    assert [name for name, count in Counter(identifiers()).items() if count > 1] == []


def test_identifiers_of_records_come_from_ranges_that_nobody_uses() -> None:
    invented = re.compile(
        r"NCT9\d{7}|https://openalex\.org/W99\d{8}|10\.5555/[a-z.]+\d+|9000\d{4}|9900\d{4}"
        r"|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    )
    assert [name for name in identifiers() if not invented.fullmatch(name)] == []


def test_every_study_doi_and_pmid_that_is_mentioned_exists_here() -> None:
    known = set(identifiers())
    everything = " ".join(path.read_text(encoding="utf-8") for path in FILES if path.name != "README.md")
    mentioned = set(re.findall(r"NCT\d{8}|\b9000\d{4}\b|10\.5555/[a-z.]+\d+", everything))
    assert mentioned - known == set()
    assert {nct(study) for study in studies()} <= mentioned


def test_orcids_and_rors_have_valid_check_digits() -> None:
    everything = " ".join(path.read_text(encoding="utf-8") for path in FILES)
    orcids = set(re.findall(r"orcid\.org/([\dX-]{19})", everything))
    rors = set(re.findall(r"ror\.org/0(\w{6})(\d\d)", everything))
    assert orcids
    assert rors
    for orcid in orcids:
        total = 0
        for digit in orcid.replace("-", "")[:-1]:
            total = (total + int(digit)) * 2
        assert "0123456789X"[(12 - total % 11) % 11] == orcid[-1], orcid
    for name, check in rors:
        value = 0
        for letter in name:
            value = value * 32 + "0123456789abcdefghjkmnpqrstvwxyz".index(letter)
        assert 98 - value * 100 % 97 == int(check), name


def test_a_vocabulary_code_always_goes_with_the_same_name() -> None:
    names: dict[str, set[str]] = defaultdict(set)
    for study in studies():
        for module in ("conditionBrowseModule", "interventionBrowseModule"):
            for kind in ("meshes", "ancestors"):
                for mesh in study["derivedSection"][module].get(kind, []):
                    names[mesh["id"]].add(mesh["term"])
    for work in works():
        for mesh in work["mesh"]:
            names[mesh["descriptor_ui"]].add(mesh["descriptor_name"])
        for concept in work["concepts"]:
            names[concept["id"]].add(concept["display_name"])
    for citation in citations():
        for each in citation.iter("DescriptorName", "NameOfSubstance", "QualifierName"):
            names[each.get("UI")].add(each.text)
    assert {code: found for code, found in names.items() if len(found) > 1} == {}


def test_the_main_drugs_and_diseases_meet_in_several_sources() -> None:
    sources = {
        "clinicaltrials": " ".join(text for study in studies() for text in strings(study["derivedSection"])),
        "openalex": " ".join(text for work in works() for text in strings(work["mesh"])),
        "pubmed": " ".join(each.get("UI") for citation in citations() for each in citation.iter() if each.get("UI")),
    }
    for code, name in JOINED.items():
        assert sum(code in text for text in sources.values()) >= 2, name
    registered = {each.text for citation in citations() for each in citation.iter("RegistryNumber")}
    labelled = {code for label in labels() for code in label["openfda"]["unii"]}
    assert {"HDC1R2M35U", "53AXN4NNHX", "3Z9Y7UWC1J"} <= registered & labelled


def test_every_note_and_page_names_a_drug_and_a_disease_of_the_others() -> None:
    names = {"Drug": r"metformin|semaglutide|empagliflozin|liraglutide|apixaban|warfarin|atorvastatin"}
    names["Disease"] = (
        r"diabetes|obesity|heart failure|polycystic ovary syndrome|atrial fibrillation|kidney disease|stroke"
    )
    for name, text in texts().items():
        for kind, pattern in names.items():
            assert re.search(pattern, text, re.I), (name, kind)


def real_studies(data: Path) -> list[Any]:
    answers = [read_json(path) for path in sorted((data / "ctgov").glob("*.json"))]
    listed = [answer if isinstance(answer, list) else answer.get("studies", [answer]) for answer in answers]
    return [study for found in listed for study in found if "protocolSection" in study]


def test_studies_have_no_key_that_real_ones_never_have(data: Path) -> None:
    assert set(key_paths(studies())) - set(key_paths(real_studies(data))) == set()


def test_works_have_no_key_that_real_ones_never_have(data: Path) -> None:
    answers = [read_json(path) for path in sorted((data / "openalex").glob("*.json"))]
    real = [work for answer in answers for work in answer.get("results", [answer])]
    assert set(key_paths(works())) - set(key_paths(real)) == set()
    search = read_json(EXAMPLES / "openalex" / "works-search.json")
    assert search["meta"].keys() <= {key for answer in answers for key in answer.get("meta", {})}


def test_labels_have_no_key_that_openfda_does_not_define(data: Path) -> None:
    schema = read_json(data / "openfda" / "druglabel_schema.json")["properties"]
    real = [
        label for name in ("aspirin", "vyvanse") for label in read_json(data / f"openfda/label_{name}.json")["results"]
    ]
    defined = {f"/{key}" for key in schema} | {f"/openfda/{key}" for key in schema["openfda"]["properties"]}
    assert set(key_paths(labels())) - defined - set(key_paths(real)) == set()


def test_articles_and_citations_have_no_element_that_real_ones_never_have(data: Path) -> None:
    source = data / "jats_pubmed"
    real = [*source.glob("jats/*"), *source.glob("pmc_oa/*.xml"), *source.glob("pubmed/*.xml")]
    known = markup_names([etree.parse(path, SAFE_XML).getroot() for path in real])
    assert markup_names([*articles(), *citations()]) - known == set()
