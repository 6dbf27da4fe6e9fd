"""What the tests of the three JSON formats share: payloads, truncations, drifted schemas, and who checks them."""

from __future__ import annotations

import copy
import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from locators import untrue_blocks, untrue_fields
from penstock.errors import BadInput
from penstock.ir import Document, Origin, RawPayload, StageContext
from penstock.sources.files import Files
from penstock.stages.parse import AutoParser

CTX = StageContext("default", "doc-1", "c")
PARSER = AutoParser()


def payload(kind: str, content: bytes | dict[str, Any]) -> RawPayload:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return RawPayload(source="files", source_id="x", kind=kind, origin=Origin(uri="x.json", key="x.json"), content=raw)


def parse(kind: str, content: bytes | dict[str, Any]) -> Document:
    return PARSER.execute(CTX, payload(kind, content))


def real(folder: Path, kind: str) -> list[RawPayload]:
    return [found for found in Files().list({"paths": [str(folder)]}) if found.kind == kind]


def readable(payloads: list[RawPayload]) -> Iterator[tuple[dict[str, Any], Document, RawPayload]]:
    """(record, document, payload) of each that has text."""
    for found in payloads:
        try:
            yield json.loads(found.content), PARSER.execute(CTX, found), found
        except BadInput as error:
            if error.reason != "empty":
                raise


def assert_leads_back(document: Document, content: bytes) -> None:
    """Every exact block and every field is, character for character, what its pointer names in the bytes."""
    assert untrue_blocks(content, document) == []
    assert [item for item in untrue_fields(content, document) if item[:2] != ("status", "retracted")] == []
    for section in document.sections:
        assert section.end > section.start


def words(text: str) -> Counter[str]:
    return Counter(re.findall(r"\w+", text.lower()))


def kept(prose: list[str], document: Document) -> float:
    """The share of the prose's words that the document's text has, each as often as the prose (said once) has it."""
    wanted = words(" ".join(dict.fromkeys(prose)))
    found = words(document.text)
    return sum(min(count, found[word]) for word, count in wanted.items()) / wanted.total() if wanted else 1.0


def prose_under(value: Any, keys: frozenset[str]) -> Iterator[str]:
    """Every string (or string of an array) that is a member of one of these names, however deep."""
    if isinstance(value, dict):
        for key, member in value.items():
            if key in keys:
                yield from (
                    text for text in (member if isinstance(member, list) else [member]) if isinstance(text, str)
                )
            yield from prose_under(member, keys)
    elif isinstance(value, list):
        for member in value:
            yield from prose_under(member, keys)


def truncations(content: bytes, points: int = 10) -> Iterator[bytes]:
    dice = random.Random(len(content))
    for _ in range(points):
        yield content[: dice.randrange(1, len(content))]


def assert_survives(kind: str, content: bytes) -> None:
    """A right document, or a refusal that says why: nothing else may come out."""
    try:
        document = parse(kind, content)
    except BadInput as refusal:
        if refusal.reason in ("malformed", "truncated", "empty", "schema") and refusal.message:
            return
        raise
    assert_leads_back(document, content)


def drifted(record: dict[str, Any]) -> Iterator[bytes]:
    """The record with one value after another turned into something its schema does not allow."""
    for path in _paths(record):
        for wrong in (None, True, 7, "text", ["text"], [[]], {"text": []}):
            changed = copy.deepcopy(record)
            place: Any = changed
            for step in path[:-1]:
                place = place[step]
            place[path[-1]] = wrong
            yield json.dumps(changed).encode()


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    members = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for key, member in members:
        yield (*path, key)
        yield from _paths(member, (*path, key))
