"""What names, kinds and descriptors tell by themselves."""

from __future__ import annotations

import re

from penstock.ir import Document, Field, Identifier

_TYPE_OF_KIND = {
    "clinicaltrials-study": "Study",
    "openalex-work": "Publication",
    "jats-article": "Publication",
    "pubmed-article": "Publication",
    "openfda-drug-label": "Label",
}
SCHEMES = {
    "Study": frozenset({"nct", "eudract", "ctis", "isrctn"}),
    "Publication": frozenset({"doi", "pmid", "pmcid", "openalex"}),
    "Label": frozenset({"spl-set-id"}),
    "Page": frozenset({"url"}),
}
DRUG_TYPES = frozenset({"drug", "biological", "combination_product", "dietary_supplement"})

# Qualifiers that MeSH allows only with diseases, and only with chemicals and drugs.
_OF_CONDITIONS = frozenset(
    {"complications", "diagnosis", "drug therapy", "epidemiology", "etiology", "prevention & control"}
)
_OF_DRUGS = frozenset({"administration & dosage", "pharmacokinetics", "pharmacology", "therapeutic use"})

# The end of a drug's name that names a salt, and what is no drug when the salt is taken away (potassium chloride).
_SALT = re.compile(
    r"( (acetate|besylate|bromide|calcium|chloride|citrate|fumarate|hydrobromide|hydrochloride|magnesium|maleate"
    r"|mesylate|nitrate|phosphate|potassium|sodium|succinate|sulfate|tartrate|tosylate))+$",
    re.I,
)
_NO_DRUG = re.compile(
    r"(alumini?um|ammonium|calcium|ferric|ferrous|iron|lithium|magnesium|potassium|sodium|zinc)\b", re.I
)

_HEADINGS = (
    "INDICATIONS AND USAGE",
    "INDICATIONS & USAGE",
    "INDICATIONS",
    "CONTRAINDICATIONS",
    "WARNINGS AND PRECAUTIONS",
    "WARNINGS",
    "PRECAUTIONS",
    "ADVERSE REACTIONS",
    "DRUG INTERACTIONS",
    "BOXED WARNING",
)


def document_type(document: Document) -> str:
    """By kind; a page or file that states a publication's identifier is that publication."""
    known = _TYPE_OF_KIND.get(document.kind)
    if known is not None:
        return known
    stated = {one.scheme for one in document.identifiers}
    return "Publication" if stated & {"doi", "pmid", "pmcid"} else "Page"


def descriptor_type(field: Field, qualifiers: set[str]) -> str:
    """What a MeSH descriptor is, as far as its document shows: by `about`, else by the qualifiers it bears there."""
    about = {"condition": "Condition", "intervention": "Drug"}.get(field.attributes.get("about", ""))
    if about is not None:
        return about
    if qualifiers & _OF_CONDITIONS:
        return "Condition"
    return "Drug" if qualifiers & _OF_DRUGS else "Concept"


def base_of(name: str) -> str | None:
    """The drug of which `name` is a salt: `metformin` for `Metformin Hydrochloride`; None when it names no salt."""
    name = " ".join(name.split())
    base = _SALT.sub("", name)
    several = re.search(r"\band\b|[,;/]", base)
    return None if base == name or several or _NO_DRUG.match(base) else base


def heading_length(sentence: str) -> int:
    """How many characters a printed heading such as `1 INDICATIONS AND USAGE` takes at a sentence's start."""
    rest = sentence.lstrip("0123456789. ")
    for heading in _HEADINGS:
        if rest.startswith(heading) and not rest[len(heading) : len(heading) + 1].isalnum():
            return len(sentence) - len(rest[len(heading) :].lstrip(" :.-"))
    return 0


def spoken(identifiers: tuple[Identifier, ...]) -> str:
    """The first identifier as `scheme:value`, or nothing."""
    return f"{identifiers[0].scheme}:{identifiers[0].value}" if identifiers else ""
