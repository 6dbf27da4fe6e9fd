"""`penstock explain`: where something came from, what was done to it, and where it stands."""

from __future__ import annotations

import os
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli.request import FILES, Tenant, check_ledger
from penstock.errors import NotFound, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from penstock.bootstrap import App
    from penstock.explain import ChunkStory, DocumentStory, EdgeStory, Explainer
    from penstock.pipelines.topology import Topology


def register(app: typer.Typer) -> None:
    app.command("explain")(explain)


def explain(
    what: Annotated[
        str, typer.Argument(help="A document (source id, document id or path), or a chunk: DOC:NUMBER.")
    ] = "",
    edge: Annotated[str, typer.Option("--edge", metavar="ID", help="An edge of the graph: penstock graph NAME.")] = "",
    raw: Annotated[
        bool, typer.Option("--raw", help="Write the document's bytes as they came, and nothing else.")
    ] = False,
    tenant: Tenant = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tell where a document, a search hit or an edge came from, what was done to it, and where it stands."""
    from penstock.bootstrap import open_app

    if what and edge:
        raise UsageError(f"explain {what} or the edge?", next_step="name one of them: DOC, or --edge ID")
    if not what and not edge:
        raise UsageError("explain what?", next_step="penstock explain DOC, DOC:NUMBER for a chunk, or --edge ID")
    if raw and edge:
        raise UsageError("--raw is for a document: penstock explain --edge ID names those behind the edge")
    with closing(open_app()) as app:
        explainer = explainer_of(app, tenant)
        if raw:
            sys.stdout.buffer.write(_raw(explainer, what))
            return
        story = explainer.edge(edge) if edge else _found(explainer, what)
    _tell(story, as_json)


def explainer_of(app: App, tenant: str | None = None) -> Explainer:
    """Raises NotFound when there is no ledger yet."""
    from penstock.explain import Explainer

    check_ledger(app.settings)
    topologies = _topologies(app)
    owner = tenant or app.settings.tenant
    return Explainer(owner, app.ledger, app.artifacts, app.index, topologies.get, app.sources[FILES].refetch)


def _topologies(app: App) -> Mapping[str, Topology]:
    """What pipelines say helps, but a story can be told without."""
    try:
        return app.pipelines.loaded
    except NotFound:
        return {}


def _found(explainer: Explainer, what: str) -> DocumentStory | ChunkStory:
    """A document if one answers to the name, else a chunk. Raises NotFound with the nearest names."""
    try:
        return explainer.document(what, *_places(what))
    except NotFound:
        name, colon, number = what.rpartition(":")
        if not colon or not number.isdecimal():
            raise
        return explainer.chunk(what, *_places(name))


def chunk_story(app: App, name: str, tenant: str | None = None) -> ChunkStory:
    """Raises NotFound with the nearest names."""
    document, _, number = name.rpartition(":")
    if not document or not number.isdecimal():
        raise NotFound(f"{name!r} is no chunk", next_step=f"{name}:0 is the first one of a document of that name")
    return explainer_of(app, tenant).chunk(name, *_places(document))


def _raw(explainer: Explainer, what: str) -> bytes:
    from penstock.explain import DocumentStory

    found = _found(explainer, what)
    return explainer.raw(found.doc_id if isinstance(found, DocumentStory) else found.document.doc_id)


def _places(what: str) -> tuple[str, ...]:
    """What a path may be called in the ledger, which keeps absolute ones."""
    return (os.path.abspath(os.path.expanduser(what)),)


def _tell(story: DocumentStory | ChunkStory | EdgeStory, as_json: bool) -> None:
    from penstock.cli.screen import print_json, stdout
    from penstock.cli.stories import tell_chunk, tell_document, tell_edge
    from penstock.explain import ChunkStory, DocumentStory

    if as_json:
        print_json(story)
    elif isinstance(story, DocumentStory):
        tell_document(stdout(), story)
    elif isinstance(story, ChunkStory):
        tell_chunk(stdout(), story)
    else:
        tell_edge(stdout(), story)
