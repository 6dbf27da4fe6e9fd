"""CORE works (https://api.core.ac.uk/docs/v3, the Work schema)."""

from __future__ import annotations

from penstock.ir import Document, RawPayload, StageContext
from penstock.stages.parse.builder import DocumentBuilder
from penstock.stages.parse.jsonnode import Node, Writer
from penstock.stages.parse.scholarly import identifier, position, written_date

VERSION = "1"


def parse(ctx: StageContext, payload: RawPayload) -> Document:
    """A work: title and abstract as text, everything else as fields.

    Raises BadInput: malformed or truncated JSON, `schema` where a value is not what CORE documents, `empty` for a work
    with neither title nor abstract.
    """
    work = Node.root(payload.content)
    out = DocumentBuilder(ctx, payload, parser="core", version=VERSION)
    write = Writer(out)
    out.language = work.at("language", "code").text or None
    write.title(work["title"])
    out.section("Abstract", 1)
    write.prose(work["abstract"])
    _identity(write, work)
    authors = list(work["authors"])
    for index, author in enumerate(authors):
        write.field("author", author["name"], position=position(index, len(authors)))
    for journal in work["journals"]:
        issns = [identifier("issn", issn.text) for issn in journal["identifiers"]]
        write.field("journal", journal["title"], *issns)
    write.field("publication_type", work["documentType"])
    write.field("licence", work["license"])
    return out.build()


def _identity(write: Writer, work: Node) -> None:
    write.out.identifier("core", work["id"].scalar)
    write.out.identifier("arxiv", work["arxivId"].scalar)
    for scheme, key in (("doi", "doi"), ("pmid", "pubmedId")):
        if known := identifier(scheme, work[key].scalar):
            write.out.identifier(known.scheme, known.value)
    write.out.date("published", written_date(work["publishedDate"].text or work["yearPublished"].scalar))
    write.out.date("updated", written_date(work["updatedDate"].text))
