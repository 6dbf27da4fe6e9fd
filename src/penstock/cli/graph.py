"""`penstock graph`: what is around a drug, a disease or anything else named, and why each edge is there."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from penstock.errors import NotFound, UsageError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text
    from rich.tree import Tree

    from penstock.ledger.graph_read import GraphReader
    from penstock.ledger.graph_view import Edge, Neighbourhood, Node, Trail

NOT_FOUND = 2
MAX_SHOWN = 240
"""Characters of a sentence or value in the tree."""


def register(app: typer.Typer) -> None:
    app.command("graph")(graph)


def graph(
    name: Annotated[str, typer.Argument(help="A name, or an identifier such as mesh:D008687.")] = "",
    depth: Annotated[int, typer.Option(min=1, max=4, help="How many steps to go.")] = 1,
    type: Annotated[str | None, typer.Option(help="Drug, Condition, Study, Publication…")] = None,
    limit: Annotated[int, typer.Option(min=1, max=2000, help="How many edges to show.")] = 40,
    edge: Annotated[str, typer.Option(help="Show the trail of this edge instead.")] = "",
    tenant: Annotated[str | None, typer.Option(help="Default: PENSTOCK_TENANT.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what is known around NAME, with the sentence behind each edge; or, with --edge, the trail of one."""
    from penstock.ledger.database import Database
    from penstock.ledger.graph_read import GraphReader
    from penstock.settings import load_settings

    if not name.strip() and not edge:
        raise UsageError("which name? penstock graph NAME, or penstock graph --edge ID")
    settings = load_settings()
    database = Database(settings.ledger_url)
    if database.path is not None and not database.path.exists():
        raise UsageError(f"no ledger at {database.path} yet: penstock run PIPELINE PATH… makes one")
    reader = GraphReader(database)
    owner = tenant or settings.tenant
    if edge:
        found = reader.edge(owner, edge)
        _print_json(_edge(found)) if as_json else _show_edge(_console(), found)
        return
    nodes = reader.find(owner, name, type)
    if not nodes:
        _miss(reader, owner, name, type, as_json)
    around = [reader.neighbourhood(owner, node, depth, limit) for node in nodes[:3]]
    if as_json:
        _print_json({"nodes": [_neighbourhood(one) for one in around], "others": [_node(n) for n in nodes[3:]]})
        return
    console = _console()
    for one in around:
        console.print(_tree(one))
    if len(nodes) > len(around):
        more = ", ".join(f"{node.type} {node.name}" for node in nodes[len(around) : len(around) + 5])
        _say(console, f"{len(nodes) - len(around)} more are called so: {more}; choose with --type", "dim")


def _miss(reader: GraphReader, tenant: str, name: str, type: str | None, as_json: bool) -> NoReturn:
    near = reader.suggest(tenant, name)
    if as_json:
        _print_json({"nodes": [], "suggestions": near})
        raise typer.Exit(NOT_FOUND)
    hint = f"; near it: {', '.join(near)}" if near else ""
    raise NotFound(f"{f'no {type}' if type else 'nothing'} in the graph is called {name!r}{hint}")


def _tree(around: Neighbourhood) -> Tree:
    """The node, and below it a branch for each predicate; what is further away stands under the node it hangs on."""
    from rich.text import Text
    from rich.tree import Tree

    tree = Tree(_title(around.node), guide_style="dim")
    places = {around.node.key: tree}
    branches: dict[tuple[str, str, bool], Tree] = {}
    for edge in around.edges:
        ends = [end for end in (edge.subject, edge.object) if end is not None and end.key in places]
        here = min(ends, key=lambda end: list(places).index(end.key))
        forward = here.key == edge.subject.key
        other = edge.object if forward else edge.subject
        kind = (here.key, edge.predicate, forward)
        if kind not in branches:
            arrow = f"─ {edge.predicate} →" if forward else f"← {edge.predicate} ─"
            branches[kind] = places[here.key].add(Text(arrow, style="cyan"))
        leaf = branches[kind].add(_leaf(edge, other))
        if other is not None:
            places.setdefault(other.key, leaf)
    if around.left_out:
        tree.add(Text("… there is more: raise --limit", style="dim"))
    return tree


def _title(node: Node) -> Text:
    from rich.text import Text

    title = Text.assemble((node.name, "bold"), (f"  {' / '.join(node.types)}", "green"))
    title.append(f", in {_number(node.documents, 'document')}")
    others = [name for name, _ in node.names if name != node.name]
    if others:
        title.append(f"\nalso: {', '.join(others[:6])}{', …' if len(others) > 6 else ''}", "dim")
    if node.identifiers:
        title.append(f"\n{_identifiers(node.identifiers)}", "dim")
    if node.merged_by:
        title.append(f"\n{len(node.rows)} entities read as one, since they share {_identifiers(node.merged_by)}", "dim")
    return title


def _leaf(edge: Edge, other: Node | None) -> Text:
    from rich.text import Text

    proof = edge.evidence[0]
    facts = f"  {_number(edge.documents, 'document')}, edge {edge.id}"
    if other is None:
        leaf = Text.assemble(_short(edge.value or ""), (facts, "dim"))
    else:
        leaf = Text.assemble((_short(other.name), "bold"), (f"  {other.type}", "green"), (facts, "dim"))
    said = "" if other is None else f"“{_short(proof.quote)}” "
    leaf.append(f"\n{said}— {_source(proof)}", "italic" if other else "dim")
    return leaf


def _show_edge(console: Console, edge: Edge) -> None:
    from rich.text import Text

    target = edge.object.name if edge.object else edge.value or ""
    console.print(Text.assemble((edge.subject.name, "bold"), (f" ─ {edge.predicate} → ", "cyan"), (target, "bold")))
    _say(console, f"edge {edge.id}, said by {_number(edge.documents, 'document')}", "dim")
    for trail in edge.evidence:
        console.print()
        _say(console, f"“{trail.quote}”", "italic")
        for label, value in _facts(trail):
            console.print(Text.assemble((f"  {label:10} ", "dim"), value), soft_wrap=True)


def _facts(trail: Trail) -> list[tuple[str, str]]:
    from penstock.ledger.graph_view import describe

    facts = [("document", f"{_source(trail)}, generation {trail.generation}")]
    if trail.title:
        facts.append(("title", trail.title))
    if trail.start is not None:
        facts.append(
            ("text", f"characters {trail.start}–{trail.end}" + (f", chunk {trail.chunk_id}" if trail.chunk_id else ""))
        )
    if trail.field:
        facts.append(("field", trail.field))
    facts.append(("place", describe(trail.locator)))
    facts.append(("payload", f"sha256 {trail.locator.payload}"))
    facts += [(name, value) for name, value in sorted(trail.attributes.items())]
    facts.append(("found by", f"{trail.extractor} {trail.version}"))
    return facts


def _source(trail: Trail) -> str:
    return f"{trail.source} {trail.source_id}" if trail.source_id else trail.doc_id


def _identifiers(identifiers: tuple[tuple[str, str], ...]) -> str:
    shown = ", ".join(f"{scheme}:{value}" for scheme, value in identifiers[:6])
    return f"{shown}{', …' if len(identifiers) > 6 else ''}"


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _short(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= MAX_SHOWN else plain[: MAX_SHOWN - 1].rsplit(" ", 1)[0] + "…"


def _node(node: Node) -> dict[str, Any]:
    return {
        "key": node.key,
        "type": node.type,
        "types": list(node.types),
        "name": node.name,
        "names": dict(node.names),
        "identifiers": [f"{scheme}:{value}" for scheme, value in node.identifiers],
        "merged_by": [f"{scheme}:{value}" for scheme, value in node.merged_by],
        "documents": node.documents,
    }


def _neighbourhood(around: Neighbourhood) -> dict[str, Any]:
    edges = [_edge(edge) for edge in around.edges]
    return _node(around.node) | {"edges": edges, "left_out": around.left_out}


def _edge(edge: Edge) -> dict[str, Any]:
    return {
        "id": edge.id,
        "claims": list(edge.claims),
        "subject": _node(edge.subject),
        "predicate": edge.predicate,
        "object": _node(edge.object) if edge.object else None,
        "value": edge.value,
        "documents": edge.documents,
        "evidence": [_trail(trail) for trail in edge.evidence],
    }


def _trail(trail: Trail) -> dict[str, Any]:
    names = ("claim", "doc_id", "source", "source_id", "title", "generation", "extractor", "version", "chunk_id")
    facts = {name: getattr(trail, name) for name in (*names, "field", "start", "end", "quote", "attributes")}
    return facts | {"locator": trail.locator.model_dump(exclude_none=True)}


def _print_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False)


def _say(console: Console, text: str, style: str = "") -> None:
    from rich.text import Text

    console.print(Text(text, style=style), soft_wrap=True)
