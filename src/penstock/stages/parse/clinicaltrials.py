"""ClinicalTrials.gov studies, API v2 (https://clinicaltrials.gov/data-api/about-api/study-data-structure)."""

from __future__ import annotations

import re

from penstock.errors import BadInput
from penstock.ir import Document, Identifier, RawPayload, StageContext
from penstock.stages.parse.builder import DocumentBuilder
from penstock.stages.parse.clinicaltrials_results import write_results
from penstock.stages.parse.jsonnode import Node, Writer, identified

VERSION = "1"

_CRITERIA = re.compile(r"[\s*#]*(?:key |main |major )?(?:inclusion|exclusion)(?: criteria)?\s*:?[\s*]*", re.IGNORECASE)
_DATE = re.compile(r"\d{4}(?:-\d{2}(?:-\d{2})?)?")
_DATES = (
    ("published", ("studyFirstPostDateStruct", "date")),
    ("updated", ("lastUpdatePostDateStruct", "date")),
    ("start", ("startDateStruct", "date")),
    ("primary-completion", ("primaryCompletionDateStruct", "date")),
    ("completion", ("completionDateStruct", "date")),
    ("results", ("resultsFirstPostDateStruct", "date")),
)
_OUTCOMES = (
    ("Primary outcomes", "primaryOutcomes", "primary"),
    ("Secondary outcomes", "secondaryOutcomes", "secondary"),
    ("Other outcomes", "otherOutcomes", "other"),
)
_LAST_SHORT_MESH = 66_400
"""MeSH numbers from about here on have nine digits; the registry pads the older, six-digit ones to nine as well."""


def parse(ctx: StageContext, payload: RawPayload) -> Document:
    """A study: what was planned, who may take part, and its results where there are some.

    Raises BadInput: malformed or truncated JSON, `schema` where the study is not built as API v2 builds it.
    """
    study = Node.root(payload.content)
    protocol = study["protocolSection"]
    if not isinstance(protocol.value, dict):
        raise BadInput("/protocolSection is missing: no study of API v2", reason="schema")
    out = DocumentBuilder(ctx, payload, parser="clinicaltrials", version=VERSION)
    out.language = "en"
    write = Writer(out)
    _identification(write, protocol)
    _descriptions(write, protocol)
    _arms(write, protocol["armsInterventionsModule"])
    _outcomes(write, protocol["outcomesModule"])
    _eligibility(write, protocol["eligibilityModule"])
    _sharing(write, protocol["ipdSharingStatementModule"])
    write_results(write, study["resultsSection"])
    _fields(write, protocol)
    _places_and_people(write, protocol["contactsLocationsModule"])
    _references(write, protocol["referencesModule"])
    for about in ("condition", "intervention"):
        for mesh in study.at("derivedSection", f"{about}BrowseModule", "meshes"):
            write.field("mesh", mesh["term"], _mesh(mesh["id"]), about=about)
    return out.build()


def _identification(write: Writer, protocol: Node) -> None:
    module = protocol["identificationModule"]
    write.title(module["briefTitle"], module["officialTitle"], module["acronym"])
    if module["officialTitle"].text != write.out.title:
        write.line(module["officialTitle"])
    write.out.identifier("nct", module["nctId"].text)
    for alias in module["nctIdAliases"]:
        write.out.identifier("nct", alias.text)
    write.out.identifier("org-study-id", module.at("orgStudyIdInfo", "id").text)
    for other in module["secondaryIdInfos"]:
        scheme = {"EUDRACT_NUMBER": "eudract", "CTIS": "ctis"}.get(other["type"].text, "secondary-study-id")
        write.out.identifier(scheme, other["id"].text)
    status = protocol["statusModule"]
    for kind, path in _DATES:
        date = status.at(*path).text
        if _DATE.fullmatch(date):
            write.out.date(kind, date)


def _descriptions(write: Writer, protocol: Node) -> None:
    description, design = protocol["descriptionModule"], protocol["designModule"]
    conditions = protocol["conditionsModule"]
    write.out.section("Brief summary", 1)
    write.prose(description["briefSummary"])
    write.out.section("Detailed description", 1)
    write.prose(description["detailedDescription"])
    write.out.section("Conditions", 1)
    write.lines(conditions["conditions"])
    write.out.section("Keywords", 1)
    write.lines(conditions["keywords"])
    write.out.section("Design", 1)
    write.prose(design.at("designInfo", "interventionModelDescription"))
    write.prose(design.at("designInfo", "maskingInfo", "maskingDescription"))
    write.prose(design.at("bioSpec", "description"))


def _arms(write: Writer, module: Node) -> None:
    write.out.section("Arms", 1)
    for arm in module["armGroups"]:
        write.heading(arm["label"], 2)
        write.prose(arm["description"], level=3)
        write.field("arm", arm["label"], type=arm["type"].text)
    write.out.section("Interventions", 1)
    for intervention in module["interventions"]:
        kind = intervention["type"].text
        write.heading(intervention["name"], 2)
        write.prose(intervention["description"], level=3)
        write.lines(intervention["otherNames"])
        write.field("intervention", intervention["name"], type=kind)


def _outcomes(write: Writer, module: Node) -> None:
    for heading, key, rank in _OUTCOMES:
        write.out.section(heading, 1)
        for outcome in module[key]:
            write.line(outcome["measure"])
            write.prose(outcome["description"])
            write.line(outcome["timeFrame"])
            write.field("outcome", outcome["measure"], rank=rank, time_frame=outcome["timeFrame"].text)


def _eligibility(write: Writer, module: Node) -> None:
    write.out.section("Eligibility", 1)
    write.prose(module["studyPopulation"])
    write.prose(module["eligibilityCriteria"], headings=_CRITERIA)
    write.prose(module["genderDescription"])
    write.field(
        "eligibility",
        module["eligibilityCriteria"],
        sex=module["sex"].text,
        minimum_age=module["minimumAge"].text,
        maximum_age=module["maximumAge"].text,
    )


def _sharing(write: Writer, module: Node) -> None:
    write.out.section("Data sharing", 1)
    for key in ("description", "timeFrame", "accessCriteria"):
        write.prose(module[key])


def _fields(write: Writer, protocol: Node) -> None:
    sponsors, design = protocol["sponsorCollaboratorsModule"], protocol["designModule"]
    for condition in protocol.at("conditionsModule", "conditions"):
        write.field("condition", condition)
    for keyword in protocol.at("conditionsModule", "keywords"):
        write.field("keyword", keyword)
    lead = sponsors["leadSponsor"]
    write.field("sponsor", lead["name"], **{"class": lead["class"].text})
    for collaborator in sponsors["collaborators"]:
        write.field("collaborator", collaborator["name"], **{"class": collaborator["class"].text})
    for phase in design["phases"]:
        write.field("phase", phase)
    write.field("status", protocol.at("statusModule", "overallStatus"))
    write.field("study_type", design["studyType"])
    enrollment = design["enrollmentInfo"]
    write.field("enrollment", enrollment["count"], type=enrollment["type"].text)


def _places_and_people(write: Writer, module: Node) -> None:
    seen: set[str] = set()
    for location in module["locations"]:
        country = location["country"]
        if country.text not in seen:
            seen.add(country.text)
            write.field("country", country)
    for official in module["overallOfficials"]:
        write.field("author", official["name"], position=official["role"].text)
        write.field("affiliation", official["affiliation"])


def _references(write: Writer, module: Node) -> None:
    for reference in module["references"]:
        citation = reference["citation"]
        pmid = identified("pmid", reference["pmid"], r"(\d{1,9})")
        write.out.reference(citation.text, [pmid] if pmid else [], write.locator(reference))
        write.field(
            "cites", citation if citation.text.strip() else reference["pmid"], pmid, type=reference["type"].text
        )
    for link in module["seeAlsoLinks"]:
        text = " ".join(part for part in (link["label"].text, link["url"].text) if part)
        write.out.reference(text, locator=write.locator(link))


def _mesh(node: Node) -> Identifier | None:
    found = re.fullmatch(r"D0*(\d+)", node.text)
    if found is None:
        return None
    number = int(found.group(1))
    return Identifier(scheme="mesh", value=f"D{number:06d}" if number < _LAST_SHORT_MESH else node.text)
