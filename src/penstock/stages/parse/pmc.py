"""What PMC's open data say of an article (https://pmc-oa-opendata.s3.amazonaws.com/README.txt, the JSON metadata)."""

from __future__ import annotations

import re

from penstock.ir import Document, RawPayload, StageContext
from penstock.stages.parse.builder import DocumentBuilder
from penstock.stages.parse.jsonnode import Node, Writer
from penstock.stages.parse.scholarly import identifier, written_date

VERSION = "1"

_CITATION = re.compile(r"(?P<journal>[^.]+(?:\.[^.]+)*?)\. (?P<date>\d{4}(?: [A-Z][a-z]{2}(?: \d{1,2})?)?)[;:.]")
"""Chic Med Exam. 1867 Jan;8(1):54-64. Of a manuscript it says when it became available, not when it appeared."""


def parse(ctx: StageContext, payload: RawPayload) -> Document:
    """An article's record: its title as text, everything else as fields.

    Raises BadInput: malformed or truncated JSON, `schema` where a value is not what PMC documents, `empty` for an
    article without a title.
    """
    record = Node.root(payload.content)
    out = DocumentBuilder(ctx, payload, parser="pmc", version=VERSION)
    write = Writer(out)
    write.title(record["title"])
    for scheme in ("pmcid", "pmid", "doi"):
        if known := identifier(scheme, record[scheme].scalar):
            out.identifier(known.scheme, known.value)
    if cited := _CITATION.match(record["citation"].text):
        out.date("published", written_date(cited["date"]))
        out.field("journal", cited["journal"], write.locator(record["citation"], *cited.span("journal")))
    write.field("licence", record["license_code"])
    if record["is_retracted"].value is True:
        out.field("status", "retracted", write.locator(record["is_retracted"]))
    return out.build()
