"""`penstock eval ir`: how well search ranks a judged collection, each leg by itself and both joined."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from penstock.bootstrap import App
    from penstock.retrieval.evaluate import Evaluation, TextEmbedder

app = typer.Typer(help="Measure quality on judged data.", no_args_is_help=True)

_LEGS = {"bm25": "words (BM25)", "dense": "meaning (dense)", "fusion": "both (RRF)"}


@app.callback()
def quality() -> None:
    """Measure quality on judged data."""


@app.command()
def ir(
    dataset: Annotated[Path, typer.Argument(help="A folder: BEIR's, or SMART files (*.ALL, *.QRY, *.REL).")],
    pipeline: Annotated[str, typer.Option(help="The pipeline whose embedder is measured.")] = "auto",
    words_only: Annotated[bool, typer.Option("--words-only", help="Leave the embedder out.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Index a judged collection in a file of its own, ask its queries, print nDCG@10, recall@100 and MRR."""
    from contextlib import closing

    from penstock.bootstrap import open_app
    from penstock.cli.progress import progress
    from penstock.cli.screen import print_json
    from penstock.retrieval.datasets import read_collection
    from penstock.retrieval.evaluate import evaluate

    collection = read_collection(dataset)
    with closing(open_app()) as opened, progress(["index", "search"]) as shown:
        embedder = None if words_only else _embedder(opened, pipeline)
        found = evaluate(collection, embedder, shown.advanced)
    if as_json:
        print_json(found)
    else:
        _show(found, words_only)


def _embedder(opened: App, pipeline: str) -> TextEmbedder | None:
    """The pipeline's own embedder; None when it gives no vectors."""
    from penstock.errors import UsageError
    from penstock.retrieval.evaluate import TextEmbedder

    embeds = next((s for s in opened.pipelines.named(pipeline).stages if s.type == "EmbedStage"), None)
    if embeds is None:
        return None
    stage: Any = opened.build(embeds)
    if stage.model == "none":
        return None
    if not hasattr(stage, "embed"):
        raise UsageError(f"{embeds.implementation} embeds no queries", next_step="--words-only leaves it out")

    return TextEmbedder(stage.model, lambda texts: stage.embed(list(texts)), stage.embed_query)


def _show(found: Evaluation, words_only: bool) -> None:
    from rich.table import Table

    from penstock.cli.screen import say, stdout
    from penstock.retrieval.evaluate import MEASURES

    console = stdout()
    say(console, f"{found.collection}: {found.documents:,} documents, {found.queries:,} judged queries", "bold")
    table = Table("leg", *({"R@100": "recall@100", "RR": "MRR"}.get(name, name) for name in MEASURES), box=None)
    for leg, scores in found.legs.items():
        table.add_row(_LEGS[leg], *(f"{scores[name]:.3f}" for name in MEASURES))
    console.print(table)
    if found.model:
        say(console, f"embedded by {found.model}")
    elif not words_only:
        say(console, "note: keyword search only: the pipeline embeds nothing", "yellow")
