"""Judged collections for measuring retrieval: BEIR's folders and the SMART files (ADI, CISI, Cranfield, …)."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import orjson

from penstock.errors import UsageError

_RECORD = re.compile(r"^\.I\s+", re.MULTILINE)
_FIELD = re.compile(r"^\.([A-Z])[ \t]*$", re.MULTILINE)
_JUDGEMENTS = ("test", "dev", "validation", "train")
"""BEIR's splits, the one to take first."""


class Text(NamedTuple):
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class JudgedCollection:
    """`judgements`: query → document → grade; a grade above 0 is relevant. Only judged queries are kept."""

    name: str
    documents: Mapping[str, Text]
    queries: Mapping[str, str]
    judgements: Mapping[str, Mapping[str, int]]


def read_collection(folder: Path) -> JudgedCollection:
    """The collection in `folder`. Raises UsageError naming what is missing or malformed."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder: name one that holds a judged collection")
    try:
        found = _beir(folder) if (folder / "corpus.jsonl").is_file() else _smart(folder)
    except (ValueError, KeyError, IndexError) as error:
        raise UsageError(f"{folder}: malformed: {type(error).__name__}: {error}") from error
    judged = {query: grades for query, grades in found.judgements.items() if query in found.queries}
    if not judged or not found.documents:
        raise UsageError(f"{folder} has {len(found.documents)} documents and {len(judged)} judged queries")
    return JudgedCollection(found.name, found.documents, {query: found.queries[query] for query in judged}, judged)


def _beir(folder: Path) -> JudgedCollection:
    """corpus.jsonl and queries.jsonl (`_id`, `title`, `text`), qrels/SPLIT.tsv (query, document, grade; a heading)."""
    documents = {
        str(d["_id"]): Text(str(d.get("title") or ""), str(d["text"])) for d in _lines(folder / "corpus.jsonl")
    }
    queries = {str(q["_id"]): str(q["text"]) for q in _lines(folder / "queries.jsonl")}
    judgements: dict[str, dict[str, int]] = {}
    path = _only(folder, *(f"qrels/{split}.tsv" for split in _JUDGEMENTS))
    with path.open(newline="", encoding="utf-8") as file:
        for query, document, grade in list(csv.reader(file, delimiter="\t"))[1:]:
            judgements.setdefault(query, {})[document] = int(grade)
    return JudgedCollection(folder.name, documents, queries, judgements)


def _smart(folder: Path) -> JudgedCollection:
    """NAME.ALL (.I .T .W), NAME.QRY and NAME.REL, or as Cranfield calls them.

    Relevance files number the queries by place where their own numbers have gaps, as Cranfield's do.
    """
    documents = {
        number: Text(fields.get("T", ""), fields.get("W", ""))
        for number, fields in _records(_only(folder, "*.ALL", "*.all.*"))
    }
    asked = [
        (number, " ".join(filter(None, (fields.get("T"), fields.get("W")))))
        for number, fields in _records(_only(folder, "*.QRY", "*.qry"))
    ]
    judgements: dict[str, dict[str, int]] = {}
    for line in _read(_only(folder, "*.REL", "*qrel")).splitlines():
        if columns := line.split():
            # four columns (query, document, 0, 0.0) name relevant ones only; a third of three is the grade, by which
            # Cranfield counts from 1, the best: here a document is relevant or it is not
            relevant = len(columns) != 3 or int(columns[2]) > 0
            judgements.setdefault(_number(columns[0]), {})[_number(columns[1])] = int(relevant)
    queries = dict(asked)
    if not judgements.keys() <= queries.keys():
        queries = {str(place): text for place, (_, text) in enumerate(asked, start=1)}
    return JudgedCollection(folder.name, documents, queries, judgements)


def _records(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    for record in _RECORD.split(_read(path))[1:]:
        number, _, rest = record.partition("\n")
        parts = _FIELD.split(rest)
        yield (
            _number(number),
            {name: " ".join(text.split()) for name, text in zip(parts[1::2], parts[2::2], strict=True)},
        )


def _number(text: str) -> str:
    return str(int(text))


def _only(folder: Path, *patterns: str) -> Path:
    for pattern in patterns:
        if found := sorted(folder.glob(pattern)):
            return found[0]
    raise UsageError(
        f"{folder} has no {patterns[0]}",
        next_step="BEIR folders have corpus.jsonl, queries.jsonl and qrels/test.tsv; SMART ones *.ALL, *.QRY and *.REL",
    )


def _lines(path: Path) -> Iterator[dict[str, object]]:
    if not path.is_file():
        raise UsageError(f"{path.parent} has no {path.name}")
    with path.open("rb") as file:
        for line in file:
            if line.strip():
                yield orjson.loads(line)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
