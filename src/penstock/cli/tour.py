"""The tour of `penstock demo`: what came of a run, looked at from every side."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from penstock.bootstrap import App
    from penstock.ir.places import PagePlace
    from penstock.ledger.graph_view import Edge, Neighbourhood, Node
    from penstock.retrieval.hybrid import SearchResult

PIPELINE = "auto"
QUERIES = (
    "prevent hospital admission for heart failure in chronic kidney disease",
    "ketoacidosis with normal glucose",
)
HITS, EDGES, PROOFS, BOXES = 3, 9, 2, 4
NO_PAGES: Mapping[str, tuple[PagePlace, ...]] = {}
_LOOKED_AT = 400


def tour(console: Console, app: App, drug: str, condition: str, *, examples: bool) -> None:
    """Searches, the graph around the drug, and the trail of one edge. `examples`: the documents are those we know."""
    from penstock.cli.embedding import query_embedder
    from penstock.cli.search import hybrid

    subject = find_subject(app, drug, condition, examples=examples)
    search = hybrid(app.index, app.settings, query_embedder)
    for words in subject.queries:
        show_search(console, search.search(words, tenant=app.settings.tenant, k=HITS, per_document=True))
    if subject.around is not None:
        show_graph(console, subject.around, subject.edge)
    if subject.edge is not None:
        _show_trail(console, app, subject.edge)
    _show_next(console, app, subject)


@dataclass(frozen=True, slots=True)
class Subject:
    """What the tour is about, taken from what the graph holds. `edge` is the one whose trail is followed."""

    around: Neighbourhood | None
    edge: Edge | None
    queries: tuple[str, ...]


def find_subject(app: App, drug: str, condition: str, *, examples: bool) -> Subject:
    """The drug by its name, else the one most is said about; its condition likewise; searches that fit the two."""
    from penstock.ledger.graph_read import GraphReader
    from penstock.ledger.tour_read import TourReader

    graph, tour, tenant = GraphReader(app.ledger.database), TourReader(app.ledger.database), app.settings.tenant
    named = graph.find(tenant, drug, "Drug")
    key = tour.busiest(tenant, "Drug") or tour.busiest(tenant)
    node = next(iter(named or (graph.find(tenant, key) if key else ())), None)
    if node is None:
        return Subject(None, None, QUERIES if examples else (drug,))
    around = graph.neighbourhood(tenant, node, limit=_LOOKED_AT)
    given_for = [edge for edge in around.edges if edge.predicate == "investigated_for" and edge.object is not None]
    given_for.sort(key=lambda edge: (-edge.documents, edge.object.name if edge.object else ""))
    wanted = {found.key for found in graph.find(tenant, condition)}
    chosen = next((edge for edge in given_for if edge.object and edge.object.key in wanted), None)
    edge = chosen or next(iter(given_for or around.edges), None)
    return Subject(around, edge, _queries(node, edge, given_for, known=examples and bool(named)))


def _queries(node: Node, edge: Edge | None, given_for: list[Edge], *, known: bool) -> tuple[str, ...]:
    """Of documents that we know, questions that their own words don't spell out; of others, what their graph names."""
    first = [edge] if edge is not None and edge.object is not None else []
    own = tuple(dict.fromkeys(f"{node.name} in {_target(each)}" for each in [*first, *given_for[:3]]))
    return (*QUERIES, *own[:1]) if known else own[:3] or (node.name,)


def _target(edge: Edge) -> str:
    return edge.object.name if edge.object else edge.value or ""


def show_search(console: Console, result: SearchResult, pages: Mapping[str, tuple[PagePlace, ...]] = NO_PAGES) -> None:
    """The hits, each with its place among those found by words and by meaning, and on the `pages` of its document."""
    from rich.padding import Padding
    from rich.text import Text

    from penstock.cli.pages import on_pages
    from penstock.cli.screen import counted, document_name, one_line, say, short, text
    from penstock.cli.search import why
    from penstock.retrieval.highlight import snippet

    say(console, f'penstock search "{result.query}"', "bold")
    for place, hit in enumerate(result.hits, start=1):
        title = text(short(hit.title or document_name(hit.source_id), console.width - 5))
        console.print(Text.assemble((f"{place:>3} ", "cyan"), title))
        places = pages.get(hit.chunk_id, ())
        about = " · ".join(filter(None, [document_name(hit.source_id), on_pages(places), one_line(hit.kind)]))
        console.print(Text.assemble("    ", (f"{about}  {why(hit)}", "dim")))
        start, end = snippet(hit.text, hit.highlights, 150)
        excerpt = text(hit.text[start:end])
        for first, last in hit.highlights:
            if start <= first and last <= end:
                excerpt.stylize("bold yellow", first - start, last - start)
        console.print(Padding(Text.assemble("… " if start else "", excerpt), (0, 0, 0, 4), expand=False))
        boxes = [(place.page, box) for place in places for box in place.boxes]
        for page, box in boxes[:BOXES]:
            say(console, f"    page {page}, box {', '.join(f'{side:.3f}' for side in box)}", "cyan")
        if len(boxes) > BOXES:
            say(console, f"    … and {counted(len(boxes) - BOXES, 'more place')}", "cyan")
    if not result.hits:
        say(console, "    no hits")
    console.print()


def show_graph(console: Console, around: Neighbourhood, chosen: Edge | None) -> None:
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
