"""What one record is, and which identifier it states; told from the record's own bytes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import unescape
from typing import Any

from penstock.errors import BadInput
from penstock.sources.jsontext import load_json


@dataclass(frozen=True, slots=True)
class Identity:
    """`source_id` "" where the record states none; `note` why the kind is a fault."""

    kind: str
    source_id: str = ""
    note: str = ""


NO_RECORDS = Identity("no-records")
"""An answer of an API that is in order and lists nothing."""

_NCT = re.compile(r"NCT\d{8}")
_OPENALEX = re.compile(r"(?:https?://(?:api\.)?openalex\.org/(?:works/)?)?(W\d{1,15})", re.IGNORECASE)
_DOI = re.compile(r"(?:https?://(?:dx\.)?doi\.org/|doi:)?(10\.\d{4,9}/\S{1,200})", re.IGNORECASE)
_PMCID = re.compile(r"(?:PMC)?(\d{1,9})", re.IGNORECASE)
_CORE_ID = re.compile(r"\d{1,15}")
_SET_ID = re.compile(r"[\w.-]{1,64}")
_PMID = re.compile(rb"<PMID\b[^>]*>\s*(\d{1,9})\s*</PMID>")
_ARTICLE_ID = re.compile(
    rb"""<article-id\b[^>]*\bpub-id-type\s*=\s*["']([\w-]+)["'][^>]*>\s*([^<]*?)\s*</article-id>"""
)
_LABEL_KEYS = ("spl_product_data_elements", "indications_and_usage", "package_label_principal_display_panel")
_LISTS = ("results", "studies", "group_by")
_ENVELOPE = {*_LISTS, "meta", "totalCount", "nextPageToken"}
"""All that an answer of ClinicalTrials.gov or OpenAlex has that lists nothing."""


def identify_json(content: bytes) -> Identity:
    """A JSON value's kind and stated identifier; a fault when it can't be read."""
    try:
        value = load_json(content)
    except BadInput as error:
        return Identity(error.reason, note=error.message)
    return _object(value) if isinstance(value, dict) else Identity("json")


def _object(value: Mapping[str, Any]) -> Identity:
    if "protocolSection" in value:
        return Identity(
            "clinicaltrials-study", _matching(_NCT, _at(value, "protocolSection", "identificationModule", "nctId"))
        )
    if (
        "FullStudiesResponse" in value
        or "ProtocolSection" in value
        or _at(value, "Study", "ProtocolSection") is not None
    ):
        return Identity("clinicaltrials-legacy")
    if value.keys() >= {"doi", "oa_locations", "best_oa_location"}:
        return Identity("unpaywall-record", stated_doi(value["doi"]))
    if value.keys() >= {"id", "downloadUrl", "dataProviders"}:
        return Identity("core-work", _matching(_CORE_ID, str(value["id"])))
    if value.keys() >= {"pmcid", "version", "is_pmc_openaccess"}:
        return Identity("pmc-record", stated_pmcid(value["pmcid"]))
    if "$schema" in value:
        return Identity("json-schema")
    if value.keys() >= {"abstract_inverted_index"} or value.keys() >= {"open_access", "doi"}:
        return Identity("openalex-work", _openalex(value))
    if isinstance(value.get("id"), str) and "openalex.org/" in value["id"]:
        work = _matching(_OPENALEX, value["id"])
        return Identity("openalex-work", work) if work else Identity("openalex-entity")
    if isinstance(value.get("error"), str | dict):
        return Identity("api-error")
    if any(key in value for key in _LISTS):
        if value.get("group_by"):
            return Identity("openalex-groups")
        if value.keys() <= _ENVELOPE and all(value.get(key, []) == [] for key in _LISTS):
            return NO_RECORDS
    return _openfda(value)


def _openfda(value: Mapping[str, Any]) -> Identity:
    if "safetyreportid" in value or ("patient" in value and "@case_number" in value):
        return Identity("openfda-drug-event")
    if "sponsor_name" in value and "application_number" in value:
        return Identity("openfda-drugsfda")
    if "recall_number" in value:
        return Identity("openfda-enforcement")
    if "product_ndc" in value and "labeler_name" in value:
        return Identity("openfda-drug-ndc")
    if "set_id" in value or any(isinstance(value.get(key), list) for key in _LABEL_KEYS):
        return Identity("openfda-drug-label", _matching(_SET_ID, value.get("set_id")).lower())
    return Identity("json")


def _openalex(value: Mapping[str, Any]) -> str:
    return _matching(_OPENALEX, value.get("id")) or stated_doi(value.get("doi"))


def stated_doi(value: object) -> str:
    """The DOI that a text is, in small letters and without an address; "" when it is none."""
    return _matching(_DOI, value).lower()


def stated_pmcid(value: object) -> str:
    """PMC and the number that a text is, with or without PMC; "" when it is none."""
    number = _matching(_PMCID, value)
    return f"PMC{number}" if number else ""


def identify_xml(content: bytes, kind: str) -> Identity:
    """The identifier that a JATS article (its PMCID, else DOI) or a PubMed record (its PMID) states."""
    if kind == "pubmed-article":
        found = _PMID.search(content)
        return Identity(kind, found.group(1).decode() if found else "")
    if kind != "jats-article":
        return Identity(kind)
    end = content.find(b"</article-meta>")
    stated: dict[str, str] = {}
    for scheme, value in _ARTICLE_ID.findall(content, 0, end if end >= 0 else len(content)):
        stated.setdefault(scheme.decode().lower(), unescape(value.decode("utf-8", "replace")))
    pmc = (stated.get("pmcid") or stated.get("pmc") or "").upper().removeprefix("PMC")
    if pmc.isdigit():
        return Identity(kind, f"PMC{pmc}")
    return Identity(kind, stated_doi(stated.get("doi")))


def _at(value: object, *steps: str) -> object:
    for step in steps:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _matching(pattern: re.Pattern[str], value: object) -> str:
    """The identifier in `value` without its prefix, or ""."""
    found = pattern.fullmatch(value.strip()) if isinstance(value, str) else None
    return found.group(found.lastindex or 0) if found else ""
