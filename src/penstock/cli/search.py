"""`penstock search`: ask the index, see the hits with their matches and why they rank where they do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli.request import Tenant

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from penstock.ir.places import PagePlace
    from penstock.retrieval.hybrid import HybridSearch, QueryEmbedder, SearchHit, SearchResult
    from penstock.settings import Settings
    from penstock.stores.search_filters import Filters
    from penstock.stores.search_index import SqliteSearchIndex

EmbedderOf = Callable[["Settings"], "QueryEmbedder | None"]
"""What embeds queries under these settings; None: nothing does."""

_LEGS = {"bm25": "words", "dense": "meaning"}


def register(app: typer.Typer, embedder_of: EmbedderOf | None = None) -> None:
    """Add the command `search` to `app`."""

    @app.command()
    def search(
        query: Annotated[str, typer.Argument(help='What to look for; "in quotes": just so.')],
        k: Annotated[int, typer.Option("--k", "-k", min=1, max=1000, help="How many hits.")] = 10,
        source: Annotated[list[str] | None, typer.Option(help="Only of this source; may be repeated.")] = None,
        kind: Annotated[list[str] | None, typer.Option(help="Only of this kind; may be repeated.")] = None,
        since: Annotated[str | None, typer.Option(help="From this date on: 2024, 2024-03 or 2024-03-09.")] = None,
        until: Annotated[str | None, typer.Option(help="Up to and with this date.")] = None,
        where: Annotated[
            list[str] | None,
            typer.Option(help="Only where metadata says NAME=VALUE, as phase=PHASE3; may be repeated."),
        ] = None,
        tenant: Tenant = None,
        documents: Annotated[bool, typer.Option("--documents", help="Only the best chunk of each document.")] = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """Search what has been indexed: by words, and by meaning where there are vectors."""
        from penstock.cli.pages import pages_of
        from penstock.cli.screen import print_json
        from penstock.errors import UsageError
        from penstock.settings import load_settings
        from penstock.stores.search_filters import Filters

        if since and until and until < since[: len(until)]:
            raise UsageError(f"nothing is from {since} on and before {until}", next_step="turn the two round")
        settings = load_settings()
        filters = Filters(
            sources=tuple(source or ()),
            kinds=tuple(kind or ()),
            since=since,
            until=until,
            metadata=_conditions(where or []),
        )
        owner = tenant or settings.tenant
        result = _search(settings, embedder_of, query, owner, k, filters, documents)
        pages, unknown = pages_of(settings, owner, result.hits)
        result = replace(result, note="; ".join(filter(None, [result.note, unknown])))
        if as_json:
            hits = [asdict(hit) | {"pages": pages.get(hit.chunk_id, ())} for hit in result.hits]
            print_json({"query": result.query, "hits": hits, "legs": result.legs, "note": result.note})
        else:
            _show(result, pages)


def _search(
    settings: Settings,
    embedder_of: EmbedderOf | None,
    query: str,
    tenant: str,
    k: int,
    filters: Filters,
    documents: bool,
) -> SearchResult:
    from penstock.retrieval.fields import missing_origins, resolve
    from penstock.retrieval.hybrid import SearchResult
    from penstock.stores.search_index import SqliteSearchIndex

    index = SqliteSearchIndex(settings.index_location)
    if not index.exists:
        return SearchResult(query, (), (), f"nothing is indexed yet at {index.path}; penstock run fills it")
    metadata, notes = resolve(index, tenant, filters.metadata)
    filters = replace(filters, metadata=metadata)
    search = hybrid(index, settings, embedder_of)
    result = search.search(query, tenant=tenant, k=k, filters=filters, per_document=documents)
    if not result.hits and not index.count(tenant).documents:
        notes = [f"nothing of the tenant {tenant!r} is indexed"]
    return replace(
        result, note="; ".join(filter(None, [*notes, *missing_origins(index, tenant, filters), result.note]))
    )


def hybrid(index: SqliteSearchIndex, settings: Settings, embedder_of: EmbedderOf | None) -> HybridSearch:
    """What can't be set up costs the dense leg, not the search."""
    from penstock.errors import UsageError
    from penstock.retrieval.hybrid import HybridSearch

    try:
        embedder = embedder_of(settings) if embedder_of else None
    except UsageError as error:
        return HybridSearch(index, without=f"nothing can be set up to embed queries: {error.message}")
    return HybridSearch(index, embedder)


def _conditions(where: list[str]) -> dict[str, tuple[str | int | float | bool, ...]]:
    from penstock.errors import UsageError

    conditions: dict[str, tuple[str | int | float | bool, ...]] = {}
    for condition in where:
        name, equals, value = condition.partition("=")
        if not equals:
            raise UsageError(f"--where {condition!r}: write NAME=VALUE")
        conditions[name] = (*conditions.get(name, ()), value)
    return conditions


def _show(result: SearchResult, pages: Mapping[str, tuple[PagePlace, ...]]) -> None:
    from penstock.cli.screen import say, stdout

    console = stdout()
    for place, hit in enumerate(result.hits, start=1):
        _show_hit(console, place, hit, pages.get(hit.chunk_id, ()))
    if not result.hits:
        say(console, "No hits.", "bold")
    if result.note:
        say(console, f"note: {result.note}", "yellow")


def why(hit: SearchHit) -> str:
    """Why a hit is there: its place among those found by words, and by meaning."""
    return ", ".join(f"{_LEGS.get(leg, leg)} #{rank}" for leg, rank in hit.ranks.items())


def _show_hit(console: Console, place: int, hit: SearchHit, pages: tuple[PagePlace, ...]) -> None:
    from rich.padding import Padding
    from rich.text import Text

    from penstock.cli.pages import on_pages
    from penstock.cli.screen import document_name, one_line, text

    name = document_name(hit.source_id)
    parts = [name, on_pages(pages), hit.source, hit.kind, hit.date, " › ".join(hit.heading)]
    about = " · ".join(filter(None, parts))
    console.print(Text.assemble((f"{place:>2} ", "bold cyan"), (one_line(hit.title or name), "bold")))
    for line in (text(about, "cyan").append(f"  {why(hit)}", "dim"), _excerpt(hit)):
        console.print(Padding(line, (0, 0, 0, 3), expand=False))
    console.print()


def _excerpt(hit: SearchHit) -> Text:
    """The part of the chunk with the most matches, them in bold."""
    from rich.text import Text

    from penstock.cli.screen import text
    from penstock.retrieval.highlight import snippet

    start, end = snippet(hit.text, hit.highlights)
    excerpt = text(hit.text[start:end])
    for first, last in hit.highlights:
        if start <= first and last <= end:
            excerpt.stylize("bold yellow", first - start, last - start)
    before = "… " if start else ""
    after = " …" if end < len(hit.text) else ""
    return Text.assemble(before, excerpt, after)
