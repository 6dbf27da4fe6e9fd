"""The rules: which field of which kind of document says what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import islice, product

from pydantic import BaseModel, ConfigDict
from pydantic import Field as Option

from penstock.ir import Evidence, Field, Identifier, Knowledge, Locator, StageContext
from penstock.stages.contracts import Extractable
from penstock.stages.extract.gather import Gathering
from penstock.stages.extract.naming import (
    DRUG_TYPES,
    SCHEMES,
    descriptor_type,
    document_type,
    heading_length,
    spoken,
)
from penstock.stages.extract.quoting import MAX_QUOTE, Quotes
from penstock.stages.extract.subject import document_entity

_LABEL_PROSE = {
    "indication": "indicated_for",
    "contraindication": "contraindicated_in",
    "warning": "has_warning",
    "adverse_reaction": "has_adverse_reaction",
    "interaction": "has_interaction",
}


class StructuredExtractor:
    """Entities and claims from a document's fields, references and identifiers, in the package's vocabulary."""

    name = "structured"
    version = "1"
    contract = "ExtractStage"
    needs: tuple[str, ...] = ()

    class Options(BaseModel):
        """`limit`: how many values of one field are taken, and how many drug-condition pairs of a study.
        `min_score`: a catalogue's concepts with a lower score are left out. `sentences`: of each label section."""

        model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

        limit: int = Option(default=500, ge=1)
        min_score: float = Option(default=0.3, ge=0)
        sentences: int = Option(default=3, ge=1, le=50)

    def __init__(self, options: Options) -> None:
        self._options = options

    def execute(self, ctx: StageContext, item: Extractable) -> Knowledge:
        reading = _Reading(item, self._options)
        reading.study()
        reading.label()
        reading.topics()
        reading.people()
        reading.citations()
        return reading.gathering.knowledge(self.name, self.version)


class _Reading:
    """One document being read."""

    def __init__(self, item: Extractable, options: StructuredExtractor.Options) -> None:
        document = self._document = item.document
        self._options = options
        self._quotes = Quotes(document, item.chunks)
        self._fields: dict[str, list[Field]] = defaultdict(list)
        for field in document.fields:
            if len(self._fields[field.name]) < options.limit:
                self._fields[field.name].append(field)
        self._cited: set[Identifier] = set()
        self.gathering = Gathering(item.knowledge)
        self._type = document_type(document)
        self._self = document_entity(self.gathering, document, self._quotes)

    def study(self) -> None:
        if self._type != "Study":
            return
        conditions = self._named("condition", "Condition", "studies")
        drugs = []
        for field in self._fields["intervention"]:
            drug = field.attributes.get("type", "").lower() in DRUG_TYPES and "placebo" not in field.value.lower()
            key = self._related(field, "Drug" if drug else "Concept", "tests")
            if drug:
                drugs.append((key, field))
        for field in self._fields["mesh"]:
            about = field.attributes.get("about")
            if about == "condition":
                conditions.append((self._related(field, "Condition", "studies"), field))
            elif about == "intervention":
                key = self._related(field, "Drug" if drugs else "Concept", "tests")
                if drugs:
                    drugs.append((key, field))
        for role, name in (("lead", "sponsor"), ("collaborator", "collaborator")):
            for field in self._fields[name]:
                self._related(
                    field, "Organization", "sponsored_by", {"role": role, "class": field.attributes.get("class", "")}
                )
        facts = {name: self._all(name) for name in ("phase", "status")}
        for (drug_key, given), (condition, found) in islice(product(drugs, conditions), self._options.limit):
            evidence = self._quotes.of_field(given, given.value, found.value)
            self.gathering.claim(drug_key, "investigated_for", evidence, object=condition, attributes=facts)

    def label(self) -> None:
        if self._type != "Label":
            return
        generic, brands = self._fields["generic_name"], self._fields["brand_name"]
        ingredients = self._fields["ingredient"]
        named = generic or brands or ingredients
        drugs = [(self._related(field, "Drug", "labels"), field) for field in named]
        self._named("manufacturer", "Organization", "made_by")
        for drug, field in drugs:
            for predicate, others in (("has_brand_name", brands), ("has_ingredient", ingredients)):
                for other in others:
                    key = self._entity(other, "Drug")
                    self.gathering.claim(
                        drug, predicate, self._quotes.of_field(other, field.value, other.value), object=key
                    )
            for group in self._fields["pharm_class"]:
                key = self._entity(group, "Concept")
                self.gathering.claim(
                    drug, "in_class", self._quotes.of_field(group), object=key, attributes=group.attributes
                )
            for name, predicate in _LABEL_PROSE.items():
                for prose in self._fields[name]:
                    self._sentences(drug, predicate, prose)

    def topics(self) -> None:
        """A keyword or concept that the same document names as a condition or drug is that; a study says so already."""
        qualifiers: dict[str, set[str]] = defaultdict(set)
        for field in self._fields["mesh"]:
            listed = field.attributes.get("qualifiers", "").lower().replace(";", ",").split(",")
            qualifiers[field.value].update(part.strip() for part in listed)
        for field in self._fields["mesh"]:
            if self._type != "Study" or field.attributes.get("about") not in ("condition", "intervention"):
                self._related(field, descriptor_type(field, qualifiers[field.value]), "about")
        for field in self._fields["chemical"]:
            self._related(field, "Substance", "about")
        if self._type != "Study":
            self._named("condition", "Condition", "about")
        for field in (*self._fields["concept"], *self._fields["keyword"]):
            known = next((type for type in ("Condition", "Drug") if self.gathering.has(type, field.value)), None)
            if _score(field) >= self._options.min_score and not (known and self._type == "Study"):
                self._related(field, known or "Concept", "about")

    def people(self) -> None:
        """An affiliation belongs to the author it names, or to the authors whose own attribute quotes it."""
        authors: dict[str, list[Field]] = {}
        predicate = "led_by" if self._type == "Study" else "written_by"
        for field in self._fields["author"]:
            position = {"position": field.attributes.get("position", "")}
            authors.setdefault(self._related(field, "Person", predicate, position), []).append(field)
        for field in self._fields["affiliation"]:
            meant = [person for person, known in authors.items() if any(_works_at(one, field) for one in known)]
            for person in meant or (authors if len(authors) == 1 else ()):
                organization = self._entity(field, "Organization")
                self.gathering.claim(person, "affiliated_with", self._quotes.of_field(field), object=organization)
            if not meant and len(authors) != 1:
                self._related(field, "Organization", "comes_from")
        self._named("funder", "Organization", "funded_by")

    def citations(self) -> None:
        for field in self._fields["cites"]:
            self._cite(field.value, field.identifiers, self._quotes.of_field(field))
        for reference in islice(self._document.references, self._options.limit):
            evidence = Evidence(
                field="cites",
                quote=(reference.text or spoken(reference.identifiers))[:MAX_QUOTE],
                locator=reference.locator or Locator(payload=self._document.provenance.payload),
            )
            if reference.identifiers:
                self._cite(reference.text, reference.identifiers, evidence)

    def _entity(self, field: Field, type: str) -> str:
        identifiers = field.identifiers
        apart = spoken(identifiers) if type == "Person" else ""
        evidence = self._quotes.of_field(field)
        return self.gathering.entity(
            type, field.value[:MAX_QUOTE], identifiers=identifiers, evidence=evidence, apart=apart
        )

    def _related(self, field: Field, type: str, predicate: str, attributes: dict[str, str] | None = None) -> str:
        """The entity a field names, and that this document is so related to it."""
        key = self._entity(field, type)
        evidence = self._quotes.of_field(field, field.value)
        attributes = field.attributes if attributes is None else attributes
        self.gathering.claim(self._self, predicate, evidence, object=key, attributes=attributes)
        return key

    def _named(self, name: str, type: str, predicate: str) -> list[tuple[str, Field]]:
        return [(self._related(field, type, predicate), field) for field in self._fields[name]]

    def _sentences(self, drug: str, predicate: str, prose: Field) -> None:
        if prose.attributes.get("type") == "boxed":
            predicate = "has_boxed_warning"
        found = islice(self._worded(prose), self._options.sentences)
        evidence = [proof for span in found if (proof := self._quotes.of_span(*span, field=prose.name))]
        for proof in evidence or [self._quotes.of_field(prose)]:
            self.gathering.claim(drug, predicate, proof, value=" ".join(proof.quote.split()))

    def _worded(self, prose: Field) -> Iterator[tuple[int, int]]:
        """The sentences of a label's section, its own printed heading left out."""
        for start, end in self._quotes.sentences_of(prose):
            begin = start + heading_length(self._document.text[start:end])
            if end - begin > 2:
                yield begin, end

    def _cite(self, text: str, identifiers: tuple[Identifier, ...], evidence: Evidence) -> None:
        """A work is known by its identifiers; one that a field and the list of references both name is taken once."""
        trials = tuple(one for one in identifiers if one.scheme == "nct")
        works = tuple(one for one in identifiers if one.scheme in SCHEMES["Publication"])
        own = works or trials
        if not own or self._cited.intersection(own):
            return
        self._cited.update(own)
        name = " ".join(text.split())[:MAX_QUOTE]
        if not name or any(name.casefold().endswith(one.value.casefold()) for one in own):
            name = spoken(own)
        type = "Publication" if works else "Study"
        cited = self.gathering.entity(type, name, identifiers=own, evidence=evidence, apart=spoken(own))
        self.gathering.claim(self._self, "cites", evidence, object=cited)

    def _all(self, name: str) -> str:
        return ", ".join(dict.fromkeys(field.value for field in self._fields[name]))


def _works_at(author: Field, affiliation: Field) -> bool:
    return affiliation.attributes.get("author") == author.value or affiliation.value in author.attributes.get(
        "affiliation", ""
    )


def _score(field: Field) -> float:
    try:
        return float(field.attributes.get("score", "1"))
    except ValueError:
        return 0.0
