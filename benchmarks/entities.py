"""How well the dictionary extractor finds and names entities, on gold standards that people annotated.

    python -m benchmarks.entities FOLDER > docs/quality.md

FOLDER holds bc5cdr/CDR_DevelopmentSet.PubTator.txt and ncbi_disease/NCBIdevelopset_corpus.txt. The vocabulary is made
of the names annotated in the first half of a set's abstracts, and measured on the other half: nothing of it was seen,
so recall is bounded by how many of its names the first half happens to have. docs/quality.md is this script's output.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from penstock.ir import Origin, RawPayload, StageContext
from penstock.stages.contracts import Extractable
from penstock.stages.extract.dictionary import DictionaryExtractor
from penstock.stages.parse.builder import SEPARATOR, DocumentBuilder

SETS = {
    "BC5CDR, development set": "bc5cdr/CDR_DevelopmentSet.PubTator.txt",
    "NCBI disease, development set": "ncbi_disease/NCBIdevelopset_corpus.txt",
}
VARIANTS: dict[str, dict[str, object]] = {
    "as it comes": {},
    "`fold_plurals: false`": {"fold_plurals": False},
    "`fold_case: false`": {"fold_case": False},
    "`exact_up_to: 0`": {"exact_up_to": 0},
    "`longest: false`": {"longest": False},
}
INTRODUCTION = """\
# Quality

What comes out, measured against what people annotated, as it is. Written by `python -m benchmarks.entities FOLDER`.

The dictionary extractor is given the names that people annotated in the first half of a set's abstracts, in the set's
own order, and finds them in the other half. It has seen nothing of that half, so its recall can hardly be more than
the share of names that both halves have in common; a vocabulary made for the purpose, such as all of MeSH, has more
names, and more that are ambiguous. *Span and type*: the annotation's very characters and kind. *Id*: the right concept
too, over the annotations that have one. *Documents*: which concepts an abstract mentions at all, each counted once.
"""
CONDITION, SUBSTANCE = "Condition", "Substance"


@dataclass(frozen=True)
class Gold:
    """An annotation: `text[start:end]` of its abstract, what kind of thing, and the ids it has, if any."""

    start: int
    end: int
    name: str
    type: str
    ids: frozenset[str]


@dataclass
class Abstract:
    pmid: str
    title: str = ""
    body: str = ""
    gold: list[Gold] = field(default_factory=list)


def read(path: Path) -> list[Abstract]:
    """A PubTator file. Its offsets count one character between title and abstract; ours count SEPARATOR's."""
    found: dict[str, Abstract] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if "|t|" in line[:20]:
            pmid, _, title = line.split("|", 2)
            found[pmid] = Abstract(pmid, title)
        elif "|a|" in line[:20]:
            pmid, _, body = line.split("|", 2)
            found[pmid].body = body
        elif (cells := line.split("\t"))[1:] and cells[1].isdigit():
            pmid, start, end, name, kind, ids = cells[:6]
            abstract = found[pmid]
            shift = (len(SEPARATOR) - 1) * (int(start) > len(abstract.title))
            known = frozenset(_own(one.strip()) for one in re.split("[|+]", ids)) - {""}
            type = SUBSTANCE if kind == "Chemical" else CONDITION
            abstract.gold.append(Gold(int(start) + shift, int(end) + shift, name, type, known))
    return list(found.values())


def _own(id: str) -> str:
    """As our identifiers are spoken: mesh:D003920, omim:143100; empty for none."""
    scheme, _, value = id.rpartition(":")
    return "" if id in ("-1", "") else f"{scheme.lower() or 'mesh'}:{value}"


def vocabulary(abstracts: Iterable[Abstract]) -> str:
    """TSV of what these abstracts' annotations name: each name under the one id it most often has."""
    meant: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    spelt: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for gold in (gold for abstract in abstracts for gold in abstract.gold if len(gold.ids) <= 1):
        key = gold.type, gold.name.casefold()
        meant[key][next(iter(gold.ids), "")] += 1
        spelt[key][gold.name] += 1
    things: dict[tuple[str, str], list[str]] = defaultdict(list)
    for (type, folded), ids in meant.items():
        id = ids.most_common(1)[0][0]
        things[type, id or folded].append(spelt[type, folded].most_common(1)[0][0])
    rows = ["id\tname\tsynonyms\ttype"]
    for (type, id), names in things.items():
        rows.append("\t".join(("" if id == names[0].casefold() else id, names[0], "|".join(names[1:]), type)))
    return "\n".join(rows) + "\n"


def extract(extractor: DictionaryExtractor, abstract: Abstract) -> Iterator[tuple[int, int, str, str]]:
    """(start, end, type, id) of each place at which something is named."""
    payload = RawPayload(
        source="files",
        source_id=abstract.pmid,
        kind="text",
        origin=Origin(uri=abstract.pmid, key=abstract.pmid),
        content=f"{abstract.title} {abstract.body}".encode(),
    )
    ctx = StageContext("default", abstract.pmid, "c", {})
    builder = DocumentBuilder(ctx, payload, parser="gold", version="1")
    builder.block(abstract.title, builder.span_of_bytes(0, len(payload.content)), "title", exact=False)
    builder.block(abstract.body, builder.span_of_bytes(0, len(payload.content)), exact=False)
    document = builder.build()
    for gold in abstract.gold:
        assert document.text[gold.start : gold.end] == gold.name, (abstract.pmid, gold)
    for entity in extractor.execute(ctx, Extractable(document, [])).entities:
        if entity.type in (CONDITION, SUBSTANCE):
            id = next((f"{one.scheme}:{one.value}" for one in entity.identifiers), "")
            for place in entity.evidence:
                if place.start is not None and place.end is not None:
                    yield place.start, place.end, entity.type, id


Item = tuple[object, ...]


@dataclass
class Score:
    right: int = 0
    given: int = 0
    wanted: int = 0

    def add(self, given: Set[Item], wanted: Set[Item]) -> None:
        self.right += len(given & wanted)
        self.given += len(given)
        self.wanted += len(wanted)

    def __str__(self) -> str:
        precision, recall = self.right / max(self.given, 1), self.right / max(self.wanted, 1)
        f1 = 2 * precision * recall / max(precision + recall, 1e-9)
        return f"{precision:.3f} | {recall:.3f} | {f1:.3f}"


LEVELS = ("mentions: span and type", "mentions: span, type and id", "documents: which ids")


def measure(extractor: DictionaryExtractor, abstracts: Sequence[Abstract], types: Iterable[str]) -> dict[str, Score]:
    """Each level's score over the things of these types. Where people gave several ids, or none, any or none is right;
    an annotation without id is left out where ids count."""
    scores = {level: Score() for level in LEVELS}
    for abstract in abstracts:
        gold = [one for one in abstract.gold if one.type in types]
        found = [one for one in extract(extractor, abstract) if one[2] in types]
        spans, linked, documents = scores.values()
        spans.add({(start, end, type) for start, end, type, _ in found}, {(g.start, g.end, g.type) for g in gold})
        right = {(g.start, g.end, g.type): g.ids for g in gold}
        wanted = {(g.start, g.end, g.type) for g in gold if g.ids}
        linked.add(
            {
                (start, end, type) if id in right.get((start, end, type), ()) else (start, end, type, id)
                for start, end, type, id in found
                if id
            },
            wanted,
        )
        documents.add({(id,) for *_, id in found if id}, {(id,) for g in gold for id in g.ids})
    return scores


def stage(path: Path, **options: object) -> DictionaryExtractor:
    asked = {"vocabulary": path, "scheme": "mesh", "limit": 10_000, **options}
    return DictionaryExtractor(DictionaryExtractor.Options.model_validate(asked))


def report(name: str, abstracts: Sequence[Abstract], folder: Path) -> Iterator[str]:
    half = len(abstracts) // 2
    seen, unseen = abstracts[:half], abstracts[half:]
    path = folder / "vocabulary.tsv"
    path.write_text(vocabulary(seen), encoding="utf-8")
    known = {gold.name.casefold() for abstract in seen for gold in abstract.gold}
    wanted = [gold.name.casefold() for abstract in unseen for gold in abstract.gold]
    share = sum(name in known for name in wanted) / len(wanted)
    matcher = stage(path).matcher()
    yield f"## {name}"
    yield (
        f"{matcher.names:,} names out of {len(seen)} abstracts; {len(wanted):,} annotations in the other "
        f"{len(unseen)}, of which {share:.1%} are spelt, but for capitals, like one of those names."
    )
    yield ""
    yield "| | level | precision | recall | F1 |"
    yield "|---|---|---|---|---|"
    types = sorted({gold.type for abstract in abstracts for gold in abstract.gold})
    groups = {"all": types} | ({type: [type] for type in types} if len(types) > 1 else {})
    for label, group in groups.items():
        for level, score in measure(stage(path), unseen, group).items():
            yield f"| {label} | {level} | {score} |"
    yield ""
    yield "| option | mentions (span and type): precision | recall | F1 |"
    yield "|---|---|---|---|"
    for label, options in VARIANTS.items():
        yield f"| {label} | {measure(stage(path, **options), unseen, types)[LEVELS[0]]} |"
    yield ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    asked = parser.parse_args()
    print(INTRODUCTION)
    for name, place in SETS.items():
        with TemporaryDirectory() as folder:
            print(*report(name, read(asked.folder / place), Path(folder)), sep="\n")


if __name__ == "__main__":
    main()
