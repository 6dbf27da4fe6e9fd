"""`penstock picture`: the page a search hit stands on, with its place marked."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli.request import Tenant
from penstock.errors import UsageError

if TYPE_CHECKING:
    from penstock.bootstrap import App


def register(app: typer.Typer) -> None:
    app.command("picture")(picture)


def picture(
    chunk: Annotated[str, typer.Argument(metavar="CHUNK", help="A search hit's chunk, or DOC:NUMBER.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where to; default: here, as PNG.")] = None,
    dpi: Annotated[int, typer.Option(min=20, max=600, help="Dots per inch.")] = 110,
    tenant: Tenant = None,
) -> None:
    """Draw the page or pages that a chunk of a PDF stands on, with its boxes marked, and print the picture's path."""
    from penstock.bootstrap import open_app
    from penstock.cli.screen import say, stdout

    with closing(open_app()) as app:
        path = draw(app, chunk, output, dpi, tenant)
    say(stdout(), str(path))


def draw(app: App, chunk: str, output: Path | None, dpi: int = 110, tenant: str | None = None) -> Path:
    """The picture's path. Raises NotFound for what is no chunk, UsageError for one without pages."""
    from penstock.cli.explain import chunk_story
    from penstock.workers.picture import picture as drawn

    story = chunk_story(app, chunk, tenant)
    if not story.pages:
        raise UsageError(f"{chunk} stands on no page: its document is {story.document.kind}, not a PDF with pages")
    data = drawn(app.artifacts, story.passages[0].locator.payload, story.pages, dpi)
    name = re.sub(r"[^\w.-]+", "-", Path(story.document.source_id).stem)
    path = output or Path(f"{name}-{story.ordinal}.png")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise UsageError(f"{path} can't be written: {error.strerror}") from None
    return path
