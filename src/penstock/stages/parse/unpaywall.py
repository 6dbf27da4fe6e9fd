"""Unpaywall's records (https://unpaywall.org/data-format, the DOI object)."""

from __future__ import annotations

from penstock.ir import Document, RawPayload, StageContext
from penstock.stages.parse.builder import DocumentBuilder
from penstock.stages.parse.jsonnode import Node, Writer
from penstock.stages.parse.scholarly import identifier, position, written_date

VERSION = "1"


def parse(ctx: StageContext, payload: RawPayload) -> Document:
    """A record: its title as text, everything else as fields.

    Raises BadInput: malformed or truncated JSON, `schema` where a value is not what Unpaywall documents, `empty` for a
    record without a title.
    """
    record = Node.root(payload.content)
    out = DocumentBuilder(ctx, payload, parser="unpaywall", version=VERSION)
    write = Writer(out)
    write.title(record["title"])
    if doi := identifier("doi", record["doi"].text):
        out.identifier(doi.scheme, doi.value)
    out.date("published", written_date(record["published_date"].text or record["year"].scalar))
    out.date("updated", written_date(record["updated"].text))
    _people(write, record)
    issns = [identifier("issn", issn) for issn in record["journal_issns"].text.split(",")]
    write.field("journal", record["journal_name"], *issns)
    write.field("publication_type", record["genre"])
    write.field("licence", record.at("best_oa_location", "license"))
    return out.build()


def _people(write: Writer, record: Node) -> None:
    """Since 2025 an author is one name as it was written, before that a given and a family name."""
    authors = list(record["z_authors"])
    seen: set[str] = set()
    for index, author in enumerate(authors):
        at = position(index, len(authors))
        if name := author["raw_author_name"]:
            write.field("author", name, position=at)
        else:
            whole = " ".join(filter(None, (author["given"].text, author["family"].text)))
            known = filter(None, [identifier("orcid", author["ORCID"].text)])
            write.out.field("author", whole, write.locator(author), identifiers=known, attributes={"position": at})
        for place in (*author["raw_affiliation_strings"], *(each["name"] for each in author["affiliation"])):
            if place.text not in seen:
                seen.add(place.text)
                write.field("affiliation", place)
