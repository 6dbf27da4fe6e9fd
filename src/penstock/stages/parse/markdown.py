"""Markdown (CommonMark with GitHub's tables): blocks without their markup, located by the source lines they came from.

Front matter (a YAML mapping between `---` lines) gives title, dates, keywords and authors; HTML blocks are read as
HTML.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from penstock.errors import BadInput
from penstock.ir import Document, RawPayload, StageContext
from penstock.stages.parse.builder import DocumentBuilder
from penstock.stages.parse.front_matter import Entry, read_front_matter
from penstock.stages.parse.markdown_blocks import MarkdownBlocks, Source
from penstock.stages.parse.scholarly import position, written_date
from penstock.stages.parse.text import decode, stated_charset

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

_MOST = 2_000_000
"""Characters. The parser takes seconds for a megabyte, and longer for one that was built to hurt."""
_DEEPEST = 64
_PUBLISHED = ("date", "published", "publishdate", "pubdate")
_UPDATED = ("updated", "lastmod", "modified", "last_modified")


def parse(ctx: StageContext, payload: RawPayload) -> Document:
    """One Markdown file. Raises BadInput: empty, unsupported (binary), too-large (long or deep)."""
    decoded = decode(payload.content, stated_charset(payload.media_type))
    if len(decoded.text) > _MOST:
        raise BadInput(f"Markdown of {len(decoded.text):,} characters; {_MOST:,} are taken", reason="too-large")
    builder = DocumentBuilder(ctx, payload, parser="markdown", version="1")
    entries, body = read_front_matter(decoded.text)
    source = Source(builder, decoded, body)
    _say(builder, source, entries)
    blocks = MarkdownBlocks(builder, source)
    tokens = _parser().parse(decoded.text[body:])
    if any(token.level >= _DEEPEST - 1 for token in tokens):
        raise BadInput(f"Markdown nested deeper than {_DEEPEST} levels", reason="too-large")
    blocks.read(tokens)
    builder.title = builder.title or blocks.top_heading
    return builder.build()


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"maxNesting": _DEEPEST}).enable(["table", "strikethrough"])


def _say(builder: DocumentBuilder, source: Source, entries: dict[str, list[Entry]]) -> None:
    def stated(*names: str) -> list[Entry]:
        return next((entries[name] for name in names if entries.get(name)), [])

    for entry in stated("title")[:1]:
        builder.title = entry.text
        builder.block(entry.text, source.at(entry.start, entry.end), "title", exact=source.exact(entry.text))
    for kind, names in (("published", _PUBLISHED), ("updated", _UPDATED)):
        for entry in stated(*names)[:1]:
            builder.date(kind, written_date(entry.text))
    for entry in stated("keywords", "tags"):
        builder.field("keyword", entry.text, source.at(entry.start, entry.end))
    authors = stated("authors", "author")
    for index, entry in enumerate(authors):
        where = {"position": position(index, len(authors))}
        builder.field("author", entry.text, source.at(entry.start, entry.end), attributes=where)
    for entry in stated("lang", "language")[:1]:
        builder.language = entry.text.lower()
