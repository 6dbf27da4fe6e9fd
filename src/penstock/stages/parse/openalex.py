"""OpenAlex works (https://developers.openalex.org, the Work object)."""

from __future__ import annotations

from operator import itemgetter

from penstock.ir import Document, Identifier, RawPayload, StageContext
from penstock.stages.parse.builder import DocumentBuilder
from penstock.stages.parse.jsonnode import Node, Writer, identified

VERSION = "1"

_OPENALEX = r"(?:https?://openalex\.org/)?(\S+)"
_DOI = r"(?i:https?://(?:dx\.)?doi\.org/)?(10\.\S+)"
_PMID = r"(?:https?://\S+?/)?(\d{1,9})/?"
_PMCID = r"(?:https?://\S+?/)?(?:PMC)?(\d+)/?"
_ORCID = r"(?:https?://orcid\.org/)?(\S+)"
_ROR = r"(?:https?://ror\.org/)?(\S+)"
_WIKIDATA = r"(?:https?://www\.wikidata\.org/(?:wiki|entity)/)?(Q\d+)"


def parse(ctx: StageContext, payload: RawPayload) -> Document:
    """A work: title and abstract as text, everything else as fields.

    Raises BadInput: malformed or truncated JSON, `schema` where a value is not what OpenAlex documents, `empty` for a
    work with neither title nor abstract.
    """
    work = Node.root(payload.content)
    out = DocumentBuilder(ctx, payload, parser="openalex", version=VERSION)
    write = Writer(out)
    out.language = work["language"].text or None
    write.title(work["title"], work["display_name"])
    out.section("Abstract", 1)
    index = work["abstract_inverted_index"]
    out.block(_abstract(index), write.locator(index), exact=False)
    _identity(write, work)
    _people(write, work)
    _subjects(write, work)
    _funding(write, work)
    source = work.at("primary_location", "source")
    issns = [identified("issn", issn) for issn in source["issn"]]
    write.field("journal", source["display_name"], identified("openalex", source["id"], _OPENALEX), *issns)
    write.field("publication_type", work["type"])
    if work["is_retracted"].value is True:
        out.field("status", "retracted", write.locator(work["is_retracted"]))
    for cited in work["referenced_works"]:
        target = identified("openalex", cited, _OPENALEX)
        write.field("cites", cited, target)
        out.reference(identifiers=[target] if target else [], locator=write.locator(cited))
    return out.build()


def _abstract(index: Node) -> str:
    """The words of an inverted index {word: [positions]}, put back in order."""
    placed: list[tuple[int, str]] = []
    for word, positions in index.members():
        for position in positions:
            if not isinstance(position.value, int):
                raise position.surprise("a number")
            placed.append((position.value, word))
    placed.sort(key=itemgetter(0))
    return " ".join(word for _, word in placed)


def _identity(write: Writer, work: Node) -> None:
    ids = work["ids"]
    stated = (
        identified("openalex", work["id"] or ids["openalex"], _OPENALEX),
        identified("doi", work["doi"] or ids["doi"], _DOI),
        identified("pmid", ids["pmid"], _PMID),
        identified("pmcid", ids["pmcid"], _PMCID),
    )
    for identifier in stated:
        if identifier:
            write.out.identifier(identifier.scheme, _canonical(identifier))
    for kind, key in (("published", "publication_date"), ("updated", "updated_date")):
        write.out.date(kind, work[key].text[:10])


def _canonical(identifier: Identifier) -> str:
    if identifier.scheme == "doi":
        return identifier.value.lower()
    return f"PMC{identifier.value}" if identifier.scheme == "pmcid" else identifier.value


def _people(write: Writer, work: Node) -> None:
    seen: set[str] = set()
    for authorship in work["authorships"]:
        author = authorship["author"]
        name = author["display_name"] if author["display_name"].text.strip() else authorship["raw_author_name"]
        write.field(
            "author",
            name,
            identified("orcid", author["orcid"], _ORCID),
            identified("openalex", author["id"], _OPENALEX),
            position=authorship["author_position"].text,
        )
        for institution in authorship["institutions"]:
            name = institution["display_name"]
            if name.text not in seen:
                seen.add(name.text)
                ror = identified("ror", institution["ror"], _ROR)
                write.field("affiliation", name, ror, identified("openalex", institution["id"], _OPENALEX))


def _subjects(write: Writer, work: Node) -> None:
    for key in ("topics", "concepts", "keywords"):
        for subject in work[key]:
            name = subject["display_name"] or subject["keyword"]
            ids = (
                identified("openalex", subject["id"], _OPENALEX),
                identified("wikidata", subject["wikidata"], _WIKIDATA),
            )
            write.field("concept", name, *ids, score=subject["score"].scalar)
    for term in work["mesh"]:
        write.field(
            "mesh",
            term["descriptor_name"],
            identified("mesh", term["descriptor_ui"], r"(D\d+)"),
            major="yes" if term["is_major_topic"].value is True else "",
            qualifiers=term["qualifier_name"].text,
        )


def _funding(write: Writer, work: Node) -> None:
    for funder in work["funders"]:
        ids = identified("ror", funder["ror"], _ROR), identified("openalex", funder["id"], _OPENALEX)
        write.field("funder", funder["display_name"], *ids)
    for grant in work["grants"]:
        giver = identified("openalex", grant["funder"], _OPENALEX)
        write.field("funder", grant["funder_display_name"], giver, grant=grant["award_id"].scalar)
    for award in work["awards"]:
        giver = identified("openalex", award["funder_id"], _OPENALEX)
        write.field("funder", award["funder_display_name"], giver, grant=award["funder_award_id"].scalar)
