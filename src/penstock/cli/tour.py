"""`penstock demo`: run the pipeline over some documents, then look at what came of it from every side."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from penstock.bootstrap import App
    from penstock.ledger.graph_view import Edge, Neighbourhood, Node
    from penstock.retrieval.hybrid import SearchHit
    from penstock.runner import RunReport

PIPELINE = "auto"
DRUG, CONDITION = "metformin", "polycystic ovary syndrome"
QUERIES = (
    "prevent hospital admission for heart failure in chronic kidney disease",
    "ketoacidosis with normal glucose",
)
HITS, EDGES, PROOFS = 3, 9, 2
_LOOKED_AT = 400


def register(app: typer.Typer) -> None:
    app.command("demo")(demo)


def demo(
    folder: Annotated[Path, typer.Argument(help="Documents to run on.")] = Path("examples"),
    drug: Annotated[str, typer.Option(help="The drug to look around; else the one most is said about.")] = DRUG,
    condition: Annotated[str, typer.Option(help="What it is given for; else what most documents say.")] = CONDITION,
) -> None:
    """Run the pipeline auto over FOLDER and tour the result: stages, searches, the graph, the way back to the bytes."""
    from penstock.bootstrap import open_app
    from penstock.cli.embedding import query_embedder
    from penstock.cli.request import FILES, check_query, find_pipeline, source_query
    from penstock.cli.run import STATUS, run_here
    from penstock.cli.screen import say, stdout
    from penstock.retrieval.hybrid import HybridSearch
    from penstock.runner import RunRequest

    if not folder.exists():
        raise UsageError(f"there is no {folder} here", next_step="penstock demo FOLDER, with some documents in it")
    console = stdout()
    with closing(open_app()) as app:
        topology = find_pipeline(app, PIPELINE)
        query = source_query(FILES, [str(folder)], [])
        check_query(app, FILES, query)
        say(console, f"penstock run {PIPELINE} {folder}", "bold")
        tenant = app.settings.tenant
        report = run_here(app, topology, RunRequest(FILES, query, tenant), after=0)
        _show_run(console, app, report)
        if report.outcome != "failed" and report.statuses.get("done"):
            subject = find_subject(app, drug, condition)
            search = HybridSearch(app.index, query_embedder(app.settings))
            for words in subject.queries:
                _show_search(console, words, search.search(words, tenant=tenant, k=HITS, per_document=True).hits)
            if subject.around is not None:
                _show_graph(console, subject.around, subject.edge)
            if subject.edge is not None:
                _show_trail(console, app, subject.edge)
            _show_next(console, app, subject)
    raise typer.Exit(STATUS[report.outcome])


@dataclass(frozen=True, slots=True)
class Subject:
    """What the tour is about, taken from what the graph holds. `edge` is the one whose trail is followed."""

    around: Neighbourhood | None
    edge: Edge | None
    queries: tuple[str, ...]


def find_subject(app: App, drug: str, condition: str) -> Subject:
    """The drug by its name, else the one most is said about; its condition likewise; searches that fit the two."""
    from penstock.ledger.graph_read import GraphReader
    from penstock.ledger.tour_read import TourReader

    graph, tour, tenant = GraphReader(app.ledger.database), TourReader(app.ledger.database), app.settings.tenant
    named = graph.find(tenant, drug, "Drug")
    key = tour.busiest(tenant, "Drug") or tour.busiest(tenant)
    node = next(iter(named or (graph.find(tenant, key) if key else ())), None)
    if node is None:
        return Subject(None, None, QUERIES)
    around = graph.neighbourhood(tenant, node, limit=_LOOKED_AT)
    given_for = [edge for edge in around.edges if edge.predicate == "investigated_for" and edge.object is not None]
    given_for.sort(key=lambda edge: (-edge.documents, edge.object.name if edge.object else ""))
    wanted = {found.key for found in graph.find(tenant, condition)}
    chosen = next((edge for edge in given_for if edge.object and edge.object.key in wanted), None)
    edge = chosen or next(iter(given_for or around.edges), None)
    return Subject(around, edge, _queries(node, edge, given_for, known=bool(named)))


def _queries(node: Node, edge: Edge | None, given_for: list[Edge], *, known: bool) -> tuple[str, ...]:
    """Of documents that we know, questions that their own words don't spell out; of others, what their graph names."""
    first = [edge] if edge is not None else []
    own = tuple(dict.fromkeys(f"{node.name} in {_target(each)}" for each in [*first, *given_for[:3]]))
    return (*QUERIES, *own[:1]) if known else own[:3] or (node.name,)


def _target(edge: Edge) -> str:
    return edge.object.name if edge.object else edge.value or ""


def _show_run(console: Console, app: App, report: RunReport) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Column, Table

    from penstock.cli.report import nothing_to_do, show_report, stage_table
    from penstock.cli.screen import say, short, text
    from penstock.ledger.tour_read import TourReader

    if report.nothing_to_do:
        say(console, nothing_to_do(report), "green")
        console.print(stage_table(report.stages))
    else:
        show_report(console, report)
    right = [Column(name, justify="right") for name in ("documents", "chunks")]
    table = Table("kind", *right, Column("such as", overflow="fold"), box=SIMPLE_HEAD)
    for row in TourReader(app.ledger.database).kinds(app.settings.tenant):
        table.add_row(text(row.kind), f"{row.documents:,}", f"{row.chunks:,}", text(short(row.title or "", 60), "dim"))
    console.print(table)


def _show_search(console: Console, query: str, hits: tuple[SearchHit, ...]) -> None:
    from rich.padding import Padding
    from rich.text import Text

    from penstock.cli.screen import document_name, one_line, say, short, text
    from penstock.retrieval.highlight import snippet

    say(console, f'penstock search "{query}"', "bold")
    for place, hit in enumerate(hits, start=1):
        title = text(short(hit.title or document_name(hit.source_id), console.width - 5))
        console.print(Text.assemble((f"{place:>3} ", "cyan"), title))
        console.print(Text.assemble("    ", (f"{document_name(hit.source_id)} · {one_line(hit.kind)}", "dim")))
        start, end = snippet(hit.text, hit.highlights, 150)
        excerpt = text(hit.text[start:end])
        for first, last in hit.highlights:
            if start <= first and last <= end:
                excerpt.stylize("bold yellow", first - start, last - start)
        console.print(Padding(Text.assemble("… " if start else "", excerpt), (0, 0, 0, 4), expand=False))
    if not hits:
        say(console, "    no hits")
    console.print()


def _show_graph(console: Console, around: Neighbourhood, chosen: Edge | None) -> None:
    """The first edge of every predicate, each with what says so."""
    from rich.padding import Padding
    from rich.text import Text

    from penstock.cli.screen import counted, document_name, say, short, text

    node = around.node
    say(console, f'penstock graph "{node.name}"', "bold")
    told = f"{node.type}, named by {counted(node.documents, 'document')}"
    if others := [name for name, _ in node.names if name != node.name][:3]:
        told += f", also as {', '.join(others)}"
    say(console, f"    {told}", "dim")
    for edge in _varied(around, chosen):
        proof = edge.evidence[0]
        subject, predicate, target = short(edge.subject.name, 60), f" ─ {edge.predicate} → ", short(_target(edge), 90)
        documents = (f"  {counted(edge.documents, 'document')}", "dim")
        console.print(Text.assemble("  ", subject, (predicate, "cyan"), target, documents if edge.object else ""))
        said = f"“{short(proof.quote, 140)}” " if edge.object else ""
        line = text(f"{said}— {document_name(proof.source_id or proof.doc_id)}", "dim")
        console.print(Padding(line, (0, 0, 0, 6), expand=False))
    console.print()


def _varied(around: Neighbourhood, chosen: Edge | None) -> list[Edge]:
    """One edge of each predicate and direction, the chosen one among them, what most documents say first."""
    kinds: dict[tuple[str, bool], Edge] = {}
    for edge in (*([chosen] if chosen else []), *around.edges):
        kinds.setdefault((edge.predicate, edge.subject.key == around.node.key), edge)
    return sorted(kinds.values(), key=lambda edge: (edge.object is None, -edge.documents, edge.predicate))[:EDGES]


def _show_trail(console: Console, app: App, edge: Edge) -> None:
    from penstock.cli.explain import explainer_of
    from penstock.cli.screen import say
    from penstock.cli.stories import tell_edge

    say(console, f"penstock explain --edge {edge.id}", "bold")
    tell_edge(console, explainer_of(app).edge(edge.id), PROOFS)
    console.print()


def _show_next(console: Console, app: App, subject: Subject) -> None:
    from penstock.cli.screen import document_name, say
    from penstock.cli.ui import ui_command

    name = command()
    document = subject.edge.evidence[0] if subject.edge else None
    lines = [f'{name} search "{subject.queries[-1]}" --json', f"{name} jobs"]
    if subject.around is not None:
        lines.append(f'{name} graph "{subject.around.node.name}" --depth 2')
    if document is not None:
        lines.append(f"{name} explain {shlex.quote(document_name(document.source_id or document.doc_id))}")
    lines += [
        f"{name} pipelines show {PIPELINE}",
        f"{name} run {PIPELINE} PATH…  (documents of your own)",
        f"{name} doctor",
    ]
    lines += [f"{ui_command()}  (Dagster at http://127.0.0.1:3000)"] if Path("workspace.yaml").exists() else []
    say(console, f"all of it lies in {app.settings.home}; what to type next:", "bold")
    for line in lines:
        say(console, f"  {line}")


def command() -> str:
    """What a person must type here to call this program."""
    on_path = shutil.which("penstock")
    if on_path and os.path.realpath(on_path) == os.path.realpath(sys.argv[0]):
        return "penstock"
    return os.path.relpath(sys.argv[0]) if sys.argv[0].endswith("penstock") else "penstock"
