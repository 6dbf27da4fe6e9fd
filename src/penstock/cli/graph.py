"""`penstock graph`: what is around a drug, a disease or anything else named, and why each edge is there.

`graph NAME` is short for `graph show NAME`; `graph export` writes the whole graph for other programs; `graph apart`
says that a name means another thing in some documents, and `graph rejoin` takes that back.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from penstock.cli.request import Tenant, check_ledger
from penstock.errors import NotFound, UsageError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text
    from rich.tree import Tree

    from penstock.ledger.database import Database
    from penstock.ledger.graph_read import GraphReader
    from penstock.ledger.graph_view import Apart, Edge, Merge, Neighbourhood, Node, Trail

NOT_FOUND = 2
_STDOUT = Path("-")
MAX_SHOWN = 240
"""Characters of a sentence or value in the tree."""
MAX_MERGES = 6
"""Reasons for a merge in the tree."""


class _ShowByDefault(TyperGroup):
    """A group whose first word is a command, or else what `show` is to show."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or args[0] not in (*self.commands, *self.get_help_option_names(ctx)):
            args = ["show", *args]
        return super().parse_args(ctx, args)


def register(app: typer.Typer) -> None:
    group = typer.Typer(cls=_ShowByDefault)
    group.callback()(graph)
    group.command("show")(show)
    group.command("export")(export)
    group.command("apart")(apart)
    group.command("rejoin")(rejoin)
    app.add_typer(group, name="graph")


def graph() -> None:
    """What is known around a name (graph NAME is graph show NAME), and the whole graph for other programs."""


def export(
    format: Annotated[str, typer.Option(help="graphml, csv, cypher or jsonld.")],
    out: Annotated[
        Path | None, typer.Option(help="A file, - for stdout; for csv a folder.", show_default="graph.FORMAT")
    ] = None,
    tenant: Tenant = None,
) -> None:
    """Write the whole graph, each edge with its evidence: sorted, so that the same graph gives the same bytes."""
    from penstock.cli.screen import say, stdout
    from penstock.graph_export import export as write

    database, owner = _ledger(tenant)
    if out == _STDOUT:
        _export_to_stdout(database, owner, format)
        return
    place = out or Path("graph" if format == "csv" else f"graph.{format}")
    counts = write(database, owner, format, place)
    parts = (_number(counts.nodes, "node"), _number(counts.edges, "edge"), f"{counts.evidence} evidence")
    say(stdout(), f"wrote {place}: {', '.join(parts)}")


def _export_to_stdout(database: Database, owner: str, format: str) -> None:
    from shutil import copyfileobj
    from tempfile import TemporaryDirectory

    from penstock.graph_export import export as write

    if format == "csv":
        raise UsageError("csv is a folder of files, which stdout can't be", next_step="--out FOLDER")
    with TemporaryDirectory() as folder:
        place = Path(folder) / "graph"
        write(database, owner, format, place)
        with place.open("rb") as file:
            copyfileobj(file, sys.stdout.buffer)


def apart(
    name: Annotated[str, typer.Argument(help="A name, as a document spells it.")],
    documents: Annotated[list[str], typer.Option("--in", metavar="DOC", help="A document; as often as you like.")],
    sense: Annotated[str, typer.Option("--as", metavar="SENSE", help="What it is there, in a word or two.")],
    type: Annotated[str, typer.Option(help="Only the Drug, Condition… of this name.", show_default="any")] = "",
    tenant: Tenant = None,
) -> None:
    """Say that NAME is another thing in some documents: by name it is the same only as what is apart in that sense."""
    from penstock.cli.screen import say, stdout
    from penstock.ledger.graph import SqlGraph
    from penstock.ledger.jobs_read import JobsReader

    if not any(letter.isalnum() for letter in sense):
        raise UsageError("which sense?", next_step="--as planet, or whatever the name means there")
    database, owner = _ledger(tenant)
    ids = sorted(set(JobsReader(database).doc_ids(owner, documents)))
    SqlGraph(database).apart(owner, name, sense, ids, _type(type))
    say(stdout(), f"{name} is {sense!r} in {_number(len(ids), 'document')}; penstock graph NAME shows what is one now")


def rejoin(
    name: Annotated[str, typer.Argument(help="A name that was set apart.")],
    documents: Annotated[
        list[str] | None, typer.Option("--in", metavar="DOC", help="Only in this one; else everywhere.")
    ] = None,
    type: Annotated[str | None, typer.Option(help="Only what was said of this type.")] = None,
    tenant: Tenant = None,
) -> None:
    """Take back what `graph apart` said of NAME: it is again what others call so."""
    from penstock.cli.screen import say, stdout
    from penstock.ledger.graph import SqlGraph
    from penstock.ledger.jobs_read import JobsReader

    database, owner = _ledger(tenant)
    ids = JobsReader(database).doc_ids(owner, documents) if documents else None
    if not (count := SqlGraph(database).rejoin(owner, name, ids, type and _type(type))):
        raise NotFound(f"{name!r} was not set apart so", next_step="penstock graph NAME says where it is")
    say(stdout(), f"{name} is again what others call so, in {_number(count, 'document')}")


def show(
    name: Annotated[str, typer.Argument(help="A name, or an identifier such as mesh:D008687.")] = "",
    depth: Annotated[int, typer.Option(min=1, max=4, help="How many steps to go.")] = 1,
    type: Annotated[str | None, typer.Option(help="Drug, Condition, Study, Publication…")] = None,
    limit: Annotated[int, typer.Option(min=1, max=2000, help="How many edges to show.")] = 40,
    edge: Annotated[str, typer.Option(help="Show the trail of this edge instead.")] = "",
    tenant: Tenant = None,
    html: Annotated[Path | None, typer.Option(help="Write a page that shows it, and works offline.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what is known around NAME, with the sentence behind each edge; or, with --edge, the trail of one."""
    from penstock.graph_export.records import apart_record, edge_record, merge_record, neighbourhood_record, node_record
    from penstock.ledger.graph_read import GraphReader

    if not name.strip() and not edge:
        raise UsageError("which name?", next_step="penstock graph NAME, or penstock graph --edge ID")
    if html is not None and (edge or as_json):
        raise UsageError("--html shows a NAME, and goes with neither --edge nor --json")
    database, owner = _ledger(tenant)
    reader = GraphReader(database)
    if edge:
        found = reader.edge(owner, edge)
        _print_json(edge_record(found)) if as_json else _show_edge(_console(), found)
        return
    nodes = reader.find(owner, name, type)
    synonym = ""
    if not nodes:
        nodes, synonym = _by_synonym(reader, owner, name, type)
    if not nodes:
        _miss(reader, owner, name, type, as_json)
    shown = nodes[:1] if html is not None else nodes[:3]
    around = [(reader.neighbourhood(owner, node, depth, limit), reader.merges(node)) for node in shown]
    said = [reader.apart(owner, node) for node in shown]
    if as_json:
        records = [
            neighbourhood_record(one)
            | {"merges": [merge_record(m) for m in why], "apart": [apart_record(a) for a in senses]}
            for (one, why), senses in zip(around, said, strict=True)
        ]
        _print_json({"nodes": records, "others": [node_record(n) for n in nodes[3:]]})
        return
    console = _console()
    if synonym:
        _say(console, synonym, "dim")
    for (one, why), senses in zip(around, said, strict=True):
        if html is not None:
            _write_page(html, one, why)
            _say(console, f"wrote {html}: {one.node.type} {one.node.name}, {_number(len(one.edges), 'edge')}")
        else:
            console.print(_tree(one, why, senses))
    if len(nodes) > len(around):
        more = ", ".join(f"{node.type} {node.name}" for node in nodes[len(around) : len(around) + 5])
        _say(console, f"{len(nodes) - len(around)} more are called so: {more}; choose with --type", "dim")


def _ledger(tenant: str | None) -> tuple[Database, str]:
    """The ledger, and whose graph is asked for."""
    from penstock.ledger.database import Database
    from penstock.ledger.migrate import ensure_current
    from penstock.settings import load_settings

    settings = load_settings()
    check_ledger(settings)
    database = Database(settings.ledger_url)
    ensure_current(database)
    return database, tenant or settings.tenant


def _type(given: str) -> str:
    """A type as it is written, however it was typed."""
    from penstock.ir.knowledge import TYPES

    return {type.casefold(): type for type in TYPES}.get(given.casefold(), given)


def _by_synonym(reader: GraphReader, tenant: str, name: str, type: str | None) -> tuple[list[Node], str]:
    """The nodes of what a pipeline's vocabulary knows by this name, which no text may have used; and how it knows it.

    Raises ConfigError for a vocabulary that is wrong.
    """
    from penstock.ledger.graph_names import fold
    from penstock.pipelines.folder import load_folder
    from penstock.resilience.policy import Policy
    from penstock.settings import load_settings
    from penstock.stages.extract.dictionary import DictionaryExtractor
    from penstock.stages.registry import EntryPointCatalogue

    try:
        pipelines = load_folder(load_settings().config, EntryPointCatalogue(), Policy).loaded.values()
    except NotFound:  # no pipelines, so no vocabulary
        return [], ""
    wanted = fold(name)
    stages = [stage.options for pipeline in pipelines for stage in pipeline.stages]
    for options in [one for one in stages if isinstance(one, DictionaryExtractor.Options)]:
        for term in options.terms():
            if any(fold(other) == wanted for other in term.names):
                preferred = term.names[0]
                if nodes := reader.find(tenant, term.id or preferred, type):
                    return nodes, f"{name} is {preferred} in {options.vocabulary}"
    return [], ""


def _write_page(out: Path, around: Neighbourhood, merges: list[Merge]) -> None:
    from penstock.graph_export.page import page

    text = page(around, merges)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"can't write {out}: {error.strerror}") from None


def _miss(reader: GraphReader, tenant: str, name: str, type: str | None, as_json: bool) -> NoReturn:
    near = reader.suggest(tenant, name)
    if as_json:
        _print_json({"nodes": [], "suggestions": near})
        raise typer.Exit(NOT_FOUND)
    hint = f"near it: {', '.join(near)}" if near else f"penstock search {name!r} finds what is said anywhere"
    raise NotFound(f"{f'no {type}' if type else 'nothing'} in the graph is called {name!r}", next_step=hint)


def _tree(around: Neighbourhood, merges: list[Merge], senses: list[Apart]) -> Tree:
    """The node, and below it a branch for each predicate; what is further away stands under the node it hangs on."""
    from rich.text import Text
    from rich.tree import Tree

    tree = Tree(_title(around.node, merges, senses), guide_style="dim")
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


def _title(node: Node, merges: list[Merge], senses: list[Apart]) -> Text:
    from rich.text import Text

    title = Text.assemble((node.name, "bold"), (f"  {' / '.join(node.types)}", "green"))
    title.append(f", in {_number(node.documents, 'document')}")
    others = [name for name, _ in node.names if name != node.name]
    if others:
        title.append(f"\nalso: {', '.join(others[:6])}{', …' if len(others) > 6 else ''}", "dim")
    if node.identifiers:
        title.append(f"\n{_identifiers(node.identifiers)}", "dim")
    if merges:
        title.append(f"\n{len(node.rows)} entities read as one:", "dim")
    for merge in merges[:MAX_MERGES]:
        title.append(f"\n  {_merge(merge)}", "dim")
    if len(merges) > MAX_MERGES:
        title.append(f"\n  … {len(merges) - MAX_MERGES} more with --json", "dim")
    for apart in senses[:MAX_MERGES]:
        what = f"{apart.type} {apart.name}" if apart.type else apart.name
        title.append(f"\n{what} was set apart as {apart.sense!r} in {', '.join(apart.documents)}", "dim")
    return title


def _merge(merge: Merge) -> str:
    """Who is the same as whom, and by what."""
    names = [f"{name} ({type})" for type, name in merge.entities]
    others = f"{', '.join(map(_short, names[1:6]))}{', …' if len(names) > 6 else ''}"
    stated = f", stated by {', '.join(merge.documents)}" if merge.documents else ""
    same = f"{_short(names[0])} same as {others}" if others else f"{_short(names[0])} the same"
    return f"{same} by {merge.scheme} {merge.value}{stated}"


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
    from penstock.cli.screen import document_name

    return f"{trail.source} {document_name(trail.source_id)}" if trail.source_id else trail.doc_id


def _identifiers(identifiers: tuple[tuple[str, str], ...]) -> str:
    shown = ", ".join(f"{scheme}:{value}" for scheme, value in identifiers[:6])
    return f"{shown}{', …' if len(identifiers) > 6 else ''}"


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _short(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= MAX_SHOWN else plain[: MAX_SHOWN - 1].rsplit(" ", 1)[0] + "…"


def _print_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def _console() -> Console:
    from penstock.cli.screen import stdout

    return stdout()


def _say(console: Console, text: str, style: str = "") -> None:
    from rich.text import Text

    console.print(Text(text, style=style), soft_wrap=True)
